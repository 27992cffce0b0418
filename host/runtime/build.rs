//! Builds the component, compiles it for this target, and leaves the result for `include_bytes!`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

#[path = "src/guest/engine.rs"]
mod engine;

/// Of the component, in the repository.
const SOURCES: &str = "../../guest/component/Cargo.toml";
/// The component itself, in a package.
const PACKAGED: &str = "component.wasm";
const COMPONENT_TARGET: &str = "wasm32-wasip2";

fn main() -> Result<()> {
    for input in [SOURCES, PACKAGED, "wit", "../../guest", "../../Cargo.lock", "src/guest/engine.rs"] {
        if Path::new(input).exists() {
            println!("cargo::rerun-if-changed={input}");
        }
    }
    println!("cargo::rerun-if-env-changed=MOLECULE_MCP_COMPONENT");
    let out = PathBuf::from(variable("OUT_DIR")?);
    let component = match env::var_os("MOLECULE_MCP_COMPONENT") {
        Some(built) => PathBuf::from(built),
        None if Path::new(SOURCES).exists() => build_component(&out)?,
        None => PathBuf::from(PACKAGED),
    };
    let bytes = fs::read(&component).with_context(|| format!("cannot read {}", component.display()))?;
    fs::write(out.join("component.wasm"), &bytes)?;
    fs::write(out.join("component.cwasm"), precompile(&bytes)?)?;
    Ok(())
}

/// Runs a nested cargo with a target directory of its own, because the outer one is locked.
fn build_component(out: &Path) -> Result<PathBuf> {
    let target =
        out.ancestors().nth(4).context("OUT_DIR is not inside a target directory")?.join("component");
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join(SOURCES);
    let status = Command::new(variable("CARGO")?)
        .args(["build", "--release", "--target", COMPONENT_TARGET, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        // Flags and wrappers of the outer build are for another target.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("RUSTFLAGS")
        .env("CARGO_PROFILE_RELEASE_STRIP", "true")
        .status()
        .context("cannot run cargo for the component")?;
    if !status.success() {
        bail!("the component does not build; if the target is missing: rustup target add {COMPONENT_TARGET}");
    }
    Ok(target.join(COMPONENT_TARGET).join("release").join("molecule_component.wasm"))
}

fn precompile(component: &[u8]) -> Result<Vec<u8>> {
    let mut config = engine::config();
    // An explicit target: nothing of the building machine's processor leaks into the program.
    config.target(&variable("TARGET")?)?;
    let compiled = wasmtime::Engine::new(&config)?.precompile_component(component)?;
    ensure!(!compiled.is_empty(), "the compiled component is empty");
    Ok(compiled)
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("cargo does not set {name}"))
}
