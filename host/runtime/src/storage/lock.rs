//! The right to fetch the messages of a workspace: one process at a time has it.
//!
//! The lock is the kernel's and ends with the process; the text in its file is for people. Somebody may
//! remove the file, and another process lock the next one of that name: so a lock counts only for as long
//! as its path names its file.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use chrono::{SecondsFormat, Utc};

use super::{
    atomic,
    small_file::{self, Identity, Links},
};
use crate::text::one_line;

/// Somebody who only looks holds the lock for some microseconds.
const TRIES: u32 = 3;
const AFTER_A_LOOKER: Duration = Duration::from_millis(10);
/// Bytes of the text in the file.
const TEXT_BYTES: u64 = 200;
/// Where the text says nothing.
const SOMEBODY: &str = "another process";

/// The lock, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

/// What came of trying to take the lock.
#[derive(Debug)]
pub(super) enum Taken {
    /// Another process has it; the text tells a person which.
    ByAnother(String),
    /// This process has it.
    Here(Lock),
}

/// What somebody finds who only looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A process has it; the text tells a person which.
    Held(String),
    /// Nobody.
    Nobody,
    /// That cannot be told, for the reason given.
    Unknown(String),
}

/// Tries to take the lock, and makes the file and its directory.
pub(super) fn take(path: &Path) -> io::Result<Taken> {
    atomic::make_directory(atomic::directory_of(path))?;
    for _ in 0..TRIES {
        let file = open(path, OpenOptions::new().read(true).write(true).create(true).truncate(false))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                thread::sleep(AFTER_A_LOOKER);
                continue;
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        let lock = Lock { path: path.to_owned(), file };
        // Otherwise somebody has removed the file in between.
        if lock.counts() {
            lock.sign();
            return Ok(Taken::Here(lock));
        }
    }
    Ok(Taken::ByAnother(text(path)))
}

/// Who holds the lock. Changes nothing, and disturbs nobody who takes it.
pub(crate) fn holder(path: &Path) -> Holder {
    let file = match open(path, OpenOptions::new().read(true)) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Holder::Nobody,
        Err(cause) => return Holder::Unknown(cause.to_string()),
    };
    match file.try_lock_shared() {
        Ok(()) => Holder::Nobody,
        Err(TryLockError::WouldBlock) => Holder::Held(text(path)),
        Err(TryLockError::Error(cause)) => Holder::Unknown(cause.to_string()),
    }
}

impl Lock {
    /// Whether its path names its file.
    pub(super) fn counts(&self) -> bool {
        let named = self.path.symlink_metadata().map(Identity::from);
        let own = self.file.metadata().map(Identity::from);
        matches!((named, own), (Ok(named), Ok(own)) if named == own)
    }

    /// Whether nothing is at its path, so that nobody can have taken a lock there.
    pub(super) fn is_removed(&self) -> bool {
        self.path.symlink_metadata().is_err_and(|cause| cause.kind() == ErrorKind::NotFound)
    }

    /// Writes who holds it; a full disk is no reason not to hold it.
    fn sign(&self) {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let text = format!("process {}, since {now}\n", process::id());
        let _ = self.file.set_permissions(Permissions::from_mode(atomic::OWNER_ONLY));
        // In this order nobody reads nothing.
        let _ = self.file.write_all_at(text.as_bytes(), 0);
        let _ = self.file.set_len(u64::try_from(text.len()).unwrap_or_default());
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(atomic::OWNER_ONLY).custom_flags(small_file::flags(Links::Refused)).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

fn text(path: &Path) -> String {
    let file = small_file::read(path, TEXT_BYTES, Links::Refused).ok();
    let text = file.as_ref().and_then(|file| file.text()).filter(|text| !text.is_empty());
    text.map_or_else(|| SOMEBODY.to_owned(), one_line)
}
