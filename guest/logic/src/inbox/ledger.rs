//! Which rows of a workspace were fetched, and which of them are dealt with.
//!
//! ```text
//!  rows in the order in which they were fetched
//!  ───────────────●────────────────────────────●──────────────► time
//!              cursor                       position
//!     all dealt with │ waiting, and dealt with │ not fetched yet
//! ```
//!
//! The **position** is where the next poll starts; it lives in memory. The **cursor** is where the next
//! process would start; it lives on disk, and passes a row only once that row and all before it
//! are dealt with: a crash repeats messages, and loses none.
//!
//! The platform answers only rows that are strictly newer than the one asked after. So neither
//! may stand on a row that shares its microsecond with a row it has yet to give.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use uuid::Uuid;

use crate::platform::{activity::Row, stamp::Stamp};

/// Ids of rows dealt with that are recognised when they come again.
const REMEMBERED: usize = 4_096;

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
    can_be_asked_after: bool,
}

impl Mark {
    pub(crate) fn new(row: &Row) -> Self {
        Self {
            id: row.id.as_str().into(),
            stamp: row.stamp,
            can_be_asked_after: row.timed && is_uuid(&row.id),
        }
    }
}

#[derive(Default)]
pub(crate) struct Ledger {
    /// What the cursor file holds.
    on_disk: Option<String>,
    /// What it should hold.
    cursor: Option<Mark>,
    position: Option<Mark>,
    /// Rows from this moment on may be there without having been fetched.
    unseen_from: Option<Stamp>,
    /// Rows after the cursor, in the order in which they were fetched.
    fetched: VecDeque<Mark>,
    /// Those of them that are not dealt with.
    waiting: BTreeMap<Rc<str>, Stamp>,
    dealt_with: Ring,
}

impl Ledger {
    /// Begins with what the cursor file holds, which may be anything. A ledger that already
    /// knows a position keeps it.
    pub(crate) fn open(&mut self, file: Option<String>) {
        if self.position.is_none() {
            let id = file.as_deref().map(trimmed).filter(|id| is_uuid(id));
            self.position =
                id.map(|id| Mark { id: id.into(), stamp: Stamp::UNKNOWN, can_be_asked_after: true });
            self.cursor.clone_from(&self.position);
            if let Some(mark) = &self.position {
                self.dealt_with.insert(Rc::clone(&mark.id));
            }
        }
        self.on_disk = file;
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
        self.waiting.insert(Rc::clone(&mark.id), mark.stamp);
        self.fetched.push_back(mark);
    }

    /// Notes a row that nobody has to deal with.
    pub(crate) fn pass(&mut self, mark: Mark) {
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
    /// whether the position could be moved.
    pub(crate) fn fetched_up_to(&mut self, rows: &[Mark], unseen_from: Option<Stamp>) -> bool {
        self.unseen_from = unseen_from;
        let seen = |mark: &&Mark| unseen_from.is_none_or(|unseen| mark.stamp < unseen);
        let last = rows.iter().rev().find(|mark| mark.can_be_asked_after && seen(mark));
        if let Some(last) = last {
            self.position = Some(last.clone());
        }
        self.advance();
        last.is_some()
    }

    /// As [`Ledger::fetched_up_to`] the last row, where no row can be stood on without a risk.
    pub(crate) fn pass_over(&mut self, rows: &[Mark]) -> bool {
        let moved = self.fetched_up_to(rows, None);
        let last = rows.iter().rev().find(|mark| is_uuid(&mark.id));
        if !moved && let Some(last) = last {
            self.position = Some(last.clone());
        }
        last.is_some()
    }

    /// Forgets the position, because the platform does not know it any more. What the file holds
    /// stays until a later batch tells what to put in its place: should the process end before that,
    /// the next one learns of the loss in the same way.
    pub(crate) fn lose_position(&mut self) {
        self.position = None;
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
        match &self.cursor {
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

/// The latest ids, each known at once.
#[derive(Default)]
struct Ring {
    order: VecDeque<Rc<str>>,
    known: BTreeSet<Rc<str>>,
}

impl Ring {
    fn contains(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    fn insert(&mut self, id: Rc<str>) {
        if !self.known.insert(Rc::clone(&id)) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::rig::stamp;

    #[test]
    fn the_cursor_follows_the_longest_run_that_is_dealt_with() {
        let mut ledger = ledger();
        for row in [1, 3] {
            ledger.wait_for(mark(row, row));
        }
        ledger.pass(mark(4, 4));
        assert!(ledger.fetched_up_to(&[mark(1, 1), mark(3, 3), mark(4, 4)], None));
        assert_eq!((ledger.unsaved(), place(&ledger)), (None, Some(id(4))));

        ledger.acknowledge(&id(3));
        assert_eq!(ledger.unsaved(), None);
        ledger.acknowledge(&id(1));

        assert_eq!(ledger.unsaved(), Some(Some(id(4))));
        ledger.saved(Some(id(4)));
        assert_eq!(ledger.unsaved(), None);
    }

    #[test]
    fn neither_cursor_nor_position_stands_on_a_moment_that_may_have_more_rows() {
        let mut ledger = ledger();
        let rows = [mark(1, 1), mark(2, 2), mark(3, 2)];
        for row in rows.clone() {
            ledger.pass(row);
        }

        assert!(ledger.fetched_up_to(&rows, Some(stamp(2))));

        assert_eq!(place(&ledger), Some(id(1)));
        assert_eq!(ledger.unsaved(), Some(Some(id(1))));
    }

    #[test]
    fn the_cursor_does_not_stand_on_the_moment_of_a_waiting_row() {
        let mut ledger = ledger();
        ledger.pass(mark(1, 1));
        ledger.pass(mark(2, 2));
        ledger.wait_for(mark(3, 2));
        ledger.fetched_up_to(&[mark(1, 1), mark(2, 2), mark(3, 2)], None);

        assert_eq!(ledger.unsaved(), Some(Some(id(1))));
        ledger.acknowledge(&id(3));
        assert_eq!(ledger.unsaved(), Some(Some(id(3))));
    }

    #[test]
    fn a_row_that_became_visible_late_does_not_take_the_cursor_back() {
        let mut ledger = ledger();
        ledger.pass(mark(9, 9));
        ledger.fetched_up_to(&[mark(9, 9)], None);
        ledger.wait_for(mark(5, 5));
        ledger.fetched_up_to(&[mark(5, 5), mark(9, 9)], None);

        ledger.acknowledge(&id(5));

        assert_eq!(ledger.unsaved(), Some(Some(id(9))));
    }

    #[test]
    fn an_odd_id_is_known_and_never_asked_after() {
        let mut ledger = ledger();
        let odd = Mark { id: "../odd".into(), can_be_asked_after: false, ..mark(2, 2) };
        ledger.pass(mark(1, 1));
        ledger.pass(odd.clone());
        ledger.fetched_up_to(&[mark(1, 1), odd], None);

        assert!(ledger.knows("../odd"));
        assert_eq!(place(&ledger), Some(id(1)));
        assert_eq!(ledger.unsaved(), Some(Some(id(1))));
    }

    #[test]
    fn what_the_file_names_is_dealt_with() {
        let mut ledger = Ledger::default();
        ledger.open(Some(id(1)));

        assert!(ledger.knows(&id(1)));
    }

    #[test]
    fn only_so_many_ids_are_remembered_and_those_that_wait_for_ever() {
        let mut ledger = ledger();
        ledger.wait_for(mark(0, 0));
        for row in 1..=5_000 {
            ledger.pass(mark(row, row));
            ledger.fetched_up_to(&[mark(row, row)], None);
        }

        assert!(ledger.knows(&id(0)) && ledger.knows(&id(5_000)) && ledger.knows(&id(1_000)));
        assert!(!ledger.knows(&id(1)));
        assert!(ledger.fetched.len() <= THIN_ABOVE + 1, "{}", ledger.fetched.len());
        ledger.acknowledge(&id(0));
        assert_eq!(ledger.unsaved(), Some(Some(id(5_000))));
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.open(None);
        ledger
    }

    fn id(row: i64) -> String {
        format!("00000000-0000-4000-8000-{row:012}")
    }

    fn mark(row: i64, moment: i64) -> Mark {
        Mark { id: id(row).as_str().into(), stamp: stamp(moment), can_be_asked_after: true }
    }

    fn place(ledger: &Ledger) -> Option<String> {
        ledger.position().map(|mark| mark.id.to_string())
    }
}
