//! The files that this agent uploads for the user.
//!
//! The platform tells every member of a chat about every file, its uploader included. What is
//! noted here is how the inbox knows that a row speaks of a file that the agent itself has sent:
//! such a row is no message, and its file must be left alone.

use std::{collections::VecDeque, rc::Rc};

use crate::{platform::uploads, world::World};

/// More than a day of uploads, after which the platform has forgotten a file as well.
pub(crate) const REMEMBERED: usize = 4_096;

/// Own files by their address, `platform-pending:<workspace id>/<file id>`.
#[derive(Default)]
pub(crate) struct OwnUploads {
    addresses: VecDeque<String>,
    unanswered: usize,
}

impl OwnUploads {
    /// The files of the workspace `id` with these ids.
    pub(crate) fn of<'a>(id: &str, files: impl Iterator<Item = &'a Rc<str>>) -> Self {
        let addresses = files.map(|file| uploads::address(id, file)).collect();
        Self { addresses, unanswered: 0 }
    }

    /// Notes what was known in another process.
    pub(crate) fn note_all(&mut self, other: Self) {
        other.addresses.iter().for_each(|address| self.note(address));
    }

    /// Notes a file. Only addresses of files that wait on the platform ever come back.
    pub(crate) fn note(&mut self, address: &str) {
        if !uploads::is_address(address) || self.contains(address) {
            return;
        }
        if self.addresses.len() >= REMEMBERED {
            self.addresses.pop_front();
        }
        self.addresses.push_back(address.to_owned());
    }

    /// Whether this agent has uploaded the file itself.
    pub(crate) fn contains(&self, address: &str) -> bool {
        self.addresses.iter().any(|own| own == address)
    }

    /// Whether files are on their way whose addresses are not known yet. A row about a file may be
    /// there before the answer to its upload, so such rows have to wait.
    pub(crate) const fn in_flight(&self) -> bool {
        self.unanswered > 0
    }
}

/// An upload whose answer is not there yet, for as long as this value lives.
pub(crate) struct InFlight(Rc<World>);

impl InFlight {
    pub(crate) fn begin(world: &Rc<World>) -> Self {
        world.own_uploads.borrow_mut().unanswered += 1;
        Self(Rc::clone(world))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut uploads = self.0.own_uploads.borrow_mut();
        uploads.unanswered = uploads.unanswered.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::world;

    #[test]
    fn own_files_are_known_until_many_more_were_uploaded() {
        let mut uploads = OwnUploads::default();
        for file in 0..=REMEMBERED {
            uploads.note(&format!("platform-pending:w/{file}"));
        }

        assert!(!uploads.contains("platform-pending:w/0"));
        assert!(uploads.contains("platform-pending:w/1"));
        assert!(!uploads.contains("platform-pending:other/1"));
    }

    #[test]
    fn a_file_on_a_push_workspace_never_comes_back() {
        let mut uploads = OwnUploads::default();
        uploads.note("workspace:/workspace/a.txt");

        assert!(!uploads.contains("workspace:/workspace/a.txt"));
    }

    #[test]
    fn rows_wait_until_the_last_answer_is_there() {
        let world = world();
        let [one, other] = [InFlight::begin(&world), InFlight::begin(&world)];
        drop(one);
        assert!(world.own_uploads.borrow().in_flight());

        drop(other);

        assert!(!world.own_uploads.borrow().in_flight());
    }
}
