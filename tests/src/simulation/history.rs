//! What happened, and whether it may happen.
//!
//! | Rule | Says |
//! |---|---|
//! | complete | every visible message is shown, and in the end it is popped or still there |
//! | over | a message whose pop was answered as durable is never shown again |
//! | known | nothing is shown that is no message, or not visible yet |
//! | flagged | a message that an earlier life has shown says so, and only such a one |
//! | ordered | of one sender, first showings ascend, unless they say that they are late |
//! | behind | the cursor file names a row, and all up to that are dealt with |
//! | bounded | no more than 200 messages wait on disk, and parked ones |
//! | handed over | what another implementation has shown is not shown again, unless it was staged here |
//! | alone | the cursor file never seems to be another program's |
//! | recovered | what a start would recover from the journal, as it is or written anew, is what is known |
//! | rung | what waits unseen is rung for, what was seen is not, and nothing more often than is allowed |
//! | files | no file is acknowledged that is not whole on disk, or whose message waits; none has two names |

use std::collections::{BTreeMap, BTreeSet};

use super::{
    disk::Crash,
    platform::{BEGINNING, Row, Time},
    records::{self, Record, Staged},
    rings::Rings,
    wire::FileChange,
};

/// More than this may never wait.
const MOST_STAGED: usize = 200;

/// How long an answer that was overtaken may take, in microseconds.
const OVERTAKEN: Time = 5_000_000;

/// Violations that are kept; one is enough to fail.
const MOST_VIOLATIONS: usize = 20;

/// A message as the agent was shown it.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    /// The id of its row.
    pub(super) id: String,
    /// It says that it was shown before.
    pub(super) redelivered: bool,
    /// It says that it became visible late.
    pub(super) late: bool,
}

/// All that was seen so far.
#[derive(Debug, Default)]
pub(super) struct History {
    messages: BTreeMap<String, Message>,
    /// The rows that name a file of the user.
    files: BTreeMap<String, Vec<String>>,
    /// Where a file is.
    paths: BTreeMap<String, String>,
    /// What the journal says, if it is written as it was told.
    staged: Staged,
    /// Where the agent, or the operator, was told that messages may be missing.
    gaps: Vec<(i64, i64)>,
    /// How far each sender's messages were shown.
    shown_up_to: BTreeMap<usize, Time>,
    /// Rises with each process and each guest.
    life: u64,
    this_life: ThisLife,
    /// A showing rides on the next sync.
    shown_since_sync: BTreeSet<String>,
    /// What is gone from the platform may be gone from the disk, too.
    unsafe_disk: bool,
    disk_fails: bool,
    /// What another implementation has shown, and what lies behind the row that it has left.
    by_another: BTreeSet<String>,
    passed_by_another: BTreeSet<String>,
    first_left: Option<Time>,
    /// What was staged here when another one began.
    staged_before: BTreeSet<String>,
    /// Messages from before that may have changed their order.
    damaged_at: Time,
    pub(super) rings: Rings,
    violations: Vec<String>,
    /// Bytes of the journal that was harmed.
    pub(super) harmed_bytes: usize,
    /// What was counted, for people.
    pub(super) tally: Tally,
}

/// What a run was made of.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Rows that are messages.
    pub messages: u64,
    /// Messages shown for the first time.
    pub shown: u64,
    /// Messages that were shown by an earlier life, too.
    pub redelivered: u64,
    /// Kills and power cuts.
    pub crashes: u64,
    /// Guests that trapped.
    pub traps: u64,
    /// Turns of another implementation.
    pub turns_of_another: u64,
    /// Messages that only another implementation has shown, or may have.
    pub by_another: u64,
    /// Files that were acknowledged.
    pub acknowledged: u64,
    /// Rings for the agent.
    pub rings: u64,
    /// Messages that were deleted before anybody could fetch them, and were missed aloud.
    pub excused: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            messages,
            shown,
            redelivered,
            crashes,
            traps,
            turns_of_another,
            by_another,
            acknowledged,
            rings,
            excused,
        } = other;
        self.messages += messages;
        self.shown += shown;
        self.redelivered += redelivered;
        self.crashes += crashes;
        self.traps += traps;
        self.turns_of_another += turns_of_another;
        self.by_another += by_another;
        self.acknowledged += acknowledged;
        self.rings += rings;
        self.excused += excused;
    }
}

#[derive(Debug, Default, Clone)]
struct Message {
    /// The life that has shown it last.
    shown_in: Option<u64>,
    pop_asked: bool,
    /// Since when the agent knows that it does not come again.
    over: Option<Time>,
    /// That it was shown may not be on disk.
    may_not_say_so: bool,
}

#[derive(Debug, Default)]
struct ThisLife {
    redelivered: BTreeSet<String>,
    /// How many messages were staged when the last one ended.
    inherited: usize,
    /// The disk has failed.
    disk_failed: bool,
}

impl History {
    /// What is not as it should be; empty if all is well.
    pub(super) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Notes something that must not happen.
    pub(super) fn violate(&mut self, now: Time, what: impl Into<String>) {
        if self.violations.len() < MOST_VIOLATIONS {
            let seconds = now / 1_000_000;
            self.violations.push(format!("at {seconds} s: {}", what.into()));
        }
    }

    /// A process, or only its guest, begins with what is on disk.
    pub(super) fn begins(&mut self, journal: &[String], now: Time) {
        self.life += 1;
        let before = self.staged.ids().count();
        self.staged = Staged::default();
        for record in records::read_all(journal) {
            self.staged.note(&record);
        }
        // A change that was said to have failed may have been made.
        let inherited = before.max(self.staged.ids().count());
        if self.this_life.disk_failed {
            // What was only in memory comes again, and in another order if some of it came late.
            self.shown_up_to.clear();
        }
        let disk_failed = self.disk_fails;
        self.this_life = ThisLife { inherited, disk_failed, ..ThisLife::default() };
        self.rings = Rings::begin(now);
        self.staged.ids().for_each(|id| self.rings.staged(id, now));
    }

    /// A region of the journal was damaged before this life began: messages may come again, and must not
    /// be lost.
    pub(super) fn damaged(&mut self, now: Time) {
        self.damaged_at = now;
        self.unsafe_disk = true;
        self.this_life.inherited = usize::MAX;
        for message in self.messages.values_mut() {
            message.over = None;
            message.may_not_say_so = true;
        }
    }

    /// A process has ended. With the power, what it has shown since the last sync may be forgotten.
    pub(super) fn crashed(&mut self, crash: Crash) {
        self.tally.crashes += 1;
        if crash == Crash::Kill {
            return;
        }
        for id in std::mem::take(&mut self.shown_since_sync) {
            if let Some(message) = self.messages.get_mut(&id) {
                message.may_not_say_so = true;
            }
        }
    }

    /// Another implementation begins.
    pub(super) fn another_begins(&mut self) {
        self.tally.turns_of_another += 1;
        self.staged_before = self.staged.ids().cloned().collect();
    }

    /// Another implementation shows rows.
    pub(super) fn shown_by_another(&mut self, rows: &[String]) {
        self.by_another.extend(rows.iter().cloned());
    }

    /// Another implementation has ended. Rows that it may have shown are not looked for: those that can be read and
    /// are no younger than the one that it has left.
    pub(super) fn another_ends(&mut self, left: Option<&str>, rows: &BTreeMap<String, Row>, now: Time) {
        let Some(left) = left.and_then(|left| rows.get(left)).map(|left| left.created_at) else { return };
        let is_passed =
            |row: &Row| row.created_at <= left && row.visible_at.is_some_and(|visible| visible <= now);
        self.passed_by_another
            .extend(rows.iter().filter(|(_, row)| is_passed(row)).map(|(id, _)| id.clone()));
        // A row that becomes visible behind the first one that was taken over is looked for by nobody.
        self.first_left = self.first_left.or(Some(left));
    }

    /// A guest has ended.
    pub(super) fn trapped(&mut self) {
        self.tally.traps += 1;
    }

    /// The disk begins to fail, or works again.
    pub(super) fn disk_fails(&mut self, fails: bool) {
        self.disk_fails = fails;
        if fails {
            self.unsafe_disk = true;
            self.this_life.disk_failed = true;
            let life = self.life;
            for message in self.messages.values_mut() {
                message.may_not_say_so |= message.shown_in == Some(life);
            }
        }
    }

    /// Notes a change that is on disk.
    pub(super) fn stored(&mut self, change: &FileChange, now: Time) {
        let lines = match change {
            FileChange::Append(append) => {
                if append.sync {
                    self.shown_since_sync.clear();
                }
                &append.records
            }
            FileChange::Rewrite(rewrite) => {
                self.shown_since_sync.clear();
                self.staged = Staged::default();
                &rewrite.records
            }
            FileChange::Cursor(_) | FileChange::InboundSecret(_) => return,
        };
        for record in records::read_all(lines) {
            self.staged.note(&record);
            if let Record::Staged { m } = &record {
                self.rings.staged(&m.activity_id, now);
            }
            if let Record::Gap { from, to } = record {
                self.gaps.push((from, to));
            }
        }
        // A message makes room when it is popped, which is a moment before that is on disk.
        let is_waiting = |id: &&String| self.messages.get(*id).is_none_or(|message| !message.pop_asked);
        let count = self.staged.ids_not_parked().filter(is_waiting).count();
        if count > MOST_STAGED {
            self.violate(now, format!("bounded: {count} messages wait on disk"));
        }
    }

    /// The user has sent a file, which these rows name.
    pub(super) fn sent(&mut self, file: String, rows: Vec<String>) {
        self.files.insert(file, rows);
    }

    /// A file is on disk under this path.
    pub(super) fn fetched(&mut self, file: &str, path: &str, now: Time) {
        let known = self.paths.entry(file.to_owned()).or_insert_with(|| path.to_owned());
        if known != path {
            let known = known.clone();
            self.violate(now, format!("files: {file} is at {path} and at {known}"));
        }
    }

    /// The platform is told that a file is here for good.
    pub(super) fn acknowledged(&mut self, file: &str, is_whole: impl Fn(&str) -> bool, now: Time) {
        self.tally.acknowledged += 1;
        if !self.paths.get(file).is_some_and(|path| is_whole(path)) {
            self.violate(now, format!("files: {file} is acknowledged and not on disk"));
        }
        for row in self.files.get(file).cloned().unwrap_or_default() {
            let message = self.messages.get(&row);
            let is_shown = message.is_some_and(|message| message.shown_in.is_some());
            let is_asked = message.is_some_and(|message| message.pop_asked);
            let waits = self.staged.ids().any(|id| *id == row) && !self.unsafe_disk;
            if waits || (is_shown && !is_asked) {
                self.violate(now, format!("files: {file} is acknowledged, and {row} waits"));
            }
        }
        let is_done = |row: &String| self.messages.get(row).is_some_and(|message| message.pop_asked);
        if !self.files.get(file).is_some_and(|rows| rows.iter().any(is_done)) {
            self.violate(now, format!("files: {file} is acknowledged, and nothing that names it was popped"));
        }
    }

    /// The messages that wait on disk, and that this life has not shown.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &String> {
        let waits = |id: &&String| {
            self.messages
                .get(*id)
                .is_none_or(|message| !message.pop_asked && message.shown_in != Some(self.life))
        };
        self.staged.ids_not_parked().filter(waits)
    }

    /// Whether a row may be a message that the agent has not seen in this life.
    pub(super) fn may_be_unread(&self, id: &str, row: &Row) -> bool {
        let message = self.messages.get(id);
        let is_seen = message.is_some_and(|message| message.shown_in == Some(self.life));
        !row.filtered && row.visible_at.is_some() && !is_seen
    }

    /// The agent asks for a message to be taken out.
    pub(super) fn pop_asked(&mut self, id: &str) {
        self.messages.entry(id.to_owned()).or_default().pop_asked = true;
    }

    /// The agent is told that a message is taken out.
    pub(super) fn popped(&mut self, id: &str, removed: bool, durable: bool, now: Time) {
        let message = self.messages.entry(id.to_owned()).or_default();
        if removed && message.shown_in.is_none() {
            self.violate(now, format!("known: {id} was popped and never shown"));
        } else if removed && durable {
            message.over = message.over.or(Some(now));
        }
    }

    /// The agent is shown messages, in this order, by a call of an earlier time.
    pub(super) fn shows(&mut self, shown: &[Shown], rows: &BTreeMap<String, Row>, asked_at: Time, now: Time) {
        for shown in shown {
            let Some(row) = rows.get(&shown.id) else {
                self.violate(now, format!("known: {} was shown, which is no row", shown.id));
                continue;
            };
            if row.filtered || row.visible_at.is_none_or(|visible| visible > now) {
                self.violate(now, format!("known: {} was shown, which is {row:?}", shown.id));
            }
            self.shows_one(shown, row, asked_at, now);
        }
    }

    fn shows_one(&mut self, shown: &Shown, row: &Row, asked_at: Time, now: Time) {
        let id = &shown.id;
        let message = self.messages.entry(id.clone()).or_default();
        let (over, may_not_say_so) = (message.over, message.may_not_say_so);
        let before = message.shown_in.replace(self.life);
        message.may_not_say_so = self.this_life.disk_failed;
        self.shown_since_sync.insert(id.clone());
        // Calls beside each other may overtake each other.
        if over.is_some_and(|over| asked_at > over || now > over + OVERTAKEN) {
            self.violate(now, format!("over: {id} was shown after it was popped"));
        }
        if before.is_none() {
            self.shows_first(shown, row, now);
            if self.by_another.contains(id) && !self.staged_before.contains(id) {
                self.violate(now, format!("handed over: {id} was shown by another implementation before"));
            }
        }
        if before.is_some_and(|life| life < self.life) {
            self.tally.redelivered += 1;
            if !shown.redelivered && !may_not_say_so {
                self.violate(now, format!("flagged: {id} was shown by an earlier life and does not say so"));
            }
        }
        if shown.redelivered {
            self.this_life.redelivered.insert(id.clone());
            let (count, inherited) = (self.this_life.redelivered.len(), self.this_life.inherited);
            if count > inherited {
                self.violate(
                    now,
                    format!("flagged: {count} messages come again, of {inherited} that waited"),
                );
            }
        }
    }

    fn shows_first(&mut self, shown: &Shown, row: &Row, now: Time) {
        self.tally.shown += 1;
        let up_to = self.shown_up_to.entry(row.from).or_default();
        if row.created_at < *up_to && !shown.late && row.visible_at > Some(self.damaged_at) {
            let behind = *up_to - row.created_at;
            self.violate(now, format!("ordered: {} comes {behind} µs behind and does not say so", shown.id));
        } else {
            *up_to = row.created_at.max(*up_to);
        }
    }

    /// The cursor file holds this.
    pub(super) fn cursor(&mut self, cursor: Option<&str>, rows: &BTreeMap<String, Row>, now: Time) {
        let Some(cursor) = cursor else { return };
        let Some(named) = rows.get(cursor) else {
            return self.violate(now, format!("behind: the cursor file holds {cursor:?}, which is no row"));
        };
        let waits = |(id, row): (&String, &Row)| {
            let message = self.messages.get(id);
            let is_shown = message.is_some_and(|message| message.shown_in.is_some());
            let is_done = message.is_some_and(|message| message.pop_asked);
            // A late row may appear behind a file that has moved already, and nobody waits for a deleted one.
            let was_there =
                row.visible_at.is_some_and(|visible| Some(visible) <= named.visible_at) && !row.late;
            let is_there = is_shown || row.gone_at.is_none();
            let counts = was_there
                && is_there
                && !row.filtered
                && !row.may_fold
                && !self.excuses(row)
                && !self.is_with_another(id);
            (counts && !is_done && row.created_at <= named.created_at).then(|| id.clone())
        };
        if let Some(waiting) = rows.iter().find_map(waits) {
            self.violate(now, format!("behind: the cursor file names {cursor}, and {waiting} waits"));
        }
    }

    /// The messages that the agent has dealt with, as far as it knows.
    pub(super) fn handled(&self) -> BTreeSet<String> {
        let over = self.messages.iter().filter(|(_, message)| message.over.is_some());
        over.map(|(id, _)| id.clone()).collect()
    }

    /// Whether everything that can be shown was shown and popped.
    pub(super) fn is_complete(&self, rows: &BTreeMap<String, Row>) -> bool {
        messages(rows).all(|(id, row)| {
            let done = self.messages.get(id).is_some_and(|message| message.pop_asked);
            let by_another = self.is_with_another(id) && !self.staged_before.contains(id);
            done || by_another || row.gone_at.is_some() || self.excuses(row)
        })
    }

    /// Judges the end, when everything has worked for long enough: `left` is what the inbox still shows.
    pub(super) fn judge(&mut self, left: &BTreeSet<String>, rows: &BTreeMap<String, Row>, now: Time) {
        for (id, row) in messages(rows) {
            self.tally.messages += 1;
            let message = self.messages.get(id).cloned().unwrap_or_default();
            let may_be_gone = self.unsafe_disk && row.gone_at.is_some();
            let by_another =
                self.is_passed_over(row) || (self.is_with_another(id) && !self.staged_before.contains(id));
            if message.shown_in.is_none() && by_another {
                self.tally.by_another += 1;
            } else if message.shown_in.is_none() && self.excuses(row) {
                self.tally.excused += 1;
            } else if message.shown_in.is_none() {
                self.violate(now, format!("complete: {id} was never shown: {row:?}"));
            } else if !(message.pop_asked || left.contains(id) || may_be_gone) {
                self.violate(now, format!("complete: {id} was shown, not popped, and is gone: {row:?}"));
            }
        }
    }

    /// Whether a message may be missing, because the platform could not give it, and that was said.
    fn excuses(&self, row: &Row) -> bool {
        let created_at = BEGINNING.saturating_add(i64::try_from(row.created_at).unwrap_or(i64::MAX));
        let is_told = self.gaps.iter().any(|(from, to)| (*from..=*to).contains(&created_at));
        // Nobody can know of a late row that was deleted unseen.
        is_told || self.is_passed_over(row) || (row.gone_at.is_some() && row.late)
    }

    /// Whether a message lies before the first row that another implementation has left.
    fn is_passed_over(&self, row: &Row) -> bool {
        self.first_left.is_some_and(|first| row.created_at <= first)
    }

    /// Whether another implementation has shown a message, or may have.
    fn is_with_another(&self, id: &str) -> bool {
        self.by_another.contains(id) || self.passed_by_another.contains(id)
    }
}

/// The rows that the agent has to see.
fn messages(rows: &BTreeMap<String, Row>) -> impl Iterator<Item = (&String, &Row)> {
    rows.iter().filter(|(_, row)| !row.filtered && !row.may_fold && row.visible_at.is_some())
}
