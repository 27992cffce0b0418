//! What the tests of the files share: a directory that does not exist yet, and changes of what is in it.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use url::Url;

use super::Files;
use crate::{
    guest::wire::{FileChange, FileUpdate, JournalAppend, JournalRewrite},
    storage::paths::{InboxPaths, Naming},
};

/// A directory that does not exist before something is kept in it.
pub(super) struct Place {
    pub(super) configs: PathBuf,
    _above: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let above = TempDir::new().unwrap();
        Self { configs: above.path().join("configs"), _above: above }
    }

    /// As a process that has just started sees it.
    pub(super) fn files(&self) -> Files {
        Files::at(Some(self.paths()))
    }

    pub(super) fn paths(&self) -> InboxPaths {
        paths(&self.configs)
    }
}

/// The files of workspace `w`, alone in `directory`.
pub(super) fn paths(directory: &Path) -> InboxPaths {
    let naming = Naming::of(&["w"]).remove(0);
    InboxPaths::new(directory, &platform(), "w", &naming)
}

pub(super) fn platform() -> Url {
    Url::parse("https://acme.example.com/").unwrap()
}

pub(super) fn append(records: &[&str]) -> FileUpdate {
    let change = FileChange::Append(JournalAppend { records: texts(records), sync: true });
    FileUpdate { workspace: 0, change }
}

pub(super) fn rewrite(records: &[&str], keep_copy: bool) -> FileUpdate {
    let change = FileChange::Rewrite(JournalRewrite { records: texts(records), keep_copy });
    FileUpdate { workspace: 0, change }
}

pub(super) fn texts(records: &[&str]) -> Vec<String> {
    records.iter().map(|record| (*record).to_owned()).collect()
}
