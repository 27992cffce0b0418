//! Which rows of a workspace were fetched, and which of them are dealt with.
//!
//! ```text
//!  rows in the order in which they were fetched
//!  ───────────────●────────────────────────────●──────────────► time
//!              cursor                       position
//!     all dealt with │ waiting, and dealt with │ not fetched yet
//! ```
//!
//! The **position** is where fetching goes on, also in the next process: the journal has it. The **cursor**
//! passes a row only once that row and all before it are dealt with; its file is for others, and where
//! fetching goes on if the journal is lost. So a crash repeats messages, and loses none.
//!
//! The platform answers only rows that are strictly newer than the one asked after. So neither
//! may stand on a row that shares its microsecond with a row it has yet to give.
//!
//! A row's time is when its transaction began, and it is visible when that ends: rows appear behind
//! the position. So a read begins a little before the position, and every now and then at the **base**,
//! the last row that is so old that nothing appears before it any more. Where no such row is known, the
//! base is a moment.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use uuid::Uuid;

use super::recent_ids::RecentIds;
use crate::{
    planted::{Bug, planted},
    platform::{activity::Row, stamp::Stamp},
    wire::Instant,
};

/// Behind the newest row, rows still become visible for so long.
pub(super) const OVERLAP_SECS: u64 = 120;

/// Every read goes back so far, which finds nearly all of them at once,
const SHORT_OVERLAP_SECS: u64 = 2;

/// unless the newest row was fetched that long ago: then it was gone back already.
const SHORT_OVERLAP_MS: u64 = 4_000;

/// Known rows that a read other than a sweep fetches again at most.
const MOST_READ_AGAIN: usize = 100;

/// Rows kept to go back to. Where more come in two minutes, less than that is read again.
const MOST_RECENT: u64 = 2_048;

/// Rows kept between cursor and position before runs of dealt-with ones are thinned out.
const THIN_ABOVE: usize = 1_024;

/// A row by what the platform orders and finds it by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) id: Rc<str>,
    /// Of a row that does not tell its time, a guess that keeps it in its place.
    pub(crate) stamp: Stamp,
    /// Whether cursor and position may stand on it. The platform looks up UUIDs; anything else it
    /// answers with an error, for ever. And without a time nobody knows which rows it would leave out.
    pub(super) can_be_asked_after: bool,
}

impl Mark {
    pub(super) fn at(id: Rc<str>, stamp: Stamp) -> Self {
        let can_be_asked_after = is_uuid(&id);
        Self { id, stamp, can_be_asked_after }
    }

    /// No row.
    pub(super) fn moment(stamp: Stamp) -> Self {
        Self::at("".into(), stamp)
    }

    /// A moment so long before a row that nothing appears before it any more.
    pub(super) fn long_before(stamp: Stamp) -> Self {
        Self::moment(stamp.less_secs(OVERLAP_SECS))
    }

    pub(crate) fn new(row: &Row) -> Self {
        Self {
            id: row.id.as_str().into(),
            stamp: row.stamp,
            can_be_asked_after: row.timed && is_uuid(&row.id),
        }
    }
}

#[derive(Default)]
pub(crate) struct Watermarks {
    /// What the cursor file holds.
    on_disk: Option<String>,
    /// What it should hold.
    cursor: Option<Mark>,
    position: Option<Mark>,
    /// Everything before was fetched; goes on when the position is lost.
    read_up_to: Option<Stamp>,
    /// The newest row that was noted: the agent may have seen it.
    newest: Option<Stamp>,
    /// The base, and the rows after it up to the position that may be asked after, oldest first.
    recent: VecDeque<Recent>,
    /// Rows noted so far, from the base of the journal on.
    rows: u64,
    /// Rows from this moment on may be there without having been fetched.
    unseen_from: Option<Stamp>,
    /// Rows after the cursor, in the order in which they were fetched.
    fetched: VecDeque<Mark>,
    /// Those of them that are not dealt with.
    waiting: BTreeMap<Rc<str>, Stamp>,
    dealt_with: RecentIds,
}

/// A row to go back to.
struct Recent {
    mark: Mark,
    /// When it was fetched.
    at: Instant,
    /// How many rows had been noted then.
    rows: u64,
}

impl Watermarks {
    /// Begins with what the cursor file holds, which may be anything. A watermarks that already
    /// knows a position keeps it.
    pub(crate) fn open(&mut self, file: Option<String>) {
        if self.position.is_none() {
            self.unseen_from = None;
            let id = file.as_deref().map(trimmed).filter(|id| is_uuid(id));
            self.position = id.map(|id| Mark::at(id.into(), Stamp::UNKNOWN));
            self.cursor.clone_from(&self.position);
            if let Some(mark) = &self.position {
                self.dealt_with.insert(Rc::clone(&mark.id));
                self.recent.push_back(Recent { mark: mark.clone(), at: 0, rows: 0 });
            }
        }
        self.on_disk = file;
    }

    /// The position, if it is not known when that row was made, before which rows may have become visible.
    pub(super) fn undated(&self) -> Option<Rc<str>> {
        let position = self.position.as_ref().filter(|position| position.stamp == Stamp::UNKNOWN)?;
        let base = &self.recent.front()?.mark;
        (!base.can_be_asked_after && base.stamp == Stamp::UNKNOWN).then(|| Rc::clone(&position.id))
    }

    /// Nothing is looked for that becomes visible before the position.
    pub(super) fn settle_all(&mut self, now: Instant) {
        let position = self.position.clone();
        self.recent = position.map(|mark| Recent { mark, at: now, rows: self.rows }).into_iter().collect();
    }

    /// Says when the row was made that the file names: rows may have become visible before it.
    pub(super) fn was_made_at(&mut self, stamp: Stamp, now: Instant) {
        if let Some(position) = &mut self.position {
            position.stamp = stamp;
        }
        self.cursor.clone_from(&self.position);
        self.read_up_to = self.read_up_to.max(Some(stamp));
        self.lose_base(now);
    }

    /// Goes on where a journal ends: everything up to `position` was fetched, and nothing becomes visible
    /// before `base` any more.
    pub(super) fn restore(
        &mut self,
        position: Option<Mark>,
        base: Vec<Mark>,
        (read_up_to, rows): (Stamp, u64),
        now: Instant,
    ) {
        self.read_up_to = Some(read_up_to).filter(|stamp| *stamp > Stamp::UNKNOWN);
        self.rows = rows;
        let base = base.into_iter().map(|mark| Recent { mark, at: now, rows: 0 });
        self.recent = base.chain(position.clone().map(|mark| Recent { mark, at: now, rows })).collect();
        if let Some(mark) = &position {
            if !self.waiting.contains_key(&mark.id) {
                self.pass(mark.clone());
            }
            self.unseen_from = Some(mark.stamp.next());
        }
        self.position = position;
        self.advance();
    }

    /// Rows from this moment on may be there without having been fetched.
    pub(super) fn doubt(&mut self, from: Stamp) {
        self.unseen_from = Some(from);
    }

    /// The row that the file names is dealt with, and all before it.
    pub(super) fn begin_at(&mut self, cursor: Mark) {
        self.dealt_with.insert(Rc::clone(&cursor.id));
        self.cursor = Some(cursor);
    }

    pub(super) const fn cursor(&self) -> Option<&Mark> {
        self.cursor.as_ref()
    }

    /// Everything before was fetched, as far as that is known.
    pub(super) const fn read_up_to(&self) -> Option<Stamp> {
        self.read_up_to
    }

    /// Rows up to this one may have been shown: what is older and comes now comes late.
    pub(super) fn seen_up_to(&self) -> Option<Stamp> {
        self.read_up_to.max(self.newest)
    }

    /// A journal names rows up to this one, although not all before it may have been fetched.
    pub(super) fn names_up_to(&mut self, newest: Stamp) {
        self.newest = self.newest.max(Some(newest));
    }

    /// There was no row yet at this moment.
    pub(super) fn nothing_before(&mut self, stamp: Stamp) -> bool {
        let first = self.position.is_none() && self.read_up_to.is_none();
        if first {
            self.read_up_to = Some(stamp);
        }
        first
    }

    /// The moments between which rows may still become visible before any row that can be asked after.
    pub(super) fn behind(&self) -> Option<(Stamp, Stamp)> {
        let base = self.recent.front().map(|recent| &recent.mark).filter(|base| !base.can_be_asked_after)?;
        let first = self.rows_to_go_back_to().next().filter(|first| first.mark.stamp > Stamp::UNKNOWN)?;
        Some((base.stamp, first.mark.stamp))
    }

    fn rows_to_go_back_to(&self) -> impl Iterator<Item = &Recent> {
        self.recent.iter().filter(|recent| recent.mark.can_be_asked_after)
    }

    /// The row after which a read begins: with `sweep` the base, else one shortly before the position.
    pub(super) fn start(&self, sweep: bool, now: Instant) -> Option<Mark> {
        let position = self.position.as_ref()?;
        let recent =
            if sweep { self.rows_to_go_back_to().next() } else { self.shortly_before(position, now) };
        Some(recent.map_or(position, |recent| &recent.mark).clone())
    }

    fn shortly_before(&self, position: &Mark, now: Instant) -> Option<&Recent> {
        let enough = position.stamp.less_secs(SHORT_OVERLAP_SECS);
        let near = self.recent.len().saturating_sub(MOST_READ_AGAIN);
        let mut later = self.recent.iter().skip(near).filter(|recent| recent.mark.can_be_asked_after);
        let is_far_enough = |recent: &&Recent| {
            recent.mark.stamp <= enough || now.saturating_sub(recent.at) >= SHORT_OVERLAP_MS
        };
        later.clone().rev().find(is_far_enough).or_else(|| later.next())
    }

    /// Whether rows may still become visible before the position.
    pub(super) fn is_young(&self) -> bool {
        self.recent.len() > 1
    }

    /// How many known rows a read after this one fetches again, about.
    pub(super) fn known_after(&self, mark: &Mark) -> usize {
        self.recent.iter().rev().take_while(|recent| recent.mark.stamp > mark.stamp).count()
    }

    /// Moves the base after a sweep that has found everything: `now` is when it began, and `server` what
    /// the platform's clock was before that, if it is known. By that clock rows are old, unless it is distrusted,
    /// because it was set forward: then they also have to be here for long enough.
    pub(super) fn settle(&mut self, now: Instant, server: Option<Stamp>, distrusted: bool) {
        let old = server.map(|server| server.less_secs(OVERLAP_SECS));
        let settled = |recent: &Recent| {
            let is_here_for_long = now.saturating_sub(recent.at) >= OVERLAP_SECS * 1_000;
            old.map_or(is_here_for_long, |old| recent.mark.stamp < old && (is_here_for_long || !distrusted))
        };
        while self.recent.get(1).is_some_and(settled) {
            self.recent.pop_front();
        }
    }

    /// Rows may have been made from this moment on without having been fetched.
    pub(super) fn go_back_before(&mut self, moment: Stamp, now: Instant) {
        if self.position.is_none() {
            let soon = moment.plus_ms(OVERLAP_SECS * 1_000);
            self.read_up_to = self.read_up_to.map(|read_up_to| read_up_to.min(soon));
        }
        let Some(base) = self.recent.front().filter(|base| base.mark.stamp > moment) else { return };
        let (rows, is_row) = (base.rows, base.mark.can_be_asked_after);
        if !is_row {
            self.recent.pop_front();
        }
        self.recent.push_front(Recent { mark: Mark::moment(moment), at: now, rows });
    }

    /// How many rows were noted since the base was.
    pub(super) fn rows_since_base(&self) -> u64 {
        self.recent.front().map_or(0, |base| self.rows.saturating_sub(base.rows))
    }

    /// The base does not exist any more. A moment takes its place, never one before it.
    pub(super) fn lose_base(&mut self, now: Instant) {
        let known = self.recent.iter().map(|recent| recent.mark.stamp).find(|stamp| *stamp > Stamp::UNKNOWN);
        let base = known.unwrap_or(Stamp::UNKNOWN);
        self.recent.clear();
        if let Some(position) = self.position.clone() {
            self.go_back_to(position, now);
        }
        if let Some(moment) = self.recent.front_mut().filter(|_| !planted(Bug::HandoverLooksFurtherBack)) {
            moment.mark.stamp = moment.mark.stamp.max(base);
        }
    }

    /// Notes a row that is newer than all others, to go back to. Before the first one others may appear.
    fn go_back_to(&mut self, mark: Mark, at: Instant) {
        if self.recent.is_empty() {
            self.recent.push_back(Recent { mark: Mark::long_before(mark.stamp), at, rows: self.rows });
        }
        self.recent.push_back(Recent { mark, at, rows: self.rows });
        // No further back than all rows are still recognised.
        while self.recent.len() > 1 && self.rows_since_base() > MOST_RECENT {
            self.recent.pop_front();
        }
    }

    /// Ids of rows dealt with, oldest first.
    pub(super) fn remembered(&self) -> Vec<Rc<str>> {
        self.dealt_with.ids().cloned().collect()
    }

    /// Takes back that a row is dealt with, which the file names; also says when it was made.
    pub(super) fn comes_again(&mut self, id: &str, stamp: Stamp) {
        self.dealt_with.remove(id);
        if let Some(cursor) = self.cursor.as_mut().filter(|cursor| *cursor.id == *id) {
            cursor.stamp = stamp;
        }
    }

    pub(super) fn remember(&mut self, id: Rc<str>) {
        self.dealt_with.insert(id);
    }

    /// Whether the row was fetched, or one of the rows that fetching begins at.
    pub(super) fn has_met(&self, id: &str) -> bool {
        let is_it = |mark: &Mark| &*mark.id == id;
        self.knows(id)
            || self.cursor.as_ref().is_some_and(is_it)
            || self.recent.iter().any(|recent| is_it(&recent.mark))
            || self.fetched.iter().any(is_it)
    }

    /// The id that the file holds, if it is one.
    pub(super) fn named_by_file(&self) -> Option<&str> {
        self.on_disk.as_deref().map(trimmed).filter(|id| is_uuid(id))
    }

    /// What the file was last seen to hold, byte for byte.
    pub(super) fn on_disk(&self) -> Option<String> {
        self.on_disk.clone()
    }

    /// The row to ask after.
    pub(crate) const fn position(&self) -> Option<&Mark> {
        self.position.as_ref()
    }

    /// Whether the row was fetched before.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.waiting.contains_key(id) || self.dealt_with.contains(id)
    }

    /// Notes a row that the agent has to deal with.
    pub(crate) fn wait_for(&mut self, mark: Mark) {
        self.rows = self.rows.saturating_add(1);
        self.newest = self.newest.max(Some(mark.stamp));
        self.waiting.insert(Rc::clone(&mark.id), mark.stamp);
        self.fetched.push_back(mark);
    }

    /// Notes a row that nobody has to deal with.
    pub(crate) fn pass(&mut self, mark: Mark) {
        self.rows = self.rows.saturating_add(1);
        self.dealt_with.insert(Rc::clone(&mark.id));
        self.fetched.push_back(mark);
    }

    /// Notes that the agent has dealt with a row.
    pub(crate) fn acknowledge(&mut self, id: &str) {
        if let Some((id, _)) = self.waiting.remove_entry(id) {
            self.dealt_with.insert(id);
            self.advance();
        }
    }

    /// Ends a batch: all of `rows` are noted; from `unseen_from` on there may be others. Says
    /// after which row they can be asked for.
    pub(crate) fn fetched_up_to(
        &mut self,
        rows: &[Mark],
        unseen_from: Option<Stamp>,
        now: Instant,
    ) -> Option<Mark> {
        self.unseen_from = unseen_from;
        let seen = |mark: &&Mark| unseen_from.is_none_or(|unseen| mark.stamp < unseen);
        let stands = |mark: &&Mark| mark.can_be_asked_after && seen(mark);
        for mark in rows.iter().filter(stands) {
            if self.recent.back().is_none_or(|newest| newest.mark.stamp < mark.stamp) {
                self.go_back_to(mark.clone(), now);
            }
        }
        let last = rows.iter().rev().find(stands);
        if let Some(last) = last {
            self.move_to(last);
        }
        self.advance();
        last.cloned()
    }

    /// As [`Watermarks::fetched_up_to`] the last row, where no row can be stood on without a risk.
    pub(crate) fn pass_over(&mut self, rows: &[Mark], now: Instant) -> Option<Mark> {
        if let Some(moved) = self.fetched_up_to(rows, None, now) {
            return Some(moved);
        }
        let last = rows.iter().rev().find(|mark| is_uuid(&mark.id))?;
        self.move_to(last);
        Some(last.clone())
    }

    /// Never back: a sweep reads behind the position.
    fn move_to(&mut self, mark: &Mark) {
        if self.position.as_ref().is_none_or(|position| position.stamp <= mark.stamp) {
            self.position = Some(mark.clone());
        }
        self.read_up_to = self.read_up_to.max(Some(mark.stamp));
    }

    /// Forgets the position, because the platform does not know it any more. What the file holds
    /// stays until a later batch tells what to put in its place: should the process end before that,
    /// the next one learns of the loss in the same way.
    pub(crate) fn lose_position(&mut self) {
        self.position = None;
        self.recent.clear();
        self.unseen_from = Some(Stamp::UNKNOWN);
        if self.waiting.is_empty() {
            self.fetched.clear();
            self.cursor = None;
        }
    }

    /// What the cursor file should hold, if that is not what it does hold. Without a cursor the file
    /// goes once nothing waits; one that holds nothing usable is left alone until there is a cursor.
    pub(crate) fn unsaved(&self) -> Option<Option<String>> {
        let held = self.on_disk.as_deref().map(trimmed);
        match if planted(Bug::CursorPastWaiting) { &self.position } else { &self.cursor } {
            Some(cursor) => (held != Some(&*cursor.id)).then(|| Some(cursor.id.to_string())),
            None if self.waiting.is_empty() && self.unseen_from.is_none() => {
                held.is_some_and(is_uuid).then_some(None)
            }
            None => None,
        }
    }

    pub(crate) fn saved(&mut self, cursor: Option<String>) {
        self.on_disk = cursor;
    }

    /// Moves the cursor over all that is dealt with, as far as nothing can be lost by it.
    fn advance(&mut self) {
        let horizon = self.waiting.values().copied().chain(self.unseen_from).min();
        let passed = self.fetched.iter().take_while(|mark| !self.waiting.contains_key(&mark.id));
        let last = passed
            .enumerate()
            .filter(|(_, mark)| mark.can_be_asked_after)
            .filter(|(_, mark)| horizon.is_none_or(|horizon| mark.stamp < horizon))
            .map(|(place, _)| place)
            .last();
        if let Some(last) = last
            && let Some(mark) = self.fetched.drain(..=last).next_back()
            // A row that became visible late must not take the cursor back.
            && self.cursor.as_ref().is_none_or(|cursor| mark.stamp >= cursor.stamp)
        {
            self.cursor = Some(mark);
        }
        if self.fetched.len() > THIN_ABOVE {
            self.thin_out();
        }
    }

    /// Of a run of rows that are dealt with, the last one is enough.
    fn thin_out(&mut self) {
        let mut rows = std::mem::take(&mut self.fetched).into_iter().peekable();
        while let Some(row) = rows.next() {
            let waits = |mark: &Mark| self.waiting.contains_key(&mark.id);
            if waits(&row) || rows.peek().is_none_or(waits) {
                self.fetched.push_back(row);
            }
        }
    }
}

/// What a file holds, without what editors add.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
}

fn is_uuid(id: &str) -> bool {
    matches!(id.len(), 32 | 36) && Uuid::try_parse(id).is_ok()
}

#[cfg(test)]
#[path = "watermarks_tests.rs"]
mod tests;
