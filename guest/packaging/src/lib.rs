//! Builds the components for other hosts.
//!
//! ```text
//! crate ── cargo, wasm32-wasip2, profile `component` ──► component ── package-docs ──► target/components/NAME.wasm
//!                                                                         ▲
//! wit/ ── doc comments, which Rust's linker leaves out ───────────────────┘
//! ```

#![deny(missing_docs)]

mod docs;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};
use wit_component::WitPrinter;
use wit_parser::decoding::{DecodedWasm, decode};

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "component";

/// A component for other hosts.
#[derive(Debug, Clone, Copy)]
pub struct Shell {
    /// The name of its file, without `.wasm`.
    pub name: &'static str,
    /// Its package.
    package: &'static str,
    /// Its folder below `guest/`.
    folder: &'static str,
    /// What cargo calls the artifact.
    artifact: &'static str,
    /// It has an interface of its own, whose doc comments belong into it.
    has_docs: bool,
}

/// All of them.
pub const SHELLS: &[Shell] = &[
    Shell {
        name: "molecule-plugin",
        package: "molecule-plugin",
        folder: "plugin",
        artifact: "molecule_plugin.wasm",
        has_docs: true,
    },
    Shell {
        name: "molecule-program",
        package: "molecule-program",
        folder: "program",
        artifact: "molecule-program.wasm",
        has_docs: false,
    },
    Shell {
        name: "molecule-serve",
        package: "molecule-serve",
        folder: "serve",
        artifact: "molecule_serve.wasm",
        has_docs: false,
    },
];

impl Shell {
    /// Builds it with a target directory of its own below `target`, because the outer one is locked.
    ///
    /// # Errors
    /// When it does not build, or its interface cannot be read.
    pub fn build(&self, target: &Path) -> Result<Vec<u8>> {
        let own = target.join("component");
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--locked", "--target", TARGET, "--profile", PROFILE, "--package", self.package])
            .arg("--manifest-path")
            .arg(root().join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&own)
            // Flags and wrappers of the outer build are for another target.
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("RUSTFLAGS")
            .status()
            .context("cannot run cargo")?;
        if !status.success() {
            bail!("{} does not build; if the target is missing: rustup target add {TARGET}", self.package);
        }
        let built = own.join(TARGET).join(PROFILE).join(self.artifact);
        let bytes = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
        if self.has_docs { docs::put_back(bytes, &self.folder().join("wit")) } else { Ok(bytes) }
    }

    /// Where the file is that says what the component imports and exports, and how its functions are described.
    #[must_use]
    pub fn golden(&self) -> PathBuf {
        self.folder().join("component.wit")
    }

    fn folder(&self) -> PathBuf {
        root().join("guest").join(self.folder)
    }
}

/// What a component imports and exports, as WIT.
///
/// # Errors
/// When the bytes are no component.
pub fn surface(component: &[u8]) -> Result<String> {
    let DecodedWasm::Component(resolve, world) = decode(component)? else { bail!("this is no component") };
    let package =
        resolve.worlds.get(world).and_then(|world| world.package).context("the world has no package")?;
    let mut printer = WitPrinter::default();
    printer.print(&resolve, package, &[])?;
    let text = printer.output.to_string();
    ensure!(!text.is_empty(), "the component has no interface");
    Ok(text)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
