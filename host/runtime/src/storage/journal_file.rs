//! The file of a journal.
//!
//! ```text
//! .mcp_inbox_<h>.journal ── put aside ──► .damaged-1 ──► .damaged-2 ──► gone
//! ```
//!
//! What is appended goes to the very file that was read or made: if its path names another one, or none,
//! the append fails.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::PathBuf,
    time::{Duration, SystemTime},
};

use molecule_journal::Disk;

use super::{
    atomic,
    paths::InboxPaths,
    small_file::{self, Identity, Links, Unreadable},
};

/// Copies show what went wrong, and hold messages.
const COPY_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A journal's place in a directory.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    /// The newest first.
    copies: [PathBuf; 2],
    /// The file that was read or made last.
    identity: Option<Identity>,
    /// That file, open for adding.
    file: Option<File>,
}

impl JournalFile {
    /// The journal at `paths`. Nothing is opened yet.
    pub(super) fn new(paths: &InboxPaths) -> Self {
        Self { path: paths.journal.clone(), copies: paths.copies.clone(), identity: None, file: None }
    }

    /// Removes copies of damaged journals that are a week old.
    pub(super) fn remove_old_copies(&self) {
        for copy in &self.copies {
            if atomic::is_older_than(copy, COPY_KEPT) {
                let _ = fs::remove_file(copy);
            }
        }
    }

    /// The file, if its path still names it, and its length.
    fn open(&mut self) -> io::Result<(&mut File, u64)> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.open_to_add()?,
        };
        let metadata = file.metadata()?;
        let (length, own) = (metadata.len(), Identity::from(metadata));
        let named = self.path.symlink_metadata().map_err(removed)?;
        if self.identity != Some(own) || own != Identity::from(named) {
            return Err(io::Error::other("another program has replaced it"));
        }
        Ok((self.file.insert(file), length))
    }

    fn open_to_add(&self) -> io::Result<File> {
        let options =
            OpenOptions::new().append(true).custom_flags(small_file::flags(Links::Refused)).to_owned();
        let file = options.open(&self.path).map_err(removed)?;
        // It may have been copied here by somebody less careful. Of another owner's file it is not ours to say.
        let _ = file.set_permissions(Permissions::from_mode(atomic::OWNER_ONLY));
        // A process that ended in the middle of replacing it may have left its name unsynced.
        atomic::sync_directory(atomic::directory_of(&self.path))?;
        Ok(file)
    }
}

impl Disk for JournalFile {
    fn read(&mut self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        (self.identity, self.file) = (None, None);
        match small_file::read(&self.path, limit, Links::Refused) {
            Ok(file) => {
                self.identity = Some(file.metadata.into());
                Ok(Some(file.bytes))
            }
            Err(Unreadable::Absent) => Ok(None),
            Err(why) => Err(io::Error::other(why.to_string())),
        }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let (file, _) = self.open()?;
        file.set_len(length)
    }

    fn append(&mut self, end: u64, bytes: &[u8]) -> io::Result<()> {
        let (file, length) = self.open()?;
        if length != end {
            return Err(io::Error::other("another program has changed it"));
        }
        file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        match &self.file {
            // What was appended is in this file, whatever its path names by now.
            Some(file) => file.sync_data(),
            None => self.open()?.0.sync_data(),
        }
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        (self.identity, self.file) = (None, None);
        let file = atomic::replace(&self.path, bytes)?;
        self.identity = Some(file.metadata()?.into());
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let current = match self.path.symlink_metadata() {
            Ok(metadata) => Identity::from(metadata),
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            Err(cause) => return Err(cause),
        };
        let [newest, older] = &self.copies;
        if newest.symlink_metadata().is_ok_and(|metadata| Identity::from(metadata) == current) {
            return Ok(());
        }
        match fs::rename(newest, older) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
            Ok(()) | Err(_) => {}
        }
        // Not every file system has second names. Then there is no journal for a moment, which costs repeats.
        fs::hard_link(&self.path, newest).or_else(|_| fs::rename(&self.path, newest))?;
        // Its week begins here.
        if let Ok(file) = self.open_copy() {
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(())
    }
}

impl JournalFile {
    fn open_copy(&self) -> io::Result<File> {
        let [newest, _] = &self.copies;
        OpenOptions::new().read(true).custom_flags(small_file::flags(Links::Refused)).open(newest)
    }
}

fn removed(cause: io::Error) -> io::Error {
    if cause.kind() == ErrorKind::NotFound {
        return io::Error::new(cause.kind(), "somebody has removed it");
    }
    cause
}
