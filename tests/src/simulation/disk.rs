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

use super::{
    chance::Chance,
    harm::Harm,
    medium::{Change, Content, SECTOR, Survivors},
};

/// More sectors than can be lost without a hole.
const SEVERAL: usize = 3;

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
    /// Directories cannot be synced, so that nobody knows what names are on the medium.
    NamesSyncFails,
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

/// Which operation is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The one after so many others.
    After(u64),
    /// The next sync of several sectors.
    LargeSync,
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
    end: Option<(End, Crash)>,
    ended_by: Option<Crash>,
    chance: Chance,
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

    /// A later operation is the last one.
    pub(super) fn end_in(&self, end: End, crash: Crash) {
        self.state().end = Some((end, crash));
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

    /// Damages a file that nobody has open, on the medium too: turns one bit over, or zeroes a part of it, but
    /// less than half.
    pub(super) fn damage(&self, name: &str) {
        self.state().damage(name);
    }

    /// Harms a file at one of its bytes; how many it had.
    pub(super) fn harm(&self, name: &str, harm: Harm, at: usize) -> usize {
        let mut state = self.state();
        let file = state.names.get(name).copied();
        let Some(content) = file.and_then(|file| state.files.get_mut(&file)) else { return 0 };
        let length = content.read.len();
        harm.to(&mut content.read, at);
        harm.to(&mut content.medium, at);
        length
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
        let last = state.operate_sync(file)?;
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
        if matches!(state.trouble, Trouble::NamesSyncFails | Trouble::ReadOnly | Trouble::SyncFails) {
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
            Some((End::After(0), crash)) => Ok(Some(*crash)),
            Some((End::After(left), _)) => {
                *left -= 1;
                Ok(None)
            }
            Some((End::LargeSync, _)) | None => Ok(None),
        }
    }

    /// As [`State::operate`], for a sync of a file.
    fn operate_sync(&mut self, file: Handle) -> io::Result<Option<Crash>> {
        let unsynced = self.files.get(&file).map_or(0, Content::unsynced_bytes);
        match self.end {
            Some((End::LargeSync, crash)) if unsynced > SEVERAL * SECTOR => {
                self.alive().map(|()| Some(crash))
            }
            Some((End::LargeSync | End::After(_), _)) | None => self.operate(),
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
            Trouble::NamesSyncFails | Trouble::None | Trouble::SyncFails | Trouble::WriteFails => {
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
        let zeroed =
            self.chance.percent(50).then(|| self.chance.place((content.read.len() / 2).min(4 * SECTOR)) + 1);
        let bit = self.chance.below(8);
        for bytes in [&mut content.read, &mut content.medium] {
            match zeroed {
                Some(length) => bytes.iter_mut().skip(start).take(length).for_each(|byte| *byte = 0),
                None => bytes.iter_mut().skip(start).take(1).for_each(|byte| *byte ^= 1 << bit),
            }
        }
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
