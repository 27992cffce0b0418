//! The right to fetch the messages of a workspace: one process at a time has it.
//!
//! The lock is the kernel's and ends with the process; the text in its file says who has it, since when, and when its
//! client called a tool for the last time. If the file is removed, another process can lock the next one of that name:
//! so a lock counts only for as long as its path names its file.

use std::{
    fmt,
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{
    atomic,
    small_file::{self, Identity, Links},
};
use crate::text::one_line;

/// Somebody who only looks holds the lock for some microseconds.
const TRIES: u32 = 3;
const AFTER_A_LOOKER: Duration = Duration::from_millis(10);
/// Bytes of the text in the file, at most.
const TEXT_BYTES: u64 = 400;
/// Where the text says nothing.
const SOMEBODY: &str = "another process";

/// Who keeps the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Another process.
    Another(Leader),
    /// This process, which has the lock.
    Here,
    /// This process; there can be no lock, for the reason given.
    Unlocked(String),
}

/// The lock, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
    since: DateTime<Utc>,
}

/// The process that has the lock, as its file says; for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Which process it is, and since when it leads.
    pub who: String,
    /// When its client called a tool for the last time; empty if nothing tells.
    pub called: String,
    process: Option<u32>,
}

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Signature {
    pid: u32,
    since: String,
    #[serde(default)]
    called: Option<String>,
}

/// What came of trying to take the lock.
#[derive(Debug)]
pub(super) enum Taken {
    /// Another process has it.
    ByAnother(Leader),
    /// This process has it.
    Here(Lock),
}

/// What somebody finds who only looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A process has it.
    Held(Leader),
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
        let lock = Lock { path: path.to_owned(), file, since: Utc::now() };
        // Otherwise somebody has removed the file in between.
        if lock.counts() {
            lock.sign(None);
            return Ok(Taken::Here(lock));
        }
    }
    Ok(Taken::ByAnother(leader(path)))
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
        Err(TryLockError::WouldBlock) => Holder::Held(leader(path)),
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

    /// Writes down that the client calls a tool at this moment.
    pub(super) fn note_call(&self) {
        self.sign(Some(Utc::now()));
    }

    /// Writes who holds it; a full disk is no reason not to hold it.
    fn sign(&self, called: Option<DateTime<Utc>>) {
        let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let signature = Signature { pid: process::id(), since: text(self.since), called: called.map(text) };
        let text = serde_json::to_string(&signature).unwrap_or_default() + "\n";
        let _ = self.file.set_permissions(Permissions::from_mode(atomic::OWNER_ONLY));
        // Write before truncating, so that readers never see an empty file.
        let _ = self.file.write_all_at(text.as_bytes(), 0);
        let _ = self.file.set_len(u64::try_from(text.len()).unwrap_or_default());
    }
}

impl Leader {
    fn signed(signature: &Signature, now: DateTime<Utc>) -> Self {
        let Signature { pid, since, called } = signature;
        let called = called.as_deref().and_then(|called| DateTime::parse_from_rfc3339(called).ok());
        Self {
            who: one_line(&format!("process {pid}, since {since}")),
            called: match called.map(|called| now.signed_duration_since(called).num_minutes()) {
                None => "its client has called no tool so far".to_owned(),
                Some(..1) => "its client called a tool within the last minute".to_owned(),
                Some(minutes) => format!("its client called a tool {minutes} min ago for the last time"),
            },
            process: Some(*pid),
        }
    }

    /// What another version wrote, or nothing.
    fn unsigned(text: &str) -> Self {
        let who = if text.is_empty() { SOMEBODY.to_owned() } else { one_line(text) };
        Self { who, called: String::new(), process: None }
    }

    /// Its id, if it has written that down.
    pub(crate) const fn process(&self) -> Option<u32> {
        self.process
    }

    /// What a person can do about it.
    pub(super) fn end_it(&self) -> String {
        match self.process {
            Some(process) => format!("end it (kill {process})"),
            None => "end it".to_owned(),
        }
    }
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.who)?;
        if !self.called.is_empty() {
            write!(f, "; {}", self.called)?;
        }
        Ok(())
    }
}

fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file = options.mode(atomic::OWNER_ONLY).custom_flags(small_file::flags(Links::Refused)).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

fn leader(path: &Path) -> Leader {
    let file = small_file::read(path, TEXT_BYTES, Links::Refused).ok();
    let text = file.as_ref().and_then(|file| file.text()).unwrap_or_default();
    // Behind it may be the rest of a longer one, until that is cut off.
    match serde_json::from_str(text.lines().next().unwrap_or_default()) {
        Ok(signature) => Leader::signed(&signature, Utc::now()),
        Err(_) => Leader::unsigned(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_is_told_with_the_time_of_its_last_call() {
        let now = DateTime::parse_from_rfc3339("2026-05-01T12:00:00Z").unwrap().to_utc();
        for (called, told) in [
            (None, "no tool so far"),
            (Some("2026-05-01T11:59:01Z"), "within the last minute"),
            (Some("2026-05-01T12:00:30Z"), "within the last minute"),
            (Some("2026-05-01T10:29:00Z"), "91 min ago"),
            (Some("gibberish"), "no tool so far"),
        ] {
            let signature = Signature {
                pid: 7,
                since: "2026-05-01T10:00:00Z".to_owned(),
                called: called.map(str::to_owned),
            };
            let leader = Leader::signed(&signature, now).to_string();
            assert!(leader.starts_with("process 7, since 2026-05-01T10:00:00Z; "), "{leader}");
            assert!(leader.contains(told), "{leader}");
        }
    }

    #[test]
    fn what_is_no_signature_is_shown_as_it_is() {
        assert_eq!(Leader::unsigned("").to_string(), SOMEBODY);
        assert_eq!(Leader::unsigned("process 1,\nsince").to_string(), "process 1, since");
    }
}
