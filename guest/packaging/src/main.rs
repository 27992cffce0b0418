//! Builds the components for other hosts into a directory, and says how large they are.

#![expect(clippy::print_stdout, reason = "what it has done is its answer")]

use std::{env, fs, path::PathBuf};

use anyhow::{Context as _, Result, bail};
use molecule_packaging::{SHELLS, surface};

const USAGE: &str = "usage: package-components TARGET [--accept]

Builds all components into TARGET/components. With --accept their interfaces are taken for what they should be.";

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let target = PathBuf::from(arguments.next().context(USAGE)?);
    let accept = match arguments.next() {
        None => false,
        Some(flag) if flag == "--accept" => true,
        Some(_) => bail!(USAGE),
    };
    let out = target.join("components");
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for shell in SHELLS {
        let component = shell.build(&target)?;
        let path = out.join(shell.name).with_extension("wasm");
        fs::write(&path, &component).with_context(|| format!("cannot write {}", path.display()))?;
        if accept {
            fs::write(shell.golden(), surface(&component)?)?;
        }
        println!("{} ({} bytes)", path.display(), component.len());
    }
    Ok(())
}
