//! What a life's rings were, and whether there were as many as there may and have to be.

use std::collections::{BTreeMap, VecDeque};

use super::{
    history::History,
    platform::{PEERS, Row, Time},
    process::MOST_RINGS,
    wire::Ring,
};

/// A process counts in milliseconds.
const MINUTE: Time = 60_000_000 - 1_000;

/// A message of the user that nobody has seen is rung for within this time, whatever stands against it: its file, the
/// minute after the agent has looked, and the limit.
const RUNG_WITHIN: Time = 180_000_000;

/// The rings of one life.
#[derive(Debug, Default)]
pub(super) struct Rings {
    /// Those of the last minute.
    latest: VecDeque<Time>,
    last: Option<Time>,
    /// When the agent has looked, or has begun.
    looked: Time,
    /// Since when messages are on disk.
    since: BTreeMap<String, Time>,
}

impl Rings {
    pub(super) fn begin(now: Time) -> Self {
        Self { looked: now, ..Self::default() }
    }

    /// A message is on disk.
    pub(super) fn staged(&mut self, id: &str, now: Time) {
        self.since.entry(id.to_owned()).or_insert(now);
    }

    /// The agent has asked for messages, or has taken some out.
    pub(super) const fn looked(&mut self, now: Time) {
        self.looked = now;
    }

    /// Whether there are more rings than allowed with this one.
    fn rang(&mut self, now: Time) -> bool {
        self.last = Some(now);
        self.latest.push_back(now);
        self.latest.retain(|ring| now - ring < MINUTE);
        self.latest.len() > MOST_RINGS as usize
    }

    /// Whether a message should have been rung for.
    fn misses(&self, id: &str, now: Time) -> bool {
        let since = self.since.get(id).copied().unwrap_or(now);
        now.saturating_sub(since.max(self.looked)) > RUNG_WITHIN && self.last.is_none_or(|ring| ring < since)
    }
}

impl History {
    /// The agent is rung for.
    pub(super) fn rang(&mut self, ring: &Ring, rows: &BTreeMap<String, Row>, now: Time) {
        self.tally.rings += 1;
        if self.rings.rang(now) {
            self.violate(now, format!("rung: more than {MOST_RINGS} times in a minute"));
        }
        if ring.unread == 0 || !rows.iter().any(|(id, row)| self.may_be_unread(id, row)) {
            self.violate(now, format!("rung: {ring:?}, and the agent has seen everything"));
        }
    }

    /// The agent does something by itself: what waits for it has been rung for by then.
    pub(super) fn looks(&mut self, rows: &BTreeMap<String, Row>, now: Time) {
        let is_of_user = |id: &str| rows.get(id).is_some_and(|row| row.from == PEERS);
        let waiting = self.waiting().filter(|id| is_of_user(id) && self.rings.misses(id, now)).cloned();
        let missed: Vec<_> = waiting.collect();
        for id in missed {
            self.violate(now, format!("rung: {id} waits, and nobody has rung for it"));
        }
    }
}
