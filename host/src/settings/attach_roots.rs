//! From where the agent may send files.

use std::{
    env as process,
    path::{Path, PathBuf},
};

use super::environment::Environment;
use crate::env;

/// Canonical directories; a root that does not exist is told and left out.
pub(super) fn read(environment: &mut Environment<'_>) -> Vec<PathBuf> {
    let Some(list) = environment.raw(&env::ATTACH_ROOTS) else {
        return defaults(environment);
    };
    let mut roots = Vec::new();
    for path in process::split_paths(&list).filter(|path| !path.as_os_str().is_empty()) {
        let path = environment.expand(&path);
        match directory(&path) {
            Some(root) => roots.push(root),
            None => environment.warn(format!(
                "{}: {} is not a directory, so no file is sent from there",
                env::ATTACH_ROOTS.name,
                path.display()
            )),
        }
    }
    roots
}

fn defaults(environment: &Environment<'_>) -> Vec<PathBuf> {
    let temporary = environment.path(&env::TMPDIR).unwrap_or_else(process::temp_dir);
    // Some clients start their servers in the root, and nobody meant the whole disk.
    let working = process::current_dir().ok().filter(|path| path.parent().is_some());
    working.into_iter().chain([temporary]).filter_map(|path| directory(&path)).collect()
}

fn directory(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.is_dir())
}
