//! When to ring: a machine that is told the time, and which messages the agent has not seen.
//!
//! ```text
//!             ┌ of a person: at once ──┐                   ┌── read ──► over; the rest after a minute
//! unread ─────┤                        ├──► due ──► rung ──┤
//!             └ of a peer: in a batch ─┘                   └── not read ──► again after 5 s, 10 s, 20 s …, 10 times
//! ```
//!
//! Two rings are never closer than [`FIRST_PAUSE_MS`], and never more than the operator allows in a minute.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    planted::{Bug, planted},
    wire::{Instant, WakeRules},
};

/// Between a ring and the next one, at least.
const FIRST_PAUSE_MS: u64 = 5_000;

/// Each pause is twice the one before, up to this.
const LONGEST_PAUSE_MS: u64 = 600_000;

/// Rings for the same messages, over half an hour. An agent that does not look then has no use for more.
const MOST_ATTEMPTS: u32 = 10;

/// An agent that has looked into its inbox works on what it saw there.
const BUSY_MS: u64 = 60_000;

/// In which rings are counted.
const MINUTE_MS: u64 = 60_000;

/// A wait that is open takes the message within this time.
const TAKEN_MS: u64 = 1_000;

/// A message that the agent has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread {
    /// The how many-th to arrive it was.
    pub(super) arrival: u64,
    /// A person wrote it.
    pub(super) is_of_user: bool,
    /// The operator wants to be rung for it.
    pub(super) is_wanted: bool,
}

/// What the agent does, and what it was told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attention {
    /// A call waits for messages.
    pub(super) waits: bool,
    /// A line beside a result has told of so many arrivals, and when.
    pub(super) told: Option<(u64, Instant)>,
}

/// What became of an unread message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// It waits for others.
    Batched,
    /// The agent has looked into the inbox a moment ago.
    Busy,
    /// It was rung for as often as anything is.
    Ended,
    /// The host could not, or may not, ring.
    Host(String),
    /// There were as many rings as are allowed, or one a moment ago.
    Limited,
    /// The operator does not want to be rung for it.
    NotWanted,
    /// It was rung for.
    Rung,
    /// A line beside a result has told of it.
    Told,
    /// A call waits for it.
    WaitedFor,
}

impl State {
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Batched => "batched",
            Self::Busy => "busy",
            Self::Ended => "ended",
            Self::Host(why) => why,
            Self::Limited => "limited",
            Self::NotWanted => "not-wanted",
            Self::Rung => "rung",
            Self::Told => "told",
            Self::WaitedFor => "waited-for",
        }
    }
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing, before something happens.
    Nothing,
    /// Ring; it is the how many-th time without an answer.
    Ring { attempt: u32 },
    /// Look again at this time.
    Until(Instant),
}

/// A message that no ring has told of.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: Instant,
    is_of_user: bool,
}

/// Rings since the agent has looked the last time.
#[derive(Debug, Clone, Copy)]
struct Unanswered {
    at: Instant,
    attempts: u32,
}

/// The last ring, as long as it can be taken back.
#[derive(Debug)]
struct Last {
    /// What it told of for the first time.
    fresh: BTreeMap<u64, Due>,
    before: Option<Unanswered>,
}

/// The rings for one agent.
pub(super) struct Bell {
    rules: WakeRules,
    /// By arrival.
    due: BTreeMap<u64, Due>,
    /// Messages that the agent was told of by a ring, or beside others that it saw.
    rung: BTreeMap<u64, bool>,
    unanswered: Option<Unanswered>,
    last: Option<Last>,
    read_at: Option<Instant>,
    /// The rings of the last minute.
    rings: VecDeque<Instant>,
    /// Why there is no ring before a time.
    held: Option<(String, Instant)>,
}

impl Bell {
    pub(super) const fn new(rules: WakeRules) -> Self {
        Self {
            rules,
            due: BTreeMap::new(),
            rung: BTreeMap::new(),
            unanswered: None,
            last: None,
            read_at: None,
            rings: VecDeque::new(),
            held: None,
        }
    }

    pub(super) const fn rules(&self) -> &WakeRules {
        &self.rules
    }

    /// The agent has seen messages, or has dealt with some; of the others it was told how many there are, or it asks
    /// for them next.
    pub(super) fn read(&mut self, now: Instant) {
        self.rung.extend(self.due.iter().map(|(arrival, due)| (*arrival, due.is_of_user)));
        self.due.clear();
        (self.unanswered, self.last) = (None, None);
        self.read_at = Some(now);
    }

    /// The last ring reached no agent, and there is none before `again`.
    pub(super) fn not_rung(&mut self, why: String, again: Instant) {
        if let Some(Last { fresh, before }) = self.last.take() {
            self.rings.pop_back();
            self.unanswered = before;
            for (arrival, due) in fresh {
                if self.rung.remove(&arrival).is_some() {
                    self.due.insert(arrival, due);
                }
            }
        }
        self.held = Some((why, again));
    }

    /// Rings, or says when to look again. `unread` is all that the agent has not seen.
    pub(super) fn decide(&mut self, unread: &[Unread], attention: Attention, now: Instant) -> Decision {
        self.note(unread, now);
        let Some((at, _)) = self.next(attention, now) else { return Decision::Nothing };
        if at > now {
            return Decision::Until(at);
        }
        Decision::Ring { attempt: self.ring(now) }
    }

    /// What became of each of the unread messages.
    pub(super) fn states(&mut self, unread: &[Unread], attention: Attention, now: Instant) -> Vec<State> {
        self.note(unread, now);
        let next = self.next(attention, now);
        let state = |message: &Unread| {
            if !message.is_wanted {
                State::NotWanted
            } else if self.rung.contains_key(&message.arrival) {
                self.after_ring(now)
            } else {
                next.as_ref().map_or(State::Batched, |(_, why)| why.clone())
            }
        };
        unread.iter().map(state).collect()
    }

    /// Forgets what the agent has seen, and takes note of what is there for the first time.
    fn note(&mut self, unread: &[Unread], now: Instant) {
        let wanted: BTreeMap<u64, bool> = unread
            .iter()
            .filter(|message| message.is_wanted)
            .map(|message| (message.arrival, message.is_of_user))
            .collect();
        self.due.retain(|arrival, _| wanted.contains_key(arrival));
        if !planted(Bug::RingsForHandled) {
            self.rung.retain(|arrival, _| wanted.contains_key(arrival));
        }
        if wanted.is_empty() && !planted(Bug::RingsForHandled) {
            (self.unanswered, self.last) = (None, None);
        }
        let misses = planted(Bug::RingMissesNewer) && !self.rung.is_empty();
        for (arrival, is_of_user) in wanted {
            if !misses && !self.rung.contains_key(&arrival) {
                let batch = if is_of_user { 0 } else { u64::from(self.rules.batch_ms) };
                let at = now.saturating_add(batch);
                self.due.entry(arrival).or_insert(Due { at, is_of_user });
            }
        }
        while self.rings.front().is_some_and(|ring| now.saturating_sub(*ring) >= MINUTE_MS) {
            self.rings.pop_front();
        }
    }

    /// When to ring next, and why not before.
    fn next(&self, attention: Attention, now: Instant) -> Option<(Instant, State)> {
        let fresh = self.due.iter().map(|(arrival, due)| self.first_ring(*arrival, *due, attention));
        let again = (!self.rung.is_empty()).then(|| self.next_ring()).flatten();
        let earliest = fresh.chain(again).min_by_key(|(at, _)| *at)?;
        let waits = attention.waits.then(|| (now.saturating_add(TAKEN_MS), State::WaitedFor));
        let held = self.held.as_ref().map(|(why, until)| (*until, State::Host(why.clone())));
        let later =
            |one: (Instant, State), other: (Instant, State)| if other.0 > one.0 { other } else { one };
        Some([waits, held, self.limit()].into_iter().flatten().fold(earliest, later))
    }

    /// When a message that no ring has told of is rung for, if nothing else stands against it.
    fn first_ring(&self, arrival: u64, due: Due, attention: Attention) -> (Instant, State) {
        let told = attention.told.filter(|(arrivals, _)| arrival <= *arrivals);
        let told = told.map(|(_, at)| (at.saturating_add(FIRST_PAUSE_MS), State::Told));
        // A peer that writes on and on does not ring faster for it.
        let slow = self.unanswered.filter(|_| !due.is_of_user);
        let slow = slow.map(|unanswered| (after(unanswered), State::Limited));
        let each = [Some((due.at, State::Batched)), told, slow].into_iter().flatten();
        each.max_by_key(|(at, _)| *at).unwrap_or((due.at, State::Batched))
    }

    /// When messages that were rung for are rung for again, if at all.
    fn next_ring(&self) -> Option<(Instant, State)> {
        match (self.unanswered, self.read_at) {
            (Some(unanswered), _) => {
                (unanswered.attempts < MOST_ATTEMPTS).then(|| (after(unanswered), State::Rung))
            }
            (None, Some(read)) => Some((read.saturating_add(BUSY_MS), State::Busy)),
            (None, None) => Some((0, State::Rung)),
        }
    }

    /// When the next ring is allowed.
    fn limit(&self) -> Option<(Instant, State)> {
        if planted(Bug::NoRingLimit) {
            return None;
        }
        let most = usize::try_from(self.rules.most_a_minute.max(1)).unwrap_or(usize::MAX);
        let spaced = self.rings.back().map(|ring| ring.saturating_add(FIRST_PAUSE_MS));
        let nth_last = self.rings.len().checked_sub(most).and_then(|place| self.rings.get(place));
        let limited = nth_last.map(|ring| ring.saturating_add(MINUTE_MS));
        spaced.max(limited).map(|at| (at, State::Limited))
    }

    /// What a message is that was rung for.
    fn after_ring(&self, now: Instant) -> State {
        match (self.unanswered, self.read_at) {
            (Some(unanswered), _) if unanswered.attempts >= MOST_ATTEMPTS => State::Ended,
            (None, Some(read)) if now.saturating_sub(read) < BUSY_MS => State::Busy,
            (Some(_) | None, _) => State::Rung,
        }
    }

    fn ring(&mut self, now: Instant) -> u32 {
        let before = self.unanswered;
        let fresh = std::mem::take(&mut self.due);
        let begins_anew = fresh.values().any(|due| due.is_of_user);
        let attempts = before.filter(|_| !begins_anew).map_or(1, |before| before.attempts.saturating_add(1));
        self.rung.extend(fresh.iter().map(|(arrival, due)| (*arrival, due.is_of_user)));
        self.unanswered = Some(Unanswered { at: now, attempts });
        self.last = Some(Last { fresh, before });
        self.rings.push_back(now);
        (self.read_at, self.held) = (None, None);
        attempts
    }
}

/// When the pause after a ring is over.
fn after(unanswered: Unanswered) -> Instant {
    let doublings = unanswered.attempts.saturating_sub(1).min(16);
    unanswered.at.saturating_add((FIRST_PAUSE_MS << doublings).min(LONGEST_PAUSE_MS))
}
