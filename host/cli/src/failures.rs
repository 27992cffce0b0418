//! The last start that failed, kept because clients hide what a server says when it does not start.
//!
//! ```text
//! failed start ──► one file in the configs directory, 0600 ──► doctor
//! ```
//!
//! It is kept only where the directory exists already: a start that fails makes none.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use molecule_runtime::{
    hidden::without_secrets,
    storage::{
        private_file,
        small_file::{self, Links},
    },
};
use serde::{Deserialize, Serialize};

const NAME: &str = ".mcp_last_failure";
/// Of what was said.
const SAID_CHARS: usize = 8_000;
/// Of the file.
const FILE_BYTES: u64 = 64 << 10;

/// A start that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Seconds since 1970.
    pub at_s: u64,
    /// The version of the program.
    pub version: String,
    /// With which the program ended.
    pub exit_code: i32,
    /// The name of the process that started it, where the system tells.
    pub started_by: Option<String>,
    /// What it said on stderr, without secrets.
    pub said: String,
}

impl Failure {
    /// How long ago it was; none if the clock was set back since.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(self.at_s)).ok()
    }
}

/// Keeps in `directory` that a start ended with `exit_code`, after it `said` why.
pub fn keep(directory: &Path, exit_code: i32, said: &str) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let failure = Failure {
        at_s: now.as_secs(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        exit_code,
        started_by: parent(),
        said: without_secrets(said).chars().take(SAID_CHARS).collect(),
    };
    let Ok(text) = serde_json::to_string(&failure) else { return };
    if directory.is_dir() {
        // Who cannot keep it has said it on stderr all the same.
        let _ = private_file::replace(&directory.join(NAME), text.as_bytes());
    }
}

/// The last failure that was kept in `directory`.
#[must_use]
pub fn last(directory: &Path) -> Option<Failure> {
    let file = small_file::read(&directory.join(NAME), FILE_BYTES, Links::Refused).ok()?;
    serde_json::from_slice(&file.bytes).ok()
}

/// The name of the process that started this one.
fn parent() -> Option<String> {
    let parent = rustix::process::getppid()?;
    let name = fs::read_to_string(format!("/proc/{}/comm", parent.as_raw_nonzero())).ok()?;
    Some(name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use molecule_runtime::hidden::hide;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_last_failure_is_kept_for_its_owner_without_secrets() {
        hide("canary-failure-1");
        let directory = TempDir::new().unwrap();

        keep(directory.path(), 2, "WORKSPACE_ID is missing");
        keep(directory.path(), 3, "the token canary-failure-1 is refused");

        let failure = last(directory.path()).unwrap();
        assert_eq!((failure.exit_code, failure.said.as_str()), (3, "the token [token] is refused"));
        assert!(failure.age().unwrap() < Duration::from_secs(60));
        let metadata = fs::metadata(directory.path().join(NAME)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_directory_is_made_for_it() {
        let above = TempDir::new().unwrap();
        let directory = above.path().join("configs");

        keep(&directory, 2, "x");

        assert!(!directory.exists() && last(&directory).is_none());
    }
}
