//! The files of a workspace: the inbox cursor, the journal of the inbox, and the inbound secret.
//!
//! ```text
//!                        ┌─ cursor, secret ──► the same? ──► replaced as a whole
//! change ──► in its turn ┤
//!                        └─ journal ──► added to, or replaced as a whole
//! ```
//!
//! The directory is made by the first change, and made again if somebody removes it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task,
};
use url::Url;

use super::{
    atomic,
    journal::{Journal, Recovered},
    journal_file::JournalFile,
};
use crate::{
    guest::wire::{CursorChange, FileChange, FileUpdate, Outcome, Saved},
    log,
    small_file::{self, Exposure, Links, SmallFile, Unreadable},
};

const CURSOR: &str = ".mcp_inbox_cursor";
const SECRET: &str = ".platform_inbound_secret";

/// A row id has 36 characters.
const CURSOR_BYTES: u64 = 256;
const SECRET_BYTES: u64 = 64 << 10;
/// Of the digest that tells the files of one workspace from those of another.
const DIGEST_BYTES: usize = 8;

/// The files in one directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Files {
    configs: Option<PathBuf>,
    /// How the names of the inbox files begin.
    stem: String,
    /// Held while a file changes: changes happen one after the other, in the order they were asked for.
    writer: Arc<Mutex<Writer>>,
}

/// What the process knows about the state of the disk.
#[derive(Debug)]
struct Writer {
    configs: PathBuf,
    journal: Journal<JournalFile>,
    /// Whether another process writes the files of the inbox.
    follows: bool,
    /// Why the journal could not be read, as it was told to the operator.
    unreadable: Option<String>,
    /// Temporary files of a crashed process have been removed.
    swept: bool,
    /// The last change failed, so that a file that looks right may not survive a crash.
    in_doubt: bool,
}

/// Why a change was not made.
enum Unchanged {
    Failed(PathBuf, io::Error),
    Follows,
    Foreign(PathBuf),
}

impl Files {
    /// The files of `workspace` on `platform` in `configs`; with none, nothing is kept.
    #[must_use]
    pub fn new(configs: Option<PathBuf>, platform: &Url, workspace: &str) -> Self {
        let stem = stem(platform, workspace);
        let directory = configs.clone().unwrap_or_default();
        let writer = Writer {
            journal: Journal::new(JournalFile::new(&directory, &stem)),
            configs: directory,
            follows: false,
            unreadable: None,
            swept: false,
            in_doubt: false,
        };
        Self { configs, stem, writer: Arc::new(Mutex::new(writer)) }
    }

    /// Carries out a change: `Stored` once it would survive a crash, else `StoreFailed`; `Refused` if
    /// another program uses the file.
    ///
    /// A change goes on to its end also if the future is dropped.
    pub async fn store(&self, update: FileUpdate) -> Outcome {
        let Some(writer) = self.writer().await else {
            return Outcome::StoreFailed("no directory for state can be written".to_owned());
        };
        let change = task::spawn_blocking(move || {
            let mut writer = writer;
            writer.change(update.change)
        });
        match change.await {
            Ok(Ok(())) => Outcome::Stored,
            Ok(Err(why)) => why.into(),
            Err(cause) => Outcome::StoreFailed(cause.to_string()),
        }
    }

    /// What is on disk, for the process that leads the inbox: it may change the files from here on.
    pub async fn saved(&self) -> Saved {
        let Some(writer) = self.writer().await else {
            return Saved { cursor: None, journal: Vec::new(), damaged_after: None };
        };
        let saved = task::spawn_blocking(move || {
            let mut writer = writer;
            writer.saved()
        });
        // Whatever the defect was, what is on disk is not known.
        saved.await.unwrap_or(Saved { cursor: None, journal: Vec::new(), damaged_after: Some(0) })
    }

    /// Another process leads the inbox: the cursor and the journal are its own until [`Files::saved`].
    pub async fn let_go(&self) {
        self.writer.lock().await.follows = true;
    }

    /// How the names of the files of the inbox begin: `.mcp_inbox_` and 16 hex digits.
    #[must_use]
    pub fn stem(&self) -> &str {
        &self.stem
    }

    /// The directory; none if nothing is kept.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.configs.as_deref()
    }

    /// The id in the cursor file; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_cursor(&self) -> Option<String> {
        cursor_in(&self.configs.as_ref()?.join(CURSOR))
    }

    /// The secret on disk; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_secret(&self) -> Option<String> {
        let path = self.configs.as_ref()?.join(SECRET);
        let file = read(&path, SECRET_BYTES)?;
        if file.exposure() != Exposure::Private {
            let shown = path.display();
            tracing::warn!(
                "{shown} is open to other users (mode {:04o}): run chmod 600 {shown}",
                file.mode()
            );
        }
        let secret = word(&file)?;
        log::hide(&secret);
        Some(secret)
    }

    /// The right to change the files, if there are any.
    async fn writer(&self) -> Option<OwnedMutexGuard<Writer>> {
        self.configs.as_ref()?;
        Some(Arc::clone(&self.writer).lock_owned().await)
    }
}

impl Writer {
    fn saved(&mut self) -> Saved {
        self.follows = false;
        self.sweep();
        let cursor = cursor_in(&self.configs.join(CURSOR));
        match self.journal.read() {
            Ok(Recovered { records, damaged_after, .. }) => {
                let damaged_after = damaged_after.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
                Saved { cursor, journal: records, damaged_after }
            }
            Err(cause) => {
                self.tell_unreadable(&cause);
                Saved { cursor, journal: Vec::new(), damaged_after: Some(0) }
            }
        }
    }

    fn tell_unreadable(&mut self, cause: &io::Error) {
        let why = format!("{} {cause}", self.journal.disk().path().display());
        if self.unreadable.as_ref() != Some(&why) {
            tracing::warn!("{why}: messages that it holds may come again");
        }
        self.unreadable = Some(why);
    }

    fn change(&mut self, change: FileChange) -> Result<(), Unchanged> {
        self.sweep();
        if self.follows && !matches!(change, FileChange::InboundSecret(_)) {
            return Err(Unchanged::Follows);
        }
        match change {
            FileChange::Append(append) => {
                self.journal.append(&append.records, append.sync).map_err(|cause| self.journal_failed(cause))
            }
            FileChange::Cursor(change) => self.move_cursor(change),
            FileChange::InboundSecret(secret) => {
                log::hide(&secret);
                self.replace(SECRET, &secret)
            }
            FileChange::Rewrite(rewrite) => self
                .journal
                .rewrite(&rewrite.records, rewrite.keep_copy)
                .map_err(|cause| self.journal_failed(cause)),
        }
    }

    fn journal_failed(&self, cause: io::Error) -> Unchanged {
        Unchanged::Failed(self.journal.disk().path().to_owned(), cause)
    }

    fn move_cursor(&mut self, change: CursorChange) -> Result<(), Unchanged> {
        let path = self.configs.join(CURSOR);
        let held = cursor_in(&path);
        let is_ours = held.is_none() || change.known.is_none() || held == change.known || held == change.id;
        match change.id {
            _ if !is_ours => Err(Unchanged::Foreign(path)),
            Some(id) => self.replace(CURSOR, &id),
            None => self.note(path.clone(), atomic::remove(&path)),
        }
    }

    fn replace(&mut self, name: &str, content: &str) -> Result<(), Unchanged> {
        let path = self.configs.join(name);
        if !self.in_doubt && holds(&path, content) {
            return Ok(());
        }
        let replaced = atomic::replace(&path, content.as_bytes()).map(drop);
        self.note(path, replaced)
    }

    fn note(&mut self, path: PathBuf, changed: io::Result<()>) -> Result<(), Unchanged> {
        self.in_doubt = changed.is_err();
        changed.map_err(|cause| Unchanged::Failed(path, cause))
    }

    /// Removes what earlier processes left behind.
    fn sweep(&mut self) {
        if !self.swept {
            self.swept = true;
            atomic::sweep(&self.configs);
            self.journal.disk().remove_old_copies();
        }
    }
}

impl From<Unchanged> for Outcome {
    fn from(unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::Failed(path, cause) => {
                Self::StoreFailed(format!("{}: {cause}{}", path.display(), advice(&cause)))
            }
            Unchanged::Follows => Self::StoreFailed("another process keeps the inbox".to_owned()),
            Unchanged::Foreign(path) => Self::Refused(format!(
                "{} was changed by another program: let only one program use this directory",
                path.display()
            )),
        }
    }
}

fn advice(cause: &io::Error) -> &'static str {
    if matches!(cause.kind(), ErrorKind::QuotaExceeded | ErrorKind::StorageFull) {
        return "; make room there";
    }
    if matches!(cause.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        return "; let this user write there, or set CONFIGS_DIR to another directory";
    }
    ""
}

/// How the names of the files of one workspace begin.
fn stem(platform: &Url, workspace: &str) -> String {
    let platform = platform.as_str().trim_end_matches('/');
    let digest = Sha256::digest(format!("{platform}\n{workspace}"));
    let digits: String = digest.iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!(".mcp_inbox_{digits}")
}

fn cursor_in(path: &Path) -> Option<String> {
    word(&read(path, CURSOR_BYTES)?)
}

fn read(path: &Path, limit: u64) -> Option<SmallFile> {
    match small_file::read(path, limit, Links::Refused) {
        Ok(file) => Some(file),
        Err(Unreadable::Absent) => None,
        Err(why) => {
            tracing::warn!("{} {why}, and is ignored", path.display());
            None
        }
    }
}

/// The one word of visible ASCII that is all there is in the file.
fn word(file: &SmallFile) -> Option<String> {
    let text = file.text()?;
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}

/// Whether `path` is already what it should be, in content and mode.
fn holds(path: &Path, content: &str) -> bool {
    small_file::read(path, SECRET_BYTES, Links::Refused)
        .is_ok_and(|file| file.bytes == content.as_bytes() && file.exposure() == Exposure::Private)
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "files_journal_tests.rs"]
mod journal_tests;
