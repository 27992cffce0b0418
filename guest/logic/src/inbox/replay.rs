//! How a journal becomes a book.
//!
//! ```text
//! journal ──replay──► book + staged messages ──snapshot──► journal without what is over
//! ```
//!
//! A journal that was damaged is good for what is left of it: messages that it still has are kept, and
//! fetching goes on from the last position before the damage, so that lost ones are fetched again.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

use super::{
    book::{Book, Gap, Handover, State},
    ledger::Mark,
    message::{Kind, Message},
    queue::Staged,
    record::{self, FORMAT, Record},
};
use crate::{
    planted::{Bug, planted},
    platform::stamp::Stamp,
    wire::{Instant, Saved, Workspace},
};

/// What a start has found.
pub(super) struct Opened {
    pub(super) book: Book,
    pub(super) staged: Vec<Staged>,
    /// Something was wrong with the journal, for the operator.
    pub(super) trouble: Option<&'static str>,
}

/// Reads what is on disk.
pub(super) fn open(own: &str, workspace: Workspace, saved: Saved, now: Instant) -> Opened {
    let format = saved.journal.iter().find_map(|line| record::format(line));
    if format.is_some_and(|format| format > FORMAT) {
        let mut book = Book::new(own);
        book.journal.state = State::Newer;
        book.ledger.open(saved.cursor);
        return Opened {
            book,
            staged: Vec::new(),
            trouble: Some(
                "the inbox journal was written by a newer version and is left alone: messages that are handled now come \
                 back later; use that version again, or move the .mcp_inbox_*.journal file away",
            ),
        };
    }
    Replay::new(own, workspace, now).run(saved, format)
}

/// A journal on its way to a book.
struct Replay {
    book: Book,
    workspace: Workspace,
    now: Instant,
    staged: VecDeque<Staged>,
    position: Option<Mark>,
    base: Vec<Mark>,
    /// Rows between base and position.
    rows: u64,
    read_up_to: Stamp,
    /// What the cursor file was to name last.
    projected: Option<String>,
    /// What it may name although no other program has written it.
    may_name: BTreeSet<String>,
    /// When the row was made that the cursor file names.
    file_made_at: Option<Stamp>,
    newest: Stamp,
    over: usize,
}

impl Replay {
    fn new(own: &str, workspace: Workspace, now: Instant) -> Self {
        let mut book = Book::new(own);
        // Up to where rows are known to be complete is not known before the end.
        book.ledger.doubt(Stamp::UNKNOWN);
        Self {
            book,
            workspace,
            now,
            staged: VecDeque::new(),
            position: None,
            base: Vec::new(),
            rows: 0,
            read_up_to: Stamp::UNKNOWN,
            projected: None,
            may_name: BTreeSet::new(),
            file_made_at: None,
            newest: Stamp::UNKNOWN,
            over: 0,
        }
    }

    fn run(mut self, saved: Saved, format: Option<u32>) -> Opened {
        let damage = saved.damaged_after.filter(|_| !planted(Bug::DamageIgnored));
        let damaged_after = damage.and_then(|place| usize::try_from(place).ok());
        let mut whole = damaged_after.unwrap_or(usize::MAX);
        let mut foreign = false;
        let named = saved.cursor.as_deref().unwrap_or_default();
        for (place, line) in saved.journal.iter().enumerate() {
            match Record::read(line) {
                Some(Record::Header { workspace, .. }) if workspace != self.book.own => foreign = true,
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
            self = Self::new(&self.book.own, self.workspace, self.now);
        }
        let mut opened = self.finish(saved.cursor, damaged && !foreign, saved.journal.is_empty() || foreign);
        opened.book.journal.keep_copy = damaged || foreign;
        opened.trouble = match (foreign, damaged) {
            (true, _) => {
                Some("the inbox journal belongs to another workspace: a new one was begun, a copy is kept")
            }
            (false, true) => Some(
                "the inbox journal was damaged: what was lost is fetched again, messages may be repeated, a copy is kept",
            ),
            (false, false) => None,
        };
        opened.book.journal.state = match (&opened.trouble, opened.book.journal.over) {
            (None, 0) if saved.journal.is_empty() => State::Fresh,
            (None, 0) if format.is_some_and(|format| format < FORMAT) => State::Behind,
            (None, 0) => State::Ready,
            (Some(_), _) | (None, _) => State::Behind,
        };
        opened.book.journal.grew(saved.journal.iter().map(String::len));
        opened
    }

    fn read(&mut self, record: Record, before_damage: bool) {
        match record {
            Record::Acknowledged { ids } => ids.iter().for_each(|id| self.acknowledge(id)),
            Record::Delivered { id, n, starts } => {
                if let Some(staged) = self.find(&id) {
                    (staged.deliveries, staged.starts_before) = (n, starts);
                    // A showing that was taken back is none.
                    staged.redelivered = starts > 0 && !planted(Bug::NoRedeliveredFlag);
                }
            }
            Record::Fetched { id, ca, base, from, rows, since, cast } => {
                self.rows = rows;
                self.book.origin = since.map(Stamp::at).or(self.book.origin);
                self.newest = self.newest.max(Stamp::at(ca));
                if before_damage {
                    let cast = cast.map(|(id, ca)| Mark::at(id, Stamp::at(ca)));
                    self.book.broadcast = cast.or(self.book.broadcast.take());
                    self.fetched(id, Stamp::at(ca), read_base(from, base));
                }
            }
            Record::File(file) => self.book.files.read(file, self.now),
            Record::Gap { from, to, told } => {
                let gap = Gap { from: Stamp::at(from), to: Stamp::at(to), told };
                self.book.gaps.retain(|known| (known.from, known.to) != (gap.from, gap.to));
                self.book.gaps.push(gap);
            }
            Record::Header { .. } => {}
            Record::Parked { id } => {
                if let Some(staged) = self.find(&id) {
                    staged.parked = true;
                }
            }
            Record::Projected { id, was, .. } => {
                if was.is_some() {
                    self.may_name.clear();
                }
                self.may_name.extend(id.iter().cloned().chain(was));
                self.projected = id;
            }
            Record::Remembered { ids, newest } => {
                self.newest = self.newest.max(newest.map_or(Stamp::UNKNOWN, Stamp::at));
                ids.into_iter().for_each(|id| self.book.ledger.remember(id));
            }
            Record::Sent { files } => self.book.files.read_own(files),
            Record::Staged { ca, askable, m } => self.stage(Stamp::at(ca), askable, m),
        }
    }

    fn stage(&mut self, stamp: Stamp, askable: bool, mut message: Rc<Message>) {
        if self.book.ledger.knows(&message.activity_id) || self.find(&message.activity_id).is_some() {
            return;
        }
        let read = Rc::make_mut(&mut message);
        (read.workspace, read.stamp) = (self.workspace, stamp);
        self.newest = self.newest.max(stamp);
        let staged = Staged::new(message, askable);
        if staged.message.kind != Kind::Broadcast {
            self.book.ledger.wait_for(mark(&staged));
        }
        self.staged.push_back(staged);
    }

    fn acknowledge(&mut self, id: &Rc<str>) {
        if let Some(place) = self.staged.iter().position(|staged| staged.message.activity_id == **id)
            && let Some(staged) = self.staged.remove(place)
        {
            self.over += staged.message.weight();
        }
        self.book.ledger.acknowledge(id);
        // A damaged journal may have lost the message itself.
        self.book.ledger.remember(Rc::clone(id));
    }

    fn fetched(&mut self, id: Option<Rc<str>>, stamp: Stamp, base: Vec<Mark>) {
        self.book.resumed = true;
        self.read_up_to = stamp;
        let Some(mark) = id.map(|id| Mark::at(id, stamp)) else { return };
        if self.position.is_none() && self.book.ledger.cursor().is_none() && self.staged.is_empty() {
            // The first of a rewritten journal stands before all messages.
            self.book.ledger.begin_at(mark.clone());
            self.book.low = Some(mark.clone());
        }
        self.base = base;
        self.position = Some(mark);
    }

    fn find(&mut self, id: &str) -> Option<&mut Staged> {
        self.staged.iter_mut().find(|staged| staged.message.activity_id == id)
    }

    fn finish(mut self, cursor: Option<String>, damaged: bool, is_new: bool) -> Opened {
        self.begin_files(damaged);
        let mut book = self.book;
        book.named = cursor.as_deref().zip(self.file_made_at).map(|(id, stamp)| Mark::at(id.into(), stamp));
        let named_before = self.position.is_some();
        let begin_with_file = is_new || (damaged && !named_before);
        if begin_with_file {
            // The row that the file names is dealt with, with all before it.
            book.ledger.open(cursor);
            if let Some(made_at) = self.file_made_at {
                book.ledger.was_made_at(made_at, self.now);
            } else if damaged {
                book.ledger.lose_base(self.now);
            }
            if is_new && !damaged {
                let named = book.ledger.named_by_file().map(str::to_owned);
                book.handover = named.map(|named| Handover { named, before: None, is_first: true });
            }
            if damaged {
                // Which rows are missing shows with the next fetch.
                book.ledger.doubt(Stamp::UNKNOWN);
            }
        } else {
            book.ledger.restore(self.position, self.base, (self.read_up_to, self.rows), self.now);
            book.ledger.saved(cursor);
            let named = book.ledger.named_by_file().map(str::to_owned);
            // What the journal said of the file may be part of the damage.
            let is_foreign = |id: &String| !damaged && !self.may_name.contains(id);
            let handover = |named| Handover { named, before: self.projected, is_first: false };
            book.handover = named.filter(is_foreign).map(handover);
        }
        book.resumed |= damaged;
        book.ledger.names_up_to(self.newest);
        for staged in &mut self.staged {
            if !staged.parked && staged.is_stuck() {
                staged.parked = true;
                book.journal.pending.push(Record::Parked { id: staged.id() });
            }
        }
        book.journal.outlived(self.over);
        Opened { book, staged: self.staged.into(), trouble: None }
    }
}

/// Files.
impl Replay {
    /// What is known of files is brought together with the messages that wait.
    fn begin_files(&mut self, damaged: bool) {
        let begun = self.book.files.begin(self.staged.iter(), &self.book.own, damaged, self.now);
        self.book.journal.pending.extend(begun.records);
        // A write that was torn may have the message and not that it takes the place of a file's row.
        let folded: Vec<Rc<str>> = begun
            .folds
            .into_iter()
            .filter(|row| self.find(row).is_some_and(|staged| staged.starts() == 0))
            .collect();
        for row in &folded {
            self.acknowledge(row);
            self.book.files.handled(row);
        }
        if !folded.is_empty() {
            self.book.journal.pending.push(Record::Acknowledged { ids: folded });
        }
        for staged in self.staged.iter_mut().filter(|staged| staged.starts() == 0) {
            if begun.held.contains(&staged.id()) {
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

fn mark(staged: &Staged) -> Mark {
    Mark { id: staged.id(), stamp: staged.message.stamp, can_be_asked_after: staged.askable }
}
