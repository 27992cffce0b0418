//! What of a use by an agent outlives a call: the session, and what the platform was told.
//!
//! A host makes a fresh instance for each call, so that neither a process nor an instance is what an agent would call a
//! session. One lasts until nobody has called for ten minutes.

use serde::{Deserialize, Serialize};

use crate::directory::Directory;

/// How long nobody calls before it is another session.
const IDLE_MS: u64 = 600_000;
const MOST_BYTES: u64 = 4_096;

/// A session, and how it stands with the platform. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    /// The last call.
    used: u64,
    /// The platform has accepted a register.
    pub(crate) registered: bool,
    /// The last heartbeat that it accepted.
    pub(crate) beaten: Option<u64>,
}

impl Session {
    pub(crate) fn begin(id: String, now: u64) -> Self {
        Self { id, used: now, registered: false, beaten: None }
    }

    /// Goes on with the session in the file `name`, or begins the one called `id`.
    pub(crate) fn open(directory: &dyn Directory, name: &str, id: String, now: u64) -> Self {
        let saved = directory.read(name, MOST_BYTES).ok().flatten();
        match saved.and_then(|saved| serde_json::from_slice::<Self>(&saved).ok()) {
            Some(saved) if saved.used.abs_diff(now) < IDLE_MS => Self { used: now, ..saved },
            Some(_) | None => Self::begin(id, now),
        }
    }

    /// Keeps it. What is lost costs a register and the mark of a new session, and no message.
    pub(crate) fn save(&mut self, directory: &dyn Directory, name: &str, now: u64) {
        self.used = now;
        let Ok(text) = serde_json::to_vec(self) else { return };
        // Replaced as a whole and not synced: half of it would be no session.
        let draft = format!("{name}.new");
        let _ = directory.remove(&draft);
        if directory.create(&draft, &text).is_ok_and(|made| made) {
            let _ = directory.rename(&draft, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::tests::Memory;

    #[test]
    fn a_session_ends_when_nobody_has_called_for_ten_minutes() {
        let directory = Memory::default();
        let id = |now, id: &str| {
            let mut session = Session::open(&directory, "s", id.to_owned(), now);
            session.save(&directory, "s", now);
            session.id
        };

        assert_eq!(
            [id(0, "a"), id(599_999, "b"), id(1_199_998, "c"), id(1_799_998, "d")],
            ["a", "a", "a", "d"]
        );
    }

    #[test]
    fn a_clock_that_was_set_back_far_begins_another_one() {
        let directory = Memory::default();
        Session::begin("a".to_owned(), 0).save(&directory, "s", 9_000_000);

        assert_eq!(Session::open(&directory, "s", "b".to_owned(), 1_000).id, "b");
    }

    #[test]
    fn anything_else_in_the_file_is_no_session() {
        for content in ["", "{}", "{\"id\":7}", "\u{0}"] {
            let directory = Memory::default();
            directory.create("s", content.as_bytes()).unwrap();

            let session = Session::open(&directory, "s", "new".to_owned(), 5);

            assert_eq!(session, Session::begin("new".to_owned(), 5));
        }
    }
}
