//! What happens to the messages of one workspace, live and at a start.
//!
//! ```text
//! decide ──event──► write ──► journal ──start──┐
//!            │                                 ▼
//!            └──────── apply ──► mailbox ◄── apply
//! ```
//!
//! An event that a journal can hold changes a mailbox here alone, so that a start cannot come to something else than what
//! was live. A pop is applied once it is on disk, all other events before they are written. How far fetching has come
//! (`F`) is more than an event says while it is live, and read in `recover`; that a message was shown (`D`) is counted in
//! `queue`. The simulator compares both ways after every write.

use std::rc::Rc;

use super::{
    event::Event,
    mailbox::{Gap, Mailbox},
    message::{Kind, Message},
    queue::{Queue, Staged},
    watermarks::Mark,
};
use crate::{
    planted::{Bug, planted},
    platform::stamp::Stamp,
    wire::{Instant, Workspace},
};

/// The messages of one workspace, and what is known of it.
pub(super) struct Applier<'a> {
    pub(super) mailbox: &'a mut Mailbox,
    pub(super) queue: &'a mut Queue,
    pub(super) workspace: Workspace,
    pub(super) now: Instant,
}

impl Applier<'_> {
    /// Makes the change that an event tells of; twice is as good as once. Says whether the lanes of files have
    /// something to do.
    pub(super) fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::Acknowledged { ids } => {
                let mut due = false;
                for id in ids {
                    due |= self.acknowledge(id);
                }
                return due;
            }
            Event::Delivered { id, n, starts, session } => {
                let goes_on = self.queue.is_session(session.as_deref());
                if let Some(staged) = self.queue.find(self.workspace, id) {
                    staged.was_shown(*n, *starts, goes_on);
                    // A showing that was taken back is none.
                    staged.redelivered = staged.starts_before > 0 && !planted(Bug::NoRedeliveredFlag);
                }
            }
            Event::Fetched { since, .. } => {
                self.mailbox.origin = since.map(Stamp::at).or(self.mailbox.origin);
            }
            Event::File(file) => self.mailbox.files.read(file.clone(), self.now),
            Event::Gap { from, to, told } => {
                let gap = Gap { from: Stamp::at(*from), to: Stamp::at(*to), told: *told };
                self.mailbox.gaps.retain(|known| (known.from, known.to) != (gap.from, gap.to));
                self.mailbox.gaps.push(gap);
            }
            Event::Header { .. } => {}
            Event::Parked { id } => {
                if let Some(staged) = self.queue.find(self.workspace, id) {
                    staged.parked = true;
                }
            }
            Event::Projected { id, was, .. } => self.mailbox.projects(id.as_deref(), was.as_deref()),
            Event::Remembered { ids, newest } => {
                if let Some(newest) = newest {
                    self.mailbox.watermarks.names_up_to(Stamp::at(*newest));
                }
                ids.iter().for_each(|id| self.mailbox.watermarks.remember(Rc::clone(id)));
            }
            Event::Sent { files } => self.mailbox.files.read_own(files.clone()),
            Event::Staged { ca, askable, m } => self.stage(Stamp::at(*ca), *askable, Rc::clone(m)),
        }
        false
    }

    fn stage(&mut self, stamp: Stamp, askable: bool, mut message: Rc<Message>) {
        let id = message.activity_id.as_str();
        if self.mailbox.watermarks.knows(id) || self.queue.find(self.workspace, id).is_some() {
            return;
        }
        if (message.workspace, message.stamp) != (self.workspace, stamp) {
            let read = Rc::make_mut(&mut message);
            (read.workspace, read.stamp) = (self.workspace, stamp);
        }
        if message.kind == Kind::Broadcast {
            // It is no row of those that are fetched in order.
            self.mailbox.watermarks.names_up_to(stamp);
        } else {
            let id = message.activity_id.as_str().into();
            self.mailbox.watermarks.wait_for(Mark { id, stamp, can_be_asked_after: askable });
        }
        self.queue.stage(Staged::new(message, askable));
    }

    fn acknowledge(&mut self, id: &Rc<str>) -> bool {
        if let Some(message) = self.queue.take_out(self.workspace, id) {
            self.mailbox.journal.outlived(message.weight());
        }
        self.mailbox.unsaved_pops.remove(id);
        self.mailbox.watermarks.acknowledge(id);
        // It may be no row of those that are fetched in order, or a damage may have taken the message itself.
        self.mailbox.watermarks.remember(Rc::clone(id));
        self.mailbox.files.handled(id)
    }

    /// Takes out the rows of files whose place a message has taken, as far as the agent has not seen them; the event of
    /// that.
    pub(super) fn fold(
        &mut self,
        mut rows: Vec<Rc<str>>,
        may_fold: impl Fn(&Staged) -> bool,
    ) -> Option<Event> {
        rows.retain(|row| self.queue.find(self.workspace, row).is_some_and(|staged| may_fold(staged)));
        let folded = (!rows.is_empty()).then_some(Event::Acknowledged { ids: rows })?;
        self.apply(&folded);
        Some(folded)
    }
}
