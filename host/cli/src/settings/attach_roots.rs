//! From where the agent may send files.

use std::{
    env as process,
    path::{Path, PathBuf},
};

use super::environment::Environment;
use crate::env;

/// Canonical directories; a root that does not exist is told and left out.
pub(super) fn read(environment: &mut Environment<'_>) -> Vec<PathBuf> {
    if !environment.is_set(&env::ATTACH_ROOTS) {
        return defaults(environment);
    }
    let mut roots = Vec::new();
    for path in environment.paths(&env::ATTACH_ROOTS) {
        match directory(&path) {
            Some(root) => roots.push(root),
            None => environment.warn(format!(
                "{}: {} is not a directory, so no file is sent from there",
                environment.name_of(&env::ATTACH_ROOTS),
                path.display()
            )),
        }
    }
    roots
}

fn defaults(environment: &mut Environment<'_>) -> Vec<PathBuf> {
    let temporary = temporary(environment);
    // Some clients start their servers in the root, and nobody meant the whole disk.
    let working = process::current_dir().ok().filter(|path| path.parent().is_some());
    working.into_iter().chain([temporary]).filter_map(|path| directory(&path)).collect()
}

fn temporary(environment: &mut Environment<'_>) -> PathBuf {
    let Some(chosen) = environment.path(&env::TMPDIR) else {
        // The library looks at the same variable, and would take a blank one at its word.
        return if environment.is_there(&env::TMPDIR) { "/tmp".into() } else { process::temp_dir() };
    };
    if directory(&chosen).is_none() {
        environment.warn(format!(
            "{}: {} is not a directory, so no file is sent from there",
            env::TMPDIR.name,
            chosen.display()
        ));
    }
    chosen
}

fn directory(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.is_dir())
}
