//! What hooks have said before, by session: a small file beside the inbox.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

const FILE: &str = ".mcp_hooks.json";

/// Older ones make room.
const MOST_SESSIONS: usize = 32;

/// More than that is not ours.
const MOST_BYTES: u64 = 1 << 20;

/// The sessions that hooks have spoken in.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    sessions: BTreeMap<String, Session>,
}

/// One of them.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Unread messages that it was told of.
    told: BTreeSet<String>,
    /// Unread messages for which a stop was blocked.
    blocked: BTreeSet<String>,
    /// Blocks in a row.
    pub(super) blocks: u32,
    /// When it was spoken to, in seconds since 1970.
    at: u64,
}

impl Session {
    /// What is read, or gone, is not remembered.
    pub(super) fn forget_all_but(&mut self, unread: &BTreeSet<String>) {
        self.told.retain(|id| unread.contains(id));
        self.blocked.retain(|id| unread.contains(id));
    }

    /// Says whether any of them is new.
    pub(super) fn tell(&mut self, unread: &BTreeSet<String>) -> bool {
        let is_new = !unread.is_subset(&self.told);
        self.told.extend(unread.iter().cloned());
        is_new
    }

    /// Says whether no stop was blocked for any of them.
    pub(super) fn block_for(&mut self, unread: &BTreeSet<String>) -> bool {
        let is_new = !unread.is_subset(&self.blocked);
        self.blocked.extend(unread.iter().cloned());
        is_new
    }
}

impl Memory {
    /// What is on disk in a directory of state; a file that cannot be read says nothing.
    #[must_use]
    pub fn read(state: &Path) -> Self {
        let path = state.join(FILE);
        let is_small = fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= MOST_BYTES);
        let text = is_small.then(|| fs::read_to_string(&path).ok()).flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// The memory of a session.
    pub(super) fn of(&mut self, session: &str) -> &mut Session {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if self.sessions.len() >= MOST_SESSIONS && !self.sessions.contains_key(session) {
            let oldest = self.sessions.iter().min_by_key(|(_, session)| session.at).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| self.sessions.remove(&oldest));
        }
        let session: String = session.chars().take(200).collect();
        let session = self.sessions.entry(session).or_default();
        session.at = now;
        session
    }

    /// What was said, where anything was.
    fn said(&self) -> impl Iterator<Item = (&String, &BTreeSet<String>, &BTreeSet<String>, u32)> {
        let all =
            self.sessions.iter().map(|(id, session)| (id, &session.told, &session.blocked, session.blocks));
        all.filter(|(_, told, blocked, blocks)| !told.is_empty() || !blocked.is_empty() || *blocks > 0)
    }

    /// Puts it on disk, where something has changed since `before`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, state: &Path, before: &Self) -> io::Result<()> {
        if self.said().eq(before.said()) {
            return Ok(());
        }
        let mut file = NamedTempFile::new_in(state)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        file.persist(state.join(FILE))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_was_said_is_known_to_the_next_process() {
        let directory = TempDir::new().unwrap();
        let before = Memory::read(directory.path());
        let mut memory = before.clone();
        assert!(memory.of("s").tell(&BTreeSet::from(["a".to_owned()])));
        memory.write(directory.path(), &before).unwrap();

        let mut next = Memory::read(directory.path());

        assert!(!next.of("s").tell(&BTreeSet::from(["a".to_owned()])));
        assert!(next.of("another").tell(&BTreeSet::from(["a".to_owned()])));
    }

    #[test]
    fn a_session_in_which_nothing_was_said_writes_no_file() {
        let directory = TempDir::new().unwrap();
        let before = Memory::read(directory.path());
        let mut memory = before.clone();
        memory.of("s").forget_all_but(&BTreeSet::new());

        memory.write(directory.path(), &before).unwrap();

        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn old_sessions_make_room() {
        let mut memory = Memory::default();
        for number in 0..100 {
            memory.of(&number.to_string());
        }
        assert_eq!(memory.sessions.len(), MOST_SESSIONS);
    }

    #[test]
    fn a_file_that_is_no_memory_says_nothing() {
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join(FILE), "[1, 2").unwrap();

        assert_eq!(Memory::read(directory.path()), Memory::default());
    }
}
