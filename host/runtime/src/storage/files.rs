//! The files of a workspace: the inbox cursor, the journal of the inbox, and the inbound secret.
//!
//! ```text
//!                        ┌─ cursor, secret ──► the same? ──► replaced as a whole
//! change ──► in its turn ┤
//!                        └─ journal ──► added to, or replaced as a whole
//! ```
//!
//! The directory is made by the first change, and made again if somebody removes it.

use std::{future, path::Path, sync::Arc};

use tokio::{
    sync::{Mutex, Notify},
    task::{self, JoinError},
};
use tracing::Span;

use super::{
    paths::InboxPaths,
    small_file::{self, Exposure, Links, SmallFile, Unreadable},
    writer::Writer,
};
use crate::{
    account::Account,
    guest::wire::{FileUpdate, Outcome, Saved},
    hidden,
    names::names,
};

/// A row id has 36 characters.
const CURSOR_BYTES: u64 = 256;
pub(super) const SECRET_BYTES: u64 = 64 << 10;

/// The files in one directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Files {
    /// None if nothing is kept.
    paths: Option<InboxPaths>,
    /// Held while a file changes: changes happen one after the other, in the order they were asked for.
    writer: Option<Arc<Mutex<Writer>>>,
    /// Told when the lock is to be looked at.
    doubt: Arc<Notify>,
}

/// Who keeps the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Another process; the text tells a person which.
    Another(String),
    /// This process, which has the lock.
    Here,
    /// This process; there can be no lock, for the reason given.
    Unlocked(String),
}

impl Files {
    /// The files of a workspace.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self::at(account.paths().cloned())
    }

    /// The files at `paths`; with none, nothing is kept.
    pub(crate) fn at(paths: Option<InboxPaths>) -> Self {
        let writer = paths.as_ref().map(Writer::new);
        let doubt = writer.as_ref().map(Writer::doubt).unwrap_or_default();
        Self { paths, writer: writer.map(|writer| Arc::new(Mutex::new(writer))), doubt }
    }

    /// Carries out a change: `Stored` once it would survive a crash, else `StoreFailed`; `Refused` if
    /// another program uses the file.
    ///
    /// A change that has begun goes on to its end also if the future is dropped.
    pub async fn store(&self, update: FileUpdate) -> Outcome {
        match self.write(|writer| writer.change(update.change)).await {
            Ok(Some(Ok(()))) => Outcome::Stored,
            Ok(Some(Err(why))) => why.into(),
            Ok(None) => Outcome::StoreFailed(nowhere()),
            Err(cause) => Outcome::StoreFailed(cause.to_string()),
        }
    }

    /// What is on disk, for the process that leads the inbox.
    pub async fn saved(&self) -> Saved {
        let nothing = Saved { cursor: None, journal: Vec::new(), damaged_after: None };
        match self.write(Writer::saved).await {
            Ok(saved) => saved.unwrap_or(nothing),
            // Whatever the defect was, what is on disk is not known.
            Err(_) => Saved { damaged_after: Some(0), ..nothing },
        }
    }

    /// Takes the lock of the inbox, if nobody else has it. Who does not lead changes neither the cursor nor
    /// the journal.
    pub async fn lead(&self) -> Lead {
        match self.write(Writer::lead).await {
            Ok(Some(lead)) => lead,
            Ok(None) => Lead::Unlocked(nowhere()),
            Err(cause) => Lead::Unlocked(cause.to_string()),
        }
    }

    /// Gives the lock back; from here on nothing but the secret is changed until [`Files::lead`].
    pub async fn resign(&self) {
        // What could not be written is what the next leader reads.
        let _ = self.write(Writer::resign).await;
    }

    /// Whether nobody else can have changed the files since [`Files::lead`]; if not, that has to be called
    /// again, and everything read again.
    pub async fn still_leads(&self) -> bool {
        matches!(self.write(Writer::still_leads).await, Ok(None | Some(true)))
    }

    /// Returns when a change has found that the lock may be another process's by now.
    pub async fn lock_in_doubt(&self) {
        self.doubt.notified().await;
    }

    /// The id in the cursor file; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_cursor(&self) -> Option<String> {
        self.paths.as_ref()?.read_cursor()
    }

    /// The secret on disk; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_secret(&self) -> Option<String> {
        let path = &self.paths.as_ref()?.secret;
        let file = read(path, SECRET_BYTES)?;
        if file.exposure() != Exposure::Private {
            let shown = path.display();
            tracing::warn!(
                "{shown} is open to other users (mode {:04o}): run chmod 600 {shown}",
                file.mode()
            );
        }
        let secret = word(&file)?;
        hidden::hide(&secret);
        Some(secret)
    }

    /// Does it in its turn, and to its end; none if there are no files.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<Option<T>, JoinError> {
        let Some(writer) = &self.writer else {
            return Ok(None);
        };
        let mut writer = Arc::clone(writer).lock_owned().await;
        let span = Span::current();
        match task::spawn_blocking(move || span.in_scope(|| work(&mut writer))).await {
            Ok(done) => Ok(Some(done)),
            // It was never begun, because the runtime ends: that says nothing of the disk.
            Err(cancelled) if cancelled.is_cancelled() => future::pending().await,
            Err(panicked) => Err(panicked),
        }
    }
}

/// Why nothing is kept.
fn nowhere() -> String {
    format!("no directory for state can be written: set {} to one", names().state)
}

impl InboxPaths {
    /// The id in the cursor file; none if there is no such file, or anything else in it.
    pub(crate) fn read_cursor(&self) -> Option<String> {
        if self.cursor.exists() {
            return cursor_in(&self.cursor);
        }
        cursor_in(self.former_cursor.as_ref()?)
    }
}

fn cursor_in(path: &Path) -> Option<String> {
    word(&read(path, CURSOR_BYTES)?)
}

/// The same, for those who look again and again: nothing is said of what cannot be read.
pub(super) fn cursor_now_in(path: &Path) -> Option<String> {
    word(&small_file::read(path, CURSOR_BYTES, Links::Refused).ok()?)
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

#[cfg(test)]
#[path = "files_rig.rs"]
mod rig;

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "files_journal_tests.rs"]
mod journal_tests;

#[cfg(test)]
#[path = "files_lead_tests.rs"]
mod lead_tests;
