//! Changes the files of a workspace, one after the other.
//!
//! ```text
//! follows ── lock taken ──► leads ── lock taken by another ──► follows
//! ```
//!
//! Who follows changes neither cursor nor journal: another process keeps them.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use molecule_journal::{Disk as _, Journal, cursor::Wanted};
use tokio::sync::Notify;

use super::{
    atomic,
    journal_file::JournalFile,
    lock::{self, Holder, Lead, Leader, Lock, Taken},
    paths::InboxPaths,
    small_file::{self, Exposure, Links},
    takeover::{self, Requests},
    words::{SECRET_BYTES, cursor_now_in},
};
use crate::{
    guest::wire::{CursorChange, FileChange, Outcome, Saved},
    hidden,
    names::names,
};

/// What the process knows about the state of the disk.
#[derive(Debug)]
pub(super) struct Writer {
    paths: InboxPaths,
    role: Role,
    /// Told when a change finds that the lock does not count.
    doubt: Arc<Notify>,
    journal: Journal<JournalFile>,
    /// Why the journal could not be read, as it was told to the operator.
    unreadable: Option<String>,
    /// Of the cursor file.
    wanted: Wanted,
    /// Temporary files of a crashed process have been removed.
    swept: bool,
    /// The last change failed, so that a file that looks right may not survive a crash.
    in_doubt: bool,
}

/// Who keeps the inbox.
#[derive(Debug)]
enum Role {
    /// Another process.
    Follows,
    /// This process, which has the lock.
    Leads(Lock),
    /// This process; nobody has asked for a lock, or there can be none.
    LeadsUnlocked,
}

/// Why a change was not made.
pub(super) enum Unchanged {
    Failed(PathBuf, io::Error),
    Follows,
    Foreign(PathBuf),
    LockLost(PathBuf),
}

impl Writer {
    /// Changes the files at `paths`, and the others beside them.
    pub(super) fn new(paths: &InboxPaths) -> Self {
        Self {
            journal: Journal::new(JournalFile::new(paths)),
            paths: paths.clone(),
            role: Role::LeadsUnlocked,
            doubt: Arc::default(),
            unreadable: None,
            wanted: Wanted::default(),
            swept: false,
            in_doubt: false,
        }
    }

    /// What is told when a change finds that the lock does not count.
    pub(super) fn doubt(&self) -> Arc<Notify> {
        Arc::clone(&self.doubt)
    }

    /// Takes the lock, if nobody else has it.
    pub(super) fn lead(&mut self) -> Lead {
        if matches!(&self.role, Role::Leads(lock) if lock.counts()) {
            return Lead::Here;
        }
        let (role, lead) = match lock::take(&self.paths.lock) {
            Ok(Taken::ByAnother(leader)) => (Role::Follows, Lead::Another(leader)),
            Ok(Taken::Here(lock)) => (Role::Leads(lock), Lead::Here),
            Err(cause) => {
                let why = format!("{}: {cause}{}", self.paths.lock.display(), advice(&cause));
                (Role::LeadsUnlocked, Lead::Unlocked(why))
            }
        };
        self.role = role;
        lead
    }

    /// Whether nobody else can have changed the files since [`Writer::lead`]. A lock whose file was removed
    /// is taken anew.
    pub(super) fn still_leads(&mut self) -> bool {
        let nobody_came = match &self.role {
            Role::Follows => return false,
            Role::Leads(lock) if lock.counts() => return true,
            Role::Leads(lock) => lock.is_removed(),
            Role::LeadsUnlocked => true,
        };
        match self.lead() {
            Lead::Another(_) => false,
            Lead::Here | Lead::Unlocked(_) => nobody_came,
        }
    }

    /// Gives the lock back. What was written is on the disk then, as far as that can be made sure; what comes later
    /// is refused.
    pub(super) fn resign(&mut self) {
        // After a failed sync nothing is known, and the next leader reads what there is.
        let _ = self.journal.disk_mut().sync();
        self.journal = Journal::new(JournalFile::new(&self.paths));
        self.role = Role::Follows;
    }

    /// Receives the requests of other processes for the lead; nothing where there is no lock to ask for.
    pub(super) fn requests(&self) -> Option<io::Result<Requests>> {
        matches!(self.role, Role::Leads(_)).then(|| Requests::open(&self.paths.requests))
    }

    /// Asks the process that leads for the lead; false if it receives no requests.
    pub(super) fn request_lead(&self) -> io::Result<bool> {
        takeover::request(&self.paths.requests)
    }

    /// The process that leads, if another one does.
    pub(super) fn leader(&self) -> Option<Leader> {
        match lock::holder(&self.paths.lock) {
            Holder::Held(leader) => Some(leader),
            Holder::Nobody | Holder::Unknown(_) => None,
        }
    }

    /// Writes down that the client calls a tool.
    pub(super) fn note_call(&self) {
        match &self.role {
            Role::Leads(lock) => lock.note_call(),
            Role::Follows | Role::LeadsUnlocked => {}
        }
    }

    pub(super) fn saved(&mut self) -> Saved {
        self.sweep();
        let cursor = self.paths.read_cursor();
        match self.journal.read() {
            Ok(found) => Saved { cursor, damaged_after: found.damage(), journal: found.records },
            Err(cause) => {
                self.tell_unreadable(&cause);
                Saved { cursor, journal: Vec::new(), damaged_after: Some(0) }
            }
        }
    }

    fn tell_unreadable(&mut self, cause: &io::Error) {
        let why = format!("{} {cause}", self.paths.journal.display());
        if self.unreadable.as_ref() != Some(&why) {
            tracing::warn!("{why}: messages that it holds may come again");
        }
        self.unreadable = Some(why);
    }

    pub(super) fn change(&mut self, change: FileChange) -> Result<(), Unchanged> {
        if !matches!(change, FileChange::InboundSecret(_)) {
            self.may_change_the_inbox()?;
        }
        self.sweep();
        match change {
            FileChange::Append(append) => {
                self.journal.append(&append.records, append.sync).map_err(|cause| self.journal_failed(cause))
            }
            FileChange::Cursor(change) => self.move_cursor(change),
            FileChange::InboundSecret(secret) => {
                hidden::hide(&secret);
                self.replace(self.paths.secret.clone(), &secret)
            }
            FileChange::Rewrite(rewrite) => {
                self.journal.disk().remove_old_copies();
                self.journal
                    .rewrite(&rewrite.records, rewrite.keep_copy)
                    .map_err(|cause| self.journal_failed(cause))
            }
        }
    }

    fn may_change_the_inbox(&self) -> Result<(), Unchanged> {
        match &self.role {
            Role::Follows => Err(Unchanged::Follows),
            Role::Leads(lock) if !lock.counts() => {
                self.doubt.notify_one();
                Err(Unchanged::LockLost(self.paths.lock.clone()))
            }
            Role::Leads(_) | Role::LeadsUnlocked => Ok(()),
        }
    }

    fn journal_failed(&self, cause: io::Error) -> Unchanged {
        Unchanged::Failed(self.paths.journal.clone(), cause)
    }

    fn move_cursor(&mut self, change: CursorChange) -> Result<(), Unchanged> {
        let path = self.paths.cursor.clone();
        let held = cursor_now_in(&path);
        if !self.wanted.may_become(&held, &change.known, &change.id) {
            return Err(Unchanged::Foreign(path));
        }
        match change.id {
            Some(id) => self.replace(path, &id),
            None => self.note(path.clone(), atomic::remove(&path)),
        }
    }

    fn replace(&mut self, path: PathBuf, content: &str) -> Result<(), Unchanged> {
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
            atomic::sweep(&self.paths.directory);
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
            Unchanged::LockLost(path) => Self::StoreFailed(format!(
                "{} was removed: leave it alone while the program runs",
                path.display()
            )),
        }
    }
}

fn advice(cause: &io::Error) -> String {
    if cause.kind() == ErrorKind::FileTooLarge {
        return "; raise the limit on the size of files (ulimit -f)".to_owned();
    }
    if matches!(cause.kind(), ErrorKind::QuotaExceeded | ErrorKind::StorageFull) {
        return "; make room there".to_owned();
    }
    if matches!(cause.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        return format!("; let this user write there, or set {} to another directory", names().state);
    }
    String::new()
}

/// Whether `path` is already what it should be, in content and mode.
fn holds(path: &Path, content: &str) -> bool {
    small_file::read(path, SECRET_BYTES, Links::Refused)
        .is_ok_and(|file| file.bytes == content.as_bytes() && file.exposure() == Exposure::Private)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_to_do() {
        for (kind, word) in [
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::QuotaExceeded, "make room"),
            (ErrorKind::FileTooLarge, "ulimit -f"),
            (ErrorKind::ReadOnlyFilesystem, names().state),
            (ErrorKind::PermissionDenied, names().state),
        ] {
            let Outcome::StoreFailed(why) = Unchanged::Failed("/c/f".into(), kind.into()).into() else {
                panic!()
            };
            assert!(why.starts_with("/c/f: ") && why.contains(word), "{why}");
        }
    }
}
