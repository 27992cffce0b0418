//! The files of the inbox on the simulated disk, by the host's own journal.

use std::io;

use molecule_journal::{self as journal, Journal, cursor::Wanted};

use super::{
    disk::{Disk, Handle},
    wire::{FetchRequest, FetchedFile, FileChange, FileUpdate, Outcome, Saved},
};

/// The journal's name.
pub(super) const JOURNAL: &str = "journal";

/// The cursor file's name.
pub(super) const CURSOR: &str = "cursor";

const COPIES: [&str; 2] = ["damaged-1", "damaged-2"];

/// The files of one process.
#[derive(Debug)]
pub(super) struct Files {
    disk: Disk,
    journal: Journal<JournalFile>,
    /// Of the cursor file.
    wanted: Wanted,
    /// The cursor file may not survive a crash as it reads.
    in_doubt: bool,
}

impl Files {
    /// Nothing is read yet.
    pub(super) fn new(disk: Disk) -> Self {
        let file = JournalFile { disk: disk.clone(), file: None, is_open: false };
        Self { disk, journal: Journal::new(file), wanted: Wanted::default(), in_doubt: false }
    }

    /// What is on disk.
    pub(super) fn saved(&mut self) -> Saved {
        let cursor = cursor(&self.disk);
        match self.journal.read() {
            Ok(found) => Saved { cursor, damaged_after: found.damage(), journal: found.records },
            Err(_) => Saved { cursor, journal: Vec::new(), damaged_after: Some(0) },
        }
    }

    /// Carries out a change.
    pub(super) fn store(&mut self, update: FileUpdate) -> Outcome {
        let done = match update.change {
            FileChange::Append(append) => self.journal.append(&append.records, append.sync),
            FileChange::Rewrite(rewrite) => self.journal.rewrite(&rewrite.records, rewrite.keep_copy),
            FileChange::InboundSecret(_) => Ok(()),
            FileChange::Cursor(change) => {
                let held = cursor(&self.disk);
                if !self.wanted.may_become(&held, &change.known, &change.id) {
                    return Outcome::Refused("another program has changed it".to_owned());
                }
                let moved = self.move_cursor(held, change.id);
                self.in_doubt = moved.is_err();
                moved
            }
        };
        match done {
            Ok(()) => Outcome::Stored,
            Err(cause) => Outcome::StoreFailed(cause.to_string()),
        }
    }

    fn move_cursor(&self, held: Option<String>, id: Option<String>) -> io::Result<()> {
        match id {
            Some(id) if !self.in_doubt && held.as_ref() == Some(&id) => Ok(()),
            Some(id) => replace(&self.disk, CURSOR, id.as_bytes()).map(drop),
            None => {
                self.disk.remove(CURSOR)?;
                self.disk.sync_names()
            }
        }
    }
}

/// What the user has sent.
impl Files {
    /// The path of a file, if it is here and whole.
    pub(super) fn find(&self, request: &FetchRequest) -> Option<String> {
        let name = upload_name(request);
        let length = self.disk.look(&name)?.len();
        (Some(length as u64) == request.bytes).then_some(name)
    }

    /// Gets a content to the disk, as the host does.
    pub(super) fn keep(&self, request: &FetchRequest, content: &[u8]) -> Outcome {
        let name = upload_name(request);
        match replace(&self.disk, &name, content) {
            Ok(_) => Outcome::Fetched(FetchedFile {
                path: name,
                bytes: content.len() as u64,
                mime_type: String::new(),
            }),
            Err(cause) => Outcome::StoreFailed(cause.to_string()),
        }
    }
}

fn upload_name(request: &FetchRequest) -> String {
    format!("uploads/{}-{}", request.id, request.name)
}

/// What the cursor file holds.
pub(super) fn cursor(disk: &Disk) -> Option<String> {
    String::from_utf8(disk.look(CURSOR)?).ok()
}

/// As another implementation writes the file, or removes it.
pub(super) fn write_cursor(disk: &Disk, id: Option<&str>) {
    let written = match id {
        Some(id) => replace(disk, CURSOR, id.as_bytes()).map(drop),
        None => disk.remove(CURSOR).and_then(|()| disk.sync_names()),
    };
    drop(written);
}

/// As the host replaces a file.
fn replace(disk: &Disk, name: &str, bytes: &[u8]) -> io::Result<Handle> {
    let file = disk.make(None)?;
    disk.append(file, bytes)?;
    disk.sync(file)?;
    disk.rename(file, name)?;
    disk.sync_names()?;
    Ok(file)
}

/// The journal's file.
#[derive(Debug)]
struct JournalFile {
    disk: Disk,
    /// The file that was read or made last.
    file: Option<Handle>,
    /// It was added to before.
    is_open: bool,
}

impl JournalFile {
    fn open(&mut self) -> io::Result<Handle> {
        let named = self.disk.open(JOURNAL)?;
        let file = named.filter(|_| named == self.file);
        let file = file.ok_or_else(|| io::Error::other("another program has replaced it"))?;
        if !self.is_open {
            self.disk.sync_names()?;
            self.is_open = true;
        }
        Ok(file)
    }
}

impl journal::Disk for JournalFile {
    fn read(&mut self, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.file = self.disk.open(JOURNAL)?;
        self.is_open = false;
        self.file.map(|file| self.disk.read(file)).transpose()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let file = self.open()?;
        self.disk.cut(file, usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn append(&mut self, _end: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.open()?;
        self.disk.append(file, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.open()?;
        self.disk.sync(file)
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file = None;
        self.file = Some(replace(&self.disk, JOURNAL, bytes)?);
        self.is_open = true;
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let [newest, older] = COPIES;
        if let Some(file) = self.disk.open(newest)? {
            self.disk.rename(file, older)?;
        }
        if let Some(file) = self.disk.open(JOURNAL)? {
            self.disk.rename(file, newest)?;
        }
        Ok(())
    }
}
