//! The files of the inbox: the journal, with the framing that all hosts share, and the cursor file.

use std::{io, rc::Rc};

use molecule_journal::{Disk, Journal, cursor::Wanted};
use molecule_logic::wire::{CursorChange, FileChange, Outcome, Saved};

use crate::{directory::Directory, lock::Lock};

const CURSOR: &str = ".mcp_inbox_cursor";
/// A row id has 36 characters.
const CURSOR_BYTES: u64 = 256;

/// The inbox on disk, for as long as the lock is held.
pub(crate) struct Files {
    directory: Rc<dyn Directory>,
    lock: Rc<Lock>,
    journal: Journal<JournalFile>,
    wanted: Wanted,
    /// How the operator calls the directory.
    shown: String,
}

impl Files {
    /// The files whose names begin with `stem`.
    pub(crate) fn new(directory: &Rc<dyn Directory>, lock: Rc<Lock>, stem: &str, shown: &str) -> Self {
        let file = JournalFile { directory: Rc::clone(directory), name: format!("{stem}.journal") };
        let (directory, shown) = (Rc::clone(directory), shown.to_owned());
        Self { directory, lock, journal: Journal::new(file), wanted: Wanted::default(), shown }
    }

    /// What is on disk.
    ///
    /// # Errors
    /// When the journal cannot be read: nothing is known then.
    pub(crate) fn saved(&mut self) -> io::Result<Saved> {
        let found = self.journal.read()?;
        Ok(Saved { cursor: self.cursor(), damaged_after: found.damage(), journal: found.records })
    }

    fn cursor(&self) -> Option<String> {
        let bytes = self.directory.read(CURSOR, CURSOR_BYTES).ok().flatten()?;
        let word = String::from_utf8(bytes).ok()?.trim().to_owned();
        (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())).then_some(word)
    }

    /// Makes a change: `Stored`, `StoreFailed` or `Refused`.
    pub(crate) fn change(&mut self, change: FileChange) -> Outcome {
        if !self.lock.is_held() {
            return Outcome::StoreFailed(format!(
                "another program has taken over {}: let only one use it, or try again",
                self.shown
            ));
        }
        let changed = match change {
            FileChange::Append(append) => self.journal.append(&append.records, append.sync),
            FileChange::Rewrite(rewrite) => self.journal.rewrite(&rewrite.records, rewrite.keep_copy),
            FileChange::Cursor(change) => return self.move_cursor(&change),
            FileChange::InboundSecret(_) => {
                return Outcome::Refused("files of this host can be read by others".to_owned());
            }
        };
        self.outcome(changed)
    }

    fn move_cursor(&mut self, change: &CursorChange) -> Outcome {
        if !self.wanted.may_become(&self.cursor(), &change.known, &change.id) {
            return Outcome::Refused(format!(
                "{CURSOR} in {} was changed by another program: let only one program use this directory",
                self.shown
            ));
        }
        let changed = match &change.id {
            Some(id) => self.directory.replace(CURSOR, id.as_bytes()),
            None => self.directory.remove(CURSOR),
        };
        self.outcome(changed)
    }

    fn outcome(&self, changed: io::Result<()>) -> Outcome {
        match changed {
            Ok(()) => Outcome::Stored,
            Err(cause) => Outcome::StoreFailed(format!("{}: {cause}", self.shown)),
        }
    }
}

/// A journal by its name.
struct JournalFile {
    directory: Rc<dyn Directory>,
    name: String,
}

impl Disk for JournalFile {
    fn read(&mut self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.directory.read(&self.name, limit)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.directory.truncate(&self.name, length)
    }

    fn append(&mut self, end: u64, bytes: &[u8]) -> io::Result<()> {
        self.directory.append(&self.name, end, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.directory.sync(&self.name)
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.directory.replace(&self.name, bytes)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let copy = |number: u8| format!("{}.damaged-{number}", self.name.trim_end_matches(".journal"));
        let Some(content) = self.directory.read(&self.name, molecule_journal::JOURNAL_BYTES)? else {
            return Ok(());
        };
        self.directory.rename(&copy(1), &copy(2))?;
        self.directory.replace(&copy(1), &content)
    }
}

#[cfg(test)]
mod tests {
    use molecule_logic::wire::{JournalAppend, JournalRewrite};

    use super::*;
    use crate::lock::{Tried, tests::Memory};

    #[test]
    fn what_was_appended_is_there_for_the_next_instance() {
        let directory: Rc<dyn Directory> = Rc::new(Memory::default());
        let mut files = files(&directory, 0);
        files.saved().unwrap();
        assert_eq!(files.change(append("one")), Outcome::Stored);
        assert_eq!(files.change(append("two")), Outcome::Stored);
        drop(files);

        let saved = self::files(&directory, 1).saved().unwrap();

        assert_eq!((saved.journal, saved.damaged_after), (vec!["one".to_owned(), "two".to_owned()], None));
    }

    #[test]
    fn whoever_has_lost_the_lock_changes_nothing() {
        let directory: Rc<dyn Directory> = Rc::new(Memory::default());
        let mut asleep = files(&directory, 0);
        asleep.saved().unwrap();
        let mut other = files(&directory, 60_000);
        other.saved().unwrap();
        assert_eq!(other.change(append("theirs")), Outcome::Stored);

        let outcome = asleep.change(append("ours"));

        assert!(
            matches!(&outcome, Outcome::StoreFailed(why) if why.contains("another program")),
            "{outcome:?}"
        );
        assert_eq!(other.saved().unwrap().journal, ["theirs"]);
    }

    #[test]
    fn a_cursor_that_another_program_has_written_is_left_alone() {
        let directory: Rc<dyn Directory> = Rc::new(Memory::default());
        let mut files = files(&directory, 0);
        let change = |known: Option<&str>, id: &str| {
            FileChange::Cursor(CursorChange { known: known.map(str::to_owned), id: Some(id.to_owned()) })
        };
        assert_eq!(files.change(change(None, "a")), Outcome::Stored);
        assert_eq!(files.change(change(Some("a"), "b")), Outcome::Stored);
        directory.replace(CURSOR, b"theirs").unwrap();

        let outcome = files.change(change(Some("b"), "c"));

        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert_eq!(directory.read(CURSOR, 99).unwrap().unwrap(), b"theirs");
    }

    #[test]
    fn a_damaged_journal_is_kept_beside_the_new_one() {
        let directory: Rc<dyn Directory> = Rc::new(Memory::default());
        directory.create("i.journal", b"garbage\n").unwrap();
        let mut files = files(&directory, 0);
        assert_eq!(files.saved().unwrap().damaged_after, Some(0));

        let rewrite = JournalRewrite { records: vec!["new".to_owned()], keep_copy: true };
        assert_eq!(files.change(FileChange::Rewrite(rewrite)), Outcome::Stored);

        assert_eq!(directory.read("i.damaged-1", 99).unwrap().unwrap(), b"garbage\n");
        assert_eq!(files.saved().unwrap().journal, ["new"]);
    }

    #[test]
    fn the_inbound_secret_is_written_nowhere() {
        let memory = Rc::new(Memory::default());
        let directory: Rc<dyn Directory> = Rc::<Memory>::clone(&memory);
        let mut files = files(&directory, 0);

        let outcome = files.change(FileChange::InboundSecret("canary".to_owned()));

        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert!(memory.files.borrow().values().all(|file| !file.windows(6).any(|part| part == b"canary")));
    }

    fn append(record: &str) -> FileChange {
        FileChange::Append(JournalAppend { records: vec![record.to_owned()], sync: true })
    }

    fn files(directory: &Rc<dyn Directory>, now: u64) -> Files {
        let id = format!("{now}");
        let Tried::Taken(lock) = Lock::take(directory, ("lock", &id), None, now).unwrap() else {
            panic!("held")
        };
        Files::new(directory, Rc::new(lock), "i", "/state")
    }
}
