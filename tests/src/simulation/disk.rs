//! A disk that forgets what was not synced, fails on request, and loses power between any two operations.
//!
//! ```text
//! write ──► what processes read ── sync ──► what is on the medium
//!                    │ kill                        │ power cut
//!                    ▼                             ▼
//!               all of it                 it, and of the rest whatever chance leaves
//! ```
//!
//! Every operation can be the last one of the process. Then it may be done, half done or not done, and all
//! later ones fail and change nothing.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::chance::Chance;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// A directory on it. Clones are the same disk.
#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing.
    None,
    /// There is no space: writes stop in their middle.
    Full,
    /// Nothing may be changed.
    ReadOnly,
    /// Syncs fail, and what they were to save is lost at the next power cut, whatever later syncs say.
    SyncFails,
    /// Writes fail in their middle.
    WriteFails,
}

/// What ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// The process is killed; the system goes on.
    Kill,
    /// Everything ends at once.
    PowerCut(Survivors),
}

/// What is on the medium after a power cut, of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survivors {
    /// All of it.
    All,
    /// Nothing.
    None,
    /// Any sectors of it.
    Some,
    /// All, but of the last write only a beginning.
    Torn,
}

/// A file as a process has opened it. It stays the same file when its name is given to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Handle(u64);

#[derive(Debug)]
struct State {
    files: BTreeMap<Handle, Content>,
    names: BTreeMap<String, Handle>,
    names_on_medium: BTreeMap<String, Handle>,
    /// Changes of names since the directory was synced, oldest first.
    renamed: Vec<(String, Option<Handle>)>,
    made: u64,
    trouble: Trouble,
    /// How many operations there still are before the end.
    end: Option<(u64, Crash)>,
    ended_by: Option<Crash>,
    chance: Chance,
}

#[derive(Debug, Default, Clone)]
struct Content {
    read: Vec<u8>,
    medium: Vec<u8>,
    /// Changes since the last sync, oldest first.
    unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Cut(usize),
    Write { at: usize, bytes: Vec<u8> },
}

impl Disk {
    /// An empty one.
    pub(super) fn new(chance: Chance) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            names_on_medium: BTreeMap::new(),
            renamed: Vec::new(),
            made: 0,
            trouble: Trouble::None,
            end: None,
            ended_by: None,
            chance,
        })))
    }

    /// Lets operations fail from here on.
    pub(super) fn trouble(&self, trouble: Trouble) {
        self.state().trouble = trouble;
    }

    /// The operation after so many others is the last one.
    pub(super) fn end_after(&self, operations: u64, crash: Crash) {
        self.state().end = Some((operations, crash));
    }

    /// Takes a planned end back.
    pub(super) fn do_not_end(&self) {
        self.state().end = None;
    }

    /// What has ended the last process, until the next one begins.
    pub(super) fn ended_by(&self) -> Option<Crash> {
        self.state().ended_by
    }

    /// Ends whatever goes on.
    pub(super) fn crash(&self, crash: Crash) {
        self.state().crash(crash);
    }

    /// The next process begins.
    pub(super) fn start(&self) {
        self.state().ended_by = None;
    }

    /// What a file holds, as a process sees it; none if there is no such file.
    pub(super) fn look(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.files.get(state.names.get(name)?)?.read.clone())
    }

    /// Damages a file that nobody has open: turns one bit over, or zeroes some bytes, on the medium too.
    pub(super) fn damage(&self, name: &str) {
        self.state().damage(name);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process can do. Each is one operation.
impl Disk {
    /// Opens a file; none if there is no such file.
    ///
    /// # Errors
    /// After the end.
    pub(super) fn open(&self, name: &str) -> io::Result<Option<Handle>> {
        let state = self.state();
        state.alive()?;
        Ok(state.names.get(name).copied())
    }

    /// Makes an empty file; with no name it is one that nobody finds until it is renamed.
    ///
    /// # Errors
    /// After the end, or when nothing can be made.
    pub(super) fn make(&self, name: Option<&str>) -> io::Result<Handle> {
        let mut state = self.state();
        let last = state.operate()?;
        if matches!(state.trouble, Trouble::Full | Trouble::ReadOnly) {
            return Err(state.failure());
        }
        let handle = state.make();
        if let Some(name) = name {
            state.rename(handle, name);
        }
        state.end(last)?;
        Ok(handle)
    }

    /// What a file holds.
    ///
    /// # Errors
    /// After the end.
    pub(super) fn read(&self, file: Handle) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.alive()?;
        Ok(state.files.get(&file).map(|content| content.read.clone()).unwrap_or_default())
    }

    /// Adds bytes at the end of a file.
    ///
    /// # Errors
    /// After the end, and when not all could be written.
    pub(super) fn append(&self, file: Handle, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        let failing = matches!(state.trouble, Trouble::Full | Trouble::ReadOnly | Trouble::WriteFails);
        let length = match (failing, state.trouble) {
            (true, Trouble::ReadOnly) => 0,
            (false, _) if last.is_none() => bytes.len(),
            (true | false, _) => state.chance.place(bytes.len() + 1),
        };
        let written = bytes.get(..length).unwrap_or_default().to_vec();
        let content = state.files.entry(file).or_default();
        let at = content.read.len();
        content.read.extend_from_slice(&written);
        content.unsynced.push(Change::Write { at, bytes: written });
        state.end(last)?;
        if failing { Err(state.failure()) } else { Ok(()) }
    }

    /// Brings a file to the medium.
    ///
    /// # Errors
    /// After the end, and when it cannot be brought there. Then nothing will bring it there any more.
    pub(super) fn sync(&self, file: Handle) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        let fails = matches!(state.trouble, Trouble::ReadOnly | Trouble::SyncFails);
        // A power cut in the middle finds some of it on the medium; that is what survivors are for.
        state.end(last)?;
        let content = state.files.entry(file).or_default();
        let unsynced = std::mem::take(&mut content.unsynced);
        if fails {
            return Err(state.failure());
        }
        unsynced.iter().for_each(|change| change.apply(&mut content.medium));
        Ok(())
    }

    /// Cuts a file.
    ///
    /// # Errors
    /// After the end, and when nothing may be changed.
    pub(super) fn cut(&self, file: Handle, length: usize) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        if matches!(state.trouble, Trouble::ReadOnly | Trouble::WriteFails) {
            return Err(state.failure());
        }
        let done = last.is_none() || state.chance.percent(50);
        if done {
            let content = state.files.entry(file).or_default();
            content.read.truncate(length);
            content.unsynced.push(Change::Cut(length));
        }
        state.end(last)
    }

    /// Gives a file this name, whoever had it before.
    ///
    /// # Errors
    /// After the end, and when nothing may be changed.
    pub(super) fn rename(&self, file: Handle, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        if state.trouble == Trouble::ReadOnly {
            return Err(state.failure());
        }
        if last.is_none() || state.chance.percent(50) {
            state.rename(file, name);
        }
        state.end(last)
    }

    /// Takes a name away; one that is not there is no error.
    ///
    /// # Errors
    /// After the end, and when nothing may be changed.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        if state.trouble == Trouble::ReadOnly {
            return Err(state.failure());
        }
        if last.is_none() || state.chance.percent(50) {
            state.names.remove(name);
            state.renamed.push((name.to_owned(), None));
        }
        state.end(last)
    }

    /// Brings all names to the medium.
    ///
    /// # Errors
    /// After the end, and when they cannot be brought there.
    pub(super) fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        let last = state.operate()?;
        state.end(last)?;
        if matches!(state.trouble, Trouble::ReadOnly | Trouble::SyncFails) {
            return Err(state.failure());
        }
        state.names_on_medium = state.names.clone();
        state.renamed.clear();
        Ok(())
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.ended_by.is_some() { Err(io::Error::other("the process has ended")) } else { Ok(()) }
    }

    /// Counts an operation. Says what it ends with, if it is the last one.
    fn operate(&mut self) -> io::Result<Option<Crash>> {
        self.alive()?;
        match &mut self.end {
            None => Ok(None),
            Some((0, crash)) => Ok(Some(*crash)),
            Some((left, _)) => {
                *left -= 1;
                Ok(None)
            }
        }
    }

    /// Ends everything, if this was the last operation.
    fn end(&mut self, last: Option<Crash>) -> io::Result<()> {
        if let Some(crash) = last {
            self.crash(crash);
        }
        self.alive()
    }

    fn failure(&self) -> io::Error {
        match self.trouble {
            Trouble::Full => ErrorKind::StorageFull.into(),
            Trouble::ReadOnly => ErrorKind::ReadOnlyFilesystem.into(),
            Trouble::None | Trouble::SyncFails | Trouble::WriteFails => {
                io::Error::other("input/output error")
            }
        }
    }

    fn make(&mut self) -> Handle {
        self.made += 1;
        let handle = Handle(self.made);
        self.files.insert(handle, Content::default());
        handle
    }

    fn rename(&mut self, file: Handle, name: &str) {
        self.names.insert(name.to_owned(), file);
        self.renamed.push((name.to_owned(), Some(file)));
    }

    fn crash(&mut self, crash: Crash) {
        self.ended_by = Some(crash);
        self.end = None;
        if let Crash::PowerCut(survivors) = crash {
            self.cut_power(survivors);
        }
        let named: Vec<Handle> = self.names.values().chain(self.names_on_medium.values()).copied().collect();
        let unsynced: Vec<Handle> = self.renamed.iter().filter_map(|(_, file)| *file).collect();
        self.files.retain(|file, _| named.contains(file) || unsynced.contains(file));
    }

    fn cut_power(&mut self, survivors: Survivors) {
        let chance = &mut self.chance;
        // Changes of names reach the medium in their order.
        let renamed = match survivors {
            Survivors::All => self.renamed.len(),
            Survivors::None => 0,
            Survivors::Some | Survivors::Torn => chance.place(self.renamed.len() + 1),
        };
        for (name, file) in self.renamed.drain(..).take(renamed) {
            match file {
                Some(file) => self.names_on_medium.insert(name, file),
                None => self.names_on_medium.remove(&name),
            };
        }
        self.names = self.names_on_medium.clone();
        for content in self.files.values_mut() {
            content.cut_power(survivors, chance);
        }
    }

    fn damage(&mut self, name: &str) {
        let Some(content) = self.names.get(name).and_then(|file| self.files.get_mut(file)) else { return };
        let start = self.chance.place(content.read.len());
        let zeroed = self.chance.percent(50).then(|| self.chance.place(4 * SECTOR) + 1);
        let bit = self.chance.below(8);
        for bytes in [&mut content.read, &mut content.medium] {
            match zeroed {
                Some(length) => bytes.iter_mut().skip(start).take(length).for_each(|byte| *byte = 0),
                None => bytes.iter_mut().skip(start).take(1).for_each(|byte| *byte ^= 1 << bit),
            }
        }
    }
}

impl Content {
    fn cut_power(&mut self, survivors: Survivors, chance: &mut Chance) {
        let last = self.unsynced.len().saturating_sub(1);
        for (place, change) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            match survivors {
                Survivors::None => {}
                Survivors::Some => change.apply_some(&mut self.medium, chance),
                Survivors::Torn if place == last => change.apply_beginning(&mut self.medium, chance),
                Survivors::All | Survivors::Torn => change.apply(&mut self.medium),
            }
        }
        self.read.clone_from(&self.medium);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => bytes.truncate(*length),
            Self::Write { at, bytes: written } => put(bytes, *at, written),
        }
    }

    fn apply_beginning(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Self::Cut(length) => bytes.truncate(*length),
            Self::Write { at, bytes: written } => {
                let length = chance.place(written.len() + 1);
                put(bytes, *at, written.get(..length).unwrap_or_default());
            }
        }
    }

    fn apply_some(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Self::Cut(length) => {
                if chance.percent(50) {
                    bytes.truncate(*length);
                }
            }
            Self::Write { at, bytes: written } => {
                // The first piece ends where a sector of the file does.
                let head = (SECTOR - at % SECTOR).min(written.len());
                let (head, tail) = written.split_at(head);
                let mut at = *at;
                for sector in std::iter::once(head).chain(tail.chunks(SECTOR)) {
                    if chance.percent(50) {
                        put(bytes, at, sector);
                    }
                    at += sector.len();
                }
            }
        }
    }
}

/// Writes into a file; a hole before it reads as zeroes.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_loses_nothing_and_a_power_cut_what_was_not_synced() {
        for (crash, left) in [
            (Crash::Kill, &b"synced unsynced"[..]),
            (Crash::PowerCut(Survivors::All), b"synced unsynced"),
            (Crash::PowerCut(Survivors::None), b"synced"),
        ] {
            let (disk, file) = disk_with(b"synced");
            disk.append(file, b" unsynced").unwrap();

            disk.crash(crash);
            assert!(disk.append(file, b"too late").is_err());
            disk.start();

            assert_eq!(disk.look("file").as_deref(), Some(left), "{crash:?}");
        }
    }

    #[test]
    fn a_torn_write_leaves_a_beginning_and_some_sectors_leave_holes() {
        let (mut torn, mut holes) = (0, 0);
        for seed in 0..50 {
            for survivors in [Survivors::Torn, Survivors::Some] {
                let (disk, file) = disk_of(seed, b"synced");
                disk.append(file, &[7; 2_000]).unwrap();
                disk.crash(Crash::PowerCut(survivors));
                let left = disk.look("file").unwrap();

                assert_eq!(left[..6], *b"synced");
                let hole = left[6..].contains(&0);
                assert!(!(hole && survivors == Survivors::Torn));
                holes += usize::from(hole);
                torn += usize::from(survivors == Survivors::Torn && (7..2_006).contains(&left.len()));
            }
        }
        assert!(torn > 20 && holes > 10, "{torn} torn, {holes} with holes");
    }

    #[test]
    fn a_name_that_was_not_synced_may_come_back() {
        let (disk, _) = disk_with(b"old");
        let new = disk.make(None).unwrap();
        disk.append(new, b"new").unwrap();
        disk.sync(new).unwrap();
        disk.rename(new, "file").unwrap();
        assert_eq!(disk.look("file").unwrap(), b"new");

        disk.crash(Crash::PowerCut(Survivors::None));

        assert_eq!(disk.look("file").unwrap(), b"old");
    }

    #[test]
    fn a_failed_sync_loses_for_good_what_it_was_to_save() {
        let (disk, file) = disk_with(b"one ");
        disk.append(file, b"two ").unwrap();
        disk.trouble(Trouble::SyncFails);
        assert!(disk.sync(file).is_err());
        disk.trouble(Trouble::None);
        disk.append(file, b"three").unwrap();
        disk.sync(file).unwrap();
        assert_eq!(disk.look("file").unwrap(), b"one two three");

        disk.crash(Crash::PowerCut(Survivors::All));

        assert_eq!(disk.look("file").unwrap(), b"one \0\0\0\0three");
    }

    #[test]
    fn a_full_disk_takes_a_beginning_and_a_read_only_one_nothing() {
        let (disk, file) = disk_with(b"");
        disk.trouble(Trouble::Full);
        assert_eq!(disk.append(file, &[7; 100]).unwrap_err().kind(), ErrorKind::StorageFull);
        let length = disk.look("file").unwrap().len();
        disk.trouble(Trouble::ReadOnly);
        assert!(disk.append(file, &[7; 100]).is_err() && disk.cut(file, 0).is_err());
        assert!(disk.rename(file, "other").is_err() && disk.remove("file").is_err());

        assert!(length <= 100);
        assert_eq!(disk.look("file").unwrap().len(), length);
    }

    #[test]
    fn the_end_comes_in_the_operation_it_was_planned_for() {
        let (disk, file) = disk_with(b"");
        disk.end_after(1, Crash::Kill);
        disk.append(file, b"one").unwrap();
        assert_eq!(disk.ended_by(), None);

        assert!(disk.append(file, b"two").is_err());

        assert_eq!(disk.ended_by(), Some(Crash::Kill));
        assert!(disk.sync(file).is_err() && disk.make(None).is_err());
        assert!(disk.look("file").unwrap().starts_with(b"one"));
    }

    #[test]
    fn damage_stays_and_changes_no_length() {
        for seed in 0..20 {
            let (disk, _) = disk_of(seed, &[7; 3_000]);
            disk.damage("file");
            disk.crash(Crash::PowerCut(Survivors::None));

            let left = disk.look("file").unwrap();
            assert!(left.len() == 3_000 && left != [7; 3_000]);
        }
    }

    fn disk_with(content: &[u8]) -> (Disk, Handle) {
        disk_of(1, content)
    }

    fn disk_of(seed: u64, content: &[u8]) -> (Disk, Handle) {
        let disk = Disk::new(Chance::new(seed));
        let file = disk.make(Some("file")).unwrap();
        disk.append(file, content).unwrap();
        disk.sync(file).unwrap();
        disk.sync_names().unwrap();
        (disk, file)
    }
}
