//! The directory where state is kept.
//!
//! ```text
//! CONFIGS_DIR ──► /configs, if it can be written ──► ~/.molecule-workspace
//! ```
//!
//! Here it is only found: nothing is made before something has to be saved.

use std::path::{self, Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::environment::Environment;
use crate::env;

const CONTAINER: &str = "/configs";
const BELOW_HOME: &str = ".molecule-workspace";

/// Where state is kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConfigsDir {
    /// Where to look for files, also if nothing can be written there.
    pub(super) path: Option<PathBuf>,
    /// Whether it can be written, or made.
    pub(super) writable: bool,
}

/// Finds the directory; a relative one is below the working directory of this moment.
pub(super) fn find(environment: &mut Environment<'_>) -> ConfigsDir {
    if let Some(chosen) = environment.path(&env::CONFIGS_DIR) {
        return chosen_by_operator(environment, &chosen);
    }
    let container = PathBuf::from(CONTAINER);
    if container.is_dir() && may_write(&container) {
        return ConfigsDir { path: Some(container), writable: true };
    }
    let Some(home) = environment.home() else {
        environment.warn(
            "neither CONFIGS_DIR nor HOME is set, so state is not saved: \
             after a restart messages of the last minutes come again"
                .to_owned(),
        );
        return ConfigsDir { path: None, writable: false };
    };
    judge(environment, path::absolute(home.join(BELOW_HOME)).unwrap_or_default())
}

fn chosen_by_operator(environment: &mut Environment<'_>, chosen: &Path) -> ConfigsDir {
    let path = path::absolute(chosen).unwrap_or_else(|_| chosen.to_owned());
    if path.exists() && !path.is_dir() {
        let why = format!("CONFIGS_DIR: {} is not a directory", path.display());
        environment.unusable(&env::CONFIGS_DIR, why);
        return ConfigsDir { path: None, writable: false };
    }
    judge(environment, path)
}

fn judge(environment: &mut Environment<'_>, path: PathBuf) -> ConfigsDir {
    let writable = can_be_made(&path);
    if !writable {
        environment.warn(format!(
            "{} cannot be written, so state is not saved: after a restart messages of the last minutes come again",
            path.display()
        ));
    }
    ConfigsDir { path: Some(path), writable }
}

/// Whether `path` is a directory to write in, or could be made one.
fn can_be_made(path: &Path) -> bool {
    path.ancestors().find(|ancestor| ancestor.symlink_metadata().is_ok()).is_some_and(may_write)
}

fn may_write(directory: &Path) -> bool {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    directory.is_dir() && accessat(CWD, directory, access, AtFlags::EACCESS).is_ok()
}
