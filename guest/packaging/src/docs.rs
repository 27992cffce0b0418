//! Doc comments, put back into a component: hosts show them as descriptions of tools.

use std::path::Path;

use anyhow::{Context as _, Result};
use wasm_encoder::{ComponentSection as _, CustomSection};
use wit_parser::{PackageMetadata, Resolve};

/// What decoders call the one world of a component; with another name they do not read it at all.
const WORLD: &str = "root";

/// `component` with the doc comments of the one world in `wit`.
pub(crate) fn put_back(mut component: Vec<u8>, wit: &Path) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).with_context(|| format!("cannot read {}", wit.display()))?;
    let parsed = resolve.packages.get_mut(package).context("there is no package")?;
    let (name, world) = parsed.worlds.pop().context("there is no world")?;
    parsed.worlds.clear();
    parsed.worlds.insert(WORLD.to_owned(), world);
    resolve.worlds.get_mut(world).context("there is no world")?.name = WORLD.to_owned();
    let docs = PackageMetadata::extract(&resolve, package);
    let data = docs.encode().with_context(|| format!("cannot encode the comments of {name}"))?;
    let section = CustomSection { name: PackageMetadata::SECTION_NAME.into(), data: data.into() };
    section.append_to_component(&mut component);
    Ok(component)
}
