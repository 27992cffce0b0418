//! How a journal becomes a mailbox.
//!
//! ```text
//! journal ──recover──► mailbox + staged messages ──snapshot──► journal without what is over
//! ```
//!
//! A journal that was damaged is good for what is left of it: messages that it still has are kept, and
//! fetching goes on from the last position before the damage, so that lost ones are fetched again.

use std::rc::Rc;

use super::{
    apply::Applier,
    event::{self, Event, FORMAT},
    mailbox::{Mailbox, State, Takeover},
    queue::{Queue, Staged},
    watermarks::Mark,
};
use crate::{
    planted::{Bug, planted},
    platform::stamp::Stamp,
    wire::{Instant, Saved, Workspace},
};

/// What a start has found.
pub(super) struct Opened {
    pub(super) mailbox: Mailbox,
    pub(super) staged: Vec<Staged>,
    /// Something was wrong with the journal, for the operator.
    pub(super) trouble: Option<&'static str>,
}

/// Reads what is on disk; `empty` knows which session this is.
pub(super) fn open(own: &str, workspace: Workspace, empty: Queue, saved: Saved, now: Instant) -> Opened {
    let format = saved.journal.iter().find_map(|line| event::format(line));
    if format.is_some_and(|format| format > FORMAT) {
        let mut mailbox = Mailbox::new(own);
        mailbox.journal.state = State::Newer;
        mailbox.watermarks.open(saved.cursor);
        return Opened {
            mailbox,
            staged: Vec::new(),
            trouble: Some(
                "the inbox journal was written by a newer version and is left alone: messages that are handled now come \
                 back later; use that version again, or move the .mcp_inbox_*.journal file away",
            ),
        };
    }
    Recovery::new(own, workspace, empty, now).run(saved, format)
}

/// A journal on its way to a mailbox.
struct Recovery {
    mailbox: Mailbox,
    workspace: Workspace,
    now: Instant,
    queue: Queue,
    position: Option<Mark>,
    base: Vec<Mark>,
    /// Rows between base and position.
    rows: u64,
    read_up_to: Stamp,
    /// When the row was made that the cursor file names.
    file_made_at: Option<Stamp>,
    newest: Stamp,
}

impl Recovery {
    fn new(own: &str, workspace: Workspace, queue: Queue, now: Instant) -> Self {
        let mut mailbox = Mailbox::new(own);
        // Up to where rows are known to be complete is not known before the end.
        mailbox.watermarks.doubt(Stamp::UNKNOWN);
        Self {
            mailbox,
            workspace,
            now,
            queue,
            position: None,
            base: Vec::new(),
            rows: 0,
            read_up_to: Stamp::UNKNOWN,
            file_made_at: None,
            newest: Stamp::UNKNOWN,
        }
    }

    fn run(mut self, saved: Saved, format: Option<u32>) -> Opened {
        let damage = saved.damaged_after.filter(|_| !planted(Bug::DamageIgnored));
        let damaged_after = damage.and_then(|place| usize::try_from(place).ok());
        let mut whole = damaged_after.unwrap_or(usize::MAX);
        let mut foreign = false;
        let named = saved.cursor.as_deref().unwrap_or_default();
        for (place, line) in saved.journal.iter().enumerate() {
            match Event::read(line) {
                Some(Event::Header { workspace, .. }) if workspace != self.mailbox.own => foreign = true,
                Some(record) if !foreign => {
                    self.file_made_at = record.time_of(named).map(Stamp::at).or(self.file_made_at);
                    self.read(record, place < whole);
                }
                Some(_) => {}
                None => whole = whole.min(place),
            }
        }
        let damaged = whole < usize::MAX;
        if foreign {
            self = Self::new(&self.mailbox.own, self.workspace, self.queue.like(), self.now);
        }
        let mut opened = self.finish(saved.cursor, damaged && !foreign, saved.journal.is_empty() || foreign);
        opened.mailbox.journal.keep_copy = damaged || foreign;
        opened.trouble = match (foreign, damaged) {
            (true, _) => {
                Some("the inbox journal belongs to another workspace: a new one was begun, a copy is kept")
            }
            (false, true) => Some(
                "the inbox journal was damaged: what was lost is fetched again, messages may be repeated, a copy is kept",
            ),
            (false, false) => None,
        };
        opened.mailbox.journal.state = match (&opened.trouble, opened.mailbox.journal.over) {
            (None, 0) if saved.journal.is_empty() => State::Fresh,
            (None, 0) if format.is_some_and(|format| format < FORMAT) => State::Behind,
            (None, 0) => State::Ready,
            (Some(_), _) | (None, _) => State::Behind,
        };
        opened.mailbox.journal.grew(saved.journal.iter().map(String::len));
        opened
    }

    fn applier(&mut self) -> Applier<'_> {
        let (mailbox, queue) = (&mut self.mailbox, &mut self.queue);
        Applier { mailbox, queue, workspace: self.workspace, now: self.now }
    }

    fn read(&mut self, record: Event, before_damage: bool) {
        self.applier().apply(&record);
        match record {
            Event::Fetched { id, ca, base, from, rows, cast, .. } => {
                self.rows = rows;
                self.newest = self.newest.max(Stamp::at(ca));
                if before_damage {
                    let cast = cast.map(|(id, ca)| Mark::at(id, Stamp::at(ca)));
                    self.mailbox.broadcast = cast.or(self.mailbox.broadcast.take());
                    self.fetched(id, Stamp::at(ca), read_base(from, base));
                }
            }
            Event::Remembered { newest: Some(ca), .. } | Event::Staged { ca, .. } => {
                self.newest = self.newest.max(Stamp::at(ca));
            }
            Event::Acknowledged { .. }
            | Event::Delivered { .. }
            | Event::File(_)
            | Event::Gap { .. }
            | Event::Header { .. }
            | Event::Parked { .. }
            | Event::Projected { .. }
            | Event::Remembered { newest: None, .. }
            | Event::Sent { .. } => {}
        }
    }

    fn fetched(&mut self, id: Option<Rc<str>>, stamp: Stamp, base: Vec<Mark>) {
        self.mailbox.resumed = true;
        self.read_up_to = stamp;
        let Some(mark) = id.map(|id| Mark::at(id, stamp)) else { return };
        if self.position.is_none() && self.mailbox.watermarks.cursor().is_none() && self.has_no_message() {
            // The first of a rewritten journal stands before all messages.
            self.mailbox.watermarks.begin_at(mark.clone());
            self.mailbox.low = Some(mark.clone());
        }
        self.base = base;
        self.position = Some(mark);
    }

    fn has_no_message(&self) -> bool {
        self.queue.of(self.workspace).next().is_none()
    }

    fn finish(mut self, cursor: Option<String>, damaged: bool, is_new: bool) -> Opened {
        self.begin_files(damaged);
        let mut mailbox = self.mailbox;
        mailbox.named =
            cursor.as_deref().zip(self.file_made_at).map(|(id, stamp)| Mark::at(id.into(), stamp));
        let named_before = self.position.is_some();
        let begin_with_file = is_new || (damaged && !named_before);
        if begin_with_file {
            // The row that the file names is dealt with, with all before it.
            mailbox.watermarks.open(cursor);
            if let Some(made_at) = self.file_made_at {
                mailbox.watermarks.was_made_at(made_at, self.now);
            } else if damaged {
                mailbox.watermarks.lose_base(self.now);
            }
            if is_new && !damaged {
                let named = mailbox.watermarks.named_by_file().map(str::to_owned);
                mailbox.takeover = named.map(|named| Takeover { named, before: None, is_first: true });
            }
            if damaged {
                // Which rows are missing shows with the next fetch.
                mailbox.watermarks.doubt(Stamp::UNKNOWN);
            }
        } else {
            mailbox.watermarks.restore(self.position, self.base, (self.read_up_to, self.rows), self.now);
            mailbox.watermarks.saved(cursor);
            let named = mailbox.watermarks.named_by_file().map(str::to_owned);
            // What the journal said of the file may be part of the damage.
            let is_foreign = |id: &String| !damaged && !mailbox.may_name.contains(id);
            let takeover = |named| Takeover { named, before: mailbox.projected.clone(), is_first: false };
            mailbox.takeover = named.filter(is_foreign).map(takeover);
        }
        mailbox.resumed |= damaged;
        mailbox.watermarks.names_up_to(self.newest);
        let mut staged = self.queue.take_all(self.workspace);
        for staged in &mut staged {
            if !staged.parked && staged.is_stuck() {
                staged.parked = true;
                mailbox.journal.pending.push(Event::Parked { id: staged.id() });
            }
        }
        Opened { mailbox, staged, trouble: None }
    }
}

/// Files.
impl Recovery {
    /// What is known of files is brought together with the messages that wait.
    fn begin_files(&mut self, damaged: bool) {
        let waiting = self.queue.of(self.workspace);
        let begun = self.mailbox.files.begin(waiting, &self.mailbox.own, damaged, self.now);
        self.mailbox.journal.pending.extend(begun.records);
        // A write that was torn may have the message and not that it takes the place of a file's row.
        let folded = self.applier().fold(begun.folds, |staged| staged.starts() == 0);
        self.mailbox.journal.pending.extend(folded);
        // Processes that only live for a call would hold a message anew in each, for ever.
        let holds = !self.queue.has_session();
        for staged in self.queue.of_mut(self.workspace).filter(|staged| staged.starts() == 0) {
            if holds && begun.held.contains(&staged.id()) {
                staged.hold(self.now);
            }
            // What it is shown after may have been popped since.
            if begun.delayed.contains(&staged.id()) && staged.message.stamp < self.newest {
                Rc::make_mut(&mut staged.message).late = true;
            }
        }
    }
}

/// Where a sweep begins: perhaps at a moment, and at a row.
fn read_base(from: Option<i64>, row: Option<(Rc<str>, i64)>) -> Vec<Mark> {
    let from = from.map(|ca| Mark::moment(Stamp::at(ca)));
    from.into_iter().chain(row.map(|(id, ca)| Mark::at(id, Stamp::at(ca)))).collect()
}
