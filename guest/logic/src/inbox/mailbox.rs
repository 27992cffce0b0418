//! What is known of the inbox of one workspace, and what a journal has to say of it.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    event::{Event, FORMAT},
    files::Files,
    message::Message,
    queue::{Queue, Staged},
    watermarks::{Mark, Watermarks},
};
use crate::{
    planted::{Bug, planted},
    platform::stamp::Stamp,
    wire::{Instant, Workspace},
};

/// A line of the journal has its checksum and number before the record.
const FRAME_BYTES: u64 = 20;

/// A journal below this size is not worth a rewrite.
const SMALL_BYTES: u64 = 1 << 20;

/// The inbox of one workspace, but for the messages themselves.
#[derive(Default)]
pub(super) struct Mailbox {
    /// Whose inbox this is, by its id on the platform.
    pub(super) own: Rc<str>,
    pub(super) watermarks: Watermarks,
    pub(super) journal: Journal,
    pub(super) files: Files,
    /// Messages that are popped, while that is not on disk.
    pub(super) unsaved_pops: BTreeSet<Rc<str>>,
    pub(super) gaps: Vec<Gap>,
    /// The last row before the oldest message that waits: from there on a damaged journal is repaired.
    pub(super) low: Option<Mark>,
    pub(super) takeover: Option<Takeover>,
    /// Messages up to here were shown by another implementation, and are to be shown again.
    pub(super) repeats_up_to: Option<Stamp>,
    /// There was no room for more messages at the last look.
    pub(super) starved: bool,
    /// What the cursor file is to name, while it is being changed.
    pub(super) in_projection: Option<Option<String>>,
    /// Another program writes the cursor file at the same time.
    pub(super) shared: bool,
    /// The broadcast after which broadcasts are looked for.
    pub(super) broadcast: Option<Mark>,
    /// Before this moment nothing was ever looked for.
    pub(super) origin: Option<Stamp>,
    /// What the last `F` said.
    floor: Option<Event>,
    /// The row that the cursor file names, or was to name, if it is known when that was made.
    pub(super) named: Option<Mark>,
    /// What the cursor file was to name last.
    pub(super) projected: Option<String>,
    /// What it may name although no other program has written it.
    pub(super) may_name: BTreeSet<String>,
    /// Fetching has begun before, in another process.
    pub(super) resumed: bool,
}

/// Another implementation has run here, and the cursor file tells how far it has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Takeover {
    /// The row that the file names.
    pub(super) named: String,
    /// The row that it named before: there the other implementation has begun.
    pub(super) before: Option<String>,
    /// There is no journal.
    pub(super) is_first: bool,
}

/// Messages of this time may be missing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gap {
    pub(super) from: Stamp,
    pub(super) to: Stamp,
    /// The agent knows.
    pub(super) told: bool,
}

impl Gap {
    pub(super) fn record(&self) -> Event {
        let (from, to) = (self.from.microseconds(), self.to.microseconds());
        Event::Gap { from, to, told: self.told }
    }
}

/// The file of records.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) state: State,
    /// A rewrite is under way: an append would be lost with what it replaces.
    pub(super) in_rewrite: bool,
    /// Dialogues that have something to add, and do not know yet that it is there.
    pub(super) writers: usize,
    /// Somebody has begun to add records, and was stopped before it was known whether they are there.
    pub(super) unseen: bool,
    /// Why it is rewritten keeping a copy.
    pub(super) keep_copy: bool,
    bytes: u64,
    /// Bytes of messages that are popped.
    pub(super) over: u64,
    /// Records that ride on the next write.
    pub(super) pending: Vec<Event>,
    pub(super) rewritten_at: Instant,
}

/// Whether records can be added.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum State {
    /// What is on disk is not what should be: only a rewrite helps.
    Behind,
    /// There is none yet, and nothing to say.
    #[default]
    Fresh,
    /// It belongs to a newer version, and is left alone.
    Newer,
    Ready,
}

impl Journal {
    /// Records of so many bytes were added.
    pub(super) fn grew(&mut self, records: impl IntoIterator<Item = usize>) {
        self.bytes += records.into_iter().map(|bytes| bytes as u64 + FRAME_BYTES).sum::<u64>();
    }

    /// A message of so many bytes is over.
    pub(super) fn outlived(&mut self, bytes: usize) {
        self.over = self.over.saturating_add(bytes as u64);
    }

    pub(super) fn rewritten(&mut self, records: &[usize], now: Instant) {
        (self.bytes, self.over, self.keep_copy) = (0, 0, false);
        self.grew(records.iter().copied());
        self.state = State::Ready;
        self.rewritten_at = now;
    }

    /// Whether it says all there is to say, in little space.
    fn is_at_rest(&self) -> bool {
        let is_whole = matches!(self.state, State::Fresh | State::Ready) && !self.in_rewrite && !self.unseen;
        is_whole && self.pending.is_empty() && self.bytes <= SMALL_BYTES
    }

    /// Whether it holds so much that is over that it should be rewritten.
    pub(super) fn is_worth_a_rewrite(&self, live: usize, now: Instant) -> bool {
        const DAY_MS: u64 = 86_400_000;
        let is_large = self.bytes > SMALL_BYTES && self.bytes > 4 * live as u64;
        is_large || (self.over > 0 && now.saturating_sub(self.rewritten_at) >= DAY_MS)
    }
}

impl Mailbox {
    /// Of a workspace of which nothing is known but its id on the platform.
    pub(super) fn new(own: &str) -> Self {
        Self { own: own.into(), ..Self::default() }
    }

    /// Whether the disk holds all that is known, as far as no message waits, and nothing is fetched again by an
    /// instance that reads it.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_told =
            self.journal.state == State::Fresh || self.settled_floor().is_some_and(|floor| floor.is_none());
        is_told && self.journal.is_at_rest() && self.unsaved_pops.is_empty() && self.in_projection.is_none()
    }

    /// Once nothing appears before the position any more: what `F` should say, if the journal says something else.
    fn settled_floor(&self) -> Option<Option<Event>> {
        let is_settled = !self.watermarks.is_young() && self.watermarks.behind().is_none();
        is_settled.then(|| self.current_floor().filter(|floor| self.floor.as_ref() != Some(floor)))
    }

    /// Has the next write say where fetching begins, once nothing appears before that any more. Without it the next
    /// process would fetch rows of the last minutes again.
    pub(super) fn note_settled_floor(&mut self) {
        if let Some(Some(floor)) = self.settled_floor() {
            self.floor = Some(floor.clone());
            self.journal.pending.push(floor);
        }
    }

    /// What `F` should say, if that is something new.
    pub(super) fn new_floor(&mut self) -> Option<Event> {
        let floor = self.current_floor()?;
        let is_new = match (&self.floor, &floor) {
            // The base moves by itself as time goes by, which is not worth a write.
            (
                Some(Event::Fetched { id, ca, since, .. }),
                Event::Fetched { id: new_id, ca: new_ca, since: new_since, .. },
            ) => (id, ca, since) != (new_id, new_ca, new_since),
            _ => true,
        };
        if !is_new {
            return None;
        }
        self.floor = Some(floor.clone());
        Some(floor)
    }

    /// What `F` should say once the base was put back.
    pub(super) fn lowered_floor(&mut self) -> Option<Event> {
        self.floor = None;
        let floor = self.current_floor()?;
        self.floor = Some(floor.clone());
        Some(floor)
    }

    /// The row after which another implementation has begun to fetch, as far as the journal can tell.
    pub(super) fn where_another_began(&self, takeover: &Takeover) -> Option<Mark> {
        let before = takeover.before.as_deref().map(|id| Mark::at(id.into(), Stamp::UNKNOWN));
        before.filter(|before| before.can_be_asked_after).or_else(|| self.watermarks.start(true, 0))
    }

    fn current_floor(&self) -> Option<Event> {
        let since = self.origin.map(Stamp::microseconds);
        let cast = self.broadcast.as_ref().map(|row| (Rc::clone(&row.id), row.stamp.microseconds()));
        let Some(position) = self.watermarks.position() else {
            // What was fetched so far is not forgotten with the position: the next process looks for it in the same way.
            let ca = self.watermarks.read_up_to()?.microseconds();
            return self.floor.is_none().then_some(Event::Fetched {
                id: None,
                ca,
                base: None,
                from: None,
                rows: 0,
                since,
                cast,
            });
        };
        let base = self.watermarks.start(true, 0).filter(|base| base.id != position.id);
        let undated = self.watermarks.undated().map(|_| Stamp::UNKNOWN);
        let from = self.watermarks.behind().map(|(from, _)| from).or(undated).map(Stamp::microseconds);
        Some(Event::Fetched {
            id: Some(Rc::clone(&position.id)),
            ca: position.stamp.microseconds(),
            base: base.map(|base| (base.id, base.stamp.microseconds())),
            from,
            rows: self.watermarks.rows_since_base(),
            since,
            cast,
        })
    }

    /// Has a record say what is known when it is written: another one may have been written since it was made.
    pub(super) fn bring_up_to_date(&self, record: &mut Event, queue: &Queue, workspace: Workspace) {
        let known = match record {
            Event::Delivered { id, .. } => {
                queue.of(workspace).find(|staged| staged.message.activity_id == **id).map(delivered)
            }
            Event::File(file) => self.files.record_of(&file.id),
            Event::Gap { from, to, .. } => {
                let is_it = |gap: &&Gap| (gap.from.microseconds(), gap.to.microseconds()) == (*from, *to);
                self.gaps.iter().find(is_it).map(Gap::record)
            }
            Event::Acknowledged { .. }
            | Event::Fetched { .. }
            | Event::Header { .. }
            | Event::Parked { .. }
            | Event::Projected { .. }
            | Event::Remembered { .. }
            | Event::Sent { .. }
            | Event::Staged { .. } => None,
        };
        if let Some(known) = known {
            *record = known;
        }
    }

    /// Begins a journal anew with [`Mailbox::snapshot`].
    pub(super) fn begin_anew(&mut self, queue: &Queue, workspace: Workspace) -> Vec<Event> {
        let records = self.snapshot(queue, workspace);
        self.low = self.new_low(queue, workspace);
        self.floor = self.current_floor().or_else(|| self.floor.take());
        records
    }

    /// The last row before the oldest message that waits, as far as it is known.
    fn new_low(&self, queue: &Queue, workspace: Workspace) -> Option<Mark> {
        let oldest = queue.of(workspace).map(|staged| staged.message.stamp).min();
        let is_below = |mark: &&Mark| oldest.is_none_or(|oldest| mark.stamp < oldest);
        let cursor = self.watermarks.cursor().filter(is_below);
        cursor.or_else(|| self.low.as_ref().filter(is_below)).cloned()
    }

    /// All that a journal has to say now, and nothing of what is over.
    pub(super) fn snapshot(&self, queue: &Queue, workspace: Workspace) -> Vec<Event> {
        let mut records = vec![Event::Header { v: FORMAT, workspace: Rc::clone(&self.own) }];
        let mut ids = self.watermarks.remembered();
        ids.extend(self.unsaved_pops.iter().cloned());
        if !ids.is_empty() {
            let newest = self.watermarks.seen_up_to().filter(|newest| *newest > Stamp::UNKNOWN);
            records.push(Event::Remembered { ids, newest: newest.map(Stamp::microseconds) });
        }
        if planted(Bug::HighFloorFirst) {
            records.extend(self.current_floor());
        } else if let Some(low) = self.new_low(queue, workspace) {
            records.push(Event::Fetched {
                id: Some(Rc::clone(&low.id)),
                ca: low.stamp.microseconds(),
                base: None,
                rows: 0,
                from: Some(Mark::long_before(low.stamp).stamp.microseconds()),
                since: self.origin.map(Stamp::microseconds),
                cast: None,
            });
        }
        for staged in queue.of(workspace) {
            records.push(staging(&staged.message, staged.askable));
            if staged.starts() > 0 {
                records.push(delivered(staged));
            }
            if staged.parked {
                records.push(Event::Parked { id: staged.id() });
            }
        }
        records.extend(self.files.records());
        records.extend(self.current_floor().or_else(|| self.floor.clone()));
        records.extend(self.gaps.iter().map(Gap::record));
        // Until the row is found that another implementation has put into the file, the journal says what was there before.
        let was = match &self.takeover {
            Some(takeover) => takeover.before.clone(),
            None => self.watermarks.named_by_file().map(str::to_owned),
        };
        let named = self.in_projection.clone().unwrap_or_else(|| was.clone());
        if named.is_some() || was.is_some() {
            records.push(self.projected(named, was));
        }
        records
    }

    /// That the cursor file names the row `id` or is about to, and until then the row `was`.
    pub(super) fn projected(&self, id: Option<String>, was: Option<String>) -> Event {
        let named = id.as_deref().and_then(|id| self.dated(id));
        let ca = named.map(|named| named.stamp.microseconds());
        Event::Projected { id, ca, was: Some(was.unwrap_or_default()) }
    }

    /// The cursor file is to name the row `id`, and named the row `was` until then, if that is known.
    pub(super) fn projects(&mut self, id: Option<&str>, was: Option<&str>) {
        self.named = id.and_then(|id| self.dated(id)).cloned();
        if was.is_some() {
            self.may_name.clear();
        }
        self.may_name.extend(id.into_iter().chain(was).map(str::to_owned));
        self.projected = id.map(str::to_owned);
    }

    /// The row that the cursor file names, or is to name, if it is this one and it is known when that was made.
    fn dated(&self, id: &str) -> Option<&Mark> {
        let cursor = self.watermarks.cursor().filter(|cursor| cursor.stamp > Stamp::UNKNOWN);
        cursor.into_iter().chain(&self.named).find(|mark| *mark.id == *id)
    }
}

/// What a message has been through.
pub(super) fn delivered(staged: &Staged) -> Event {
    Event::Delivered {
        id: staged.id(),
        n: staged.deliveries,
        starts: staged.starts(),
        session: staged.session().cloned(),
    }
}

/// The record by which a message gets on disk.
pub(super) fn staging(message: &Rc<Message>, askable: bool) -> Event {
    Event::Staged { ca: message.stamp.microseconds(), askable, m: Rc::clone(message) }
}
