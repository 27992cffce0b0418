//! Random histories: whatever happens, no message is lost, and none is stuck.
//!
//! A failure names its seed, which replays it.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::json;

use super::rig::{PEER, Rig, error};
use crate::{
    testing::OWN,
    wire::{Outcome, Unreachable},
};

#[test]
fn nothing_is_lost_and_nothing_is_stuck() {
    for seed in 0..12 {
        History::new(seed).run();
    }
}

struct History {
    seed: u64,
    chance: ChaCha12Rng,
    rig: Rig,
    /// All messages and when they were made.
    said: BTreeMap<String, i64>,
    popped: BTreeSet<String>,
    popped_by_this_process: BTreeSet<String>,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rig = Rig::new();
        rig.platform.pages_back = !seed.is_multiple_of(3);
        Self {
            seed,
            chance: ChaCha12Rng::seed_from_u64(seed),
            rig,
            said: BTreeMap::new(),
            popped: BTreeSet::new(),
            popped_by_this_process: BTreeSet::new(),
        }
    }

    fn run(mut self) {
        self.rig.start();
        for _ in 0..150 {
            self.step();
            self.check();
        }
        self.drain();
        let lost: Vec<_> = self.said.keys().filter(|id| !self.popped.contains(*id)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "seed {}", self.seed);
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.chance.next_u32() % bound
    }

    fn step(&mut self) {
        match self.below(10) {
            0..4 => self.rows(),
            4 => {
                let failure = self.failure();
                self.rig.platform.script.push_back(failure);
            }
            5 => self.rig.disk_full = self.below(4) == 0,
            6 if self.below(4) == 0 => {
                self.popped_by_this_process.clear();
                self.rig.restart();
            }
            6 | 7 => {
                let ms = u64::from(self.below(20_000));
                self.rig.pass(ms);
            }
            _ => self.pop(),
        }
    }

    /// Some rows of all kinds, many of them at the same moment.
    fn rows(&mut self) {
        // Where pages do not go back, only so much can be reached.
        let (few, many, bulky) = if self.rig.platform.pages_back { (6, 300, 30) } else { (4, 4, u32::MAX) };
        let many = if self.below(8) == 0 { many } else { few };
        // A moment that was fetched already gets no further rows.
        self.rig.platform.clock += 1;
        for _ in 0..self.below(many) {
            let later_by = i64::from(self.below(3)) * 700;
            let bulk = if self.below(bulky) == 0 { 1 << (20 + self.below(4)) } else { 0 };
            let message = self.below(3) > 0;
            let fields = match self.below(8) {
                _ if !message => json!({"source_id": OWN}),
                0 => json!({"source_id": PEER, "request_body": "no json"}),
                1 => json!({"created_at": null}),
                _ => json!({"source_id": null}),
            };
            let id = self.rig.platform.insert(&fields, later_by, bulk);
            if message {
                self.said.insert(id, self.rig.platform.clock);
            }
        }
    }

    fn failure(&mut self) -> Outcome {
        match self.below(4) {
            0 => Outcome::Unreachable(Unreachable { reason: "reset".to_owned(), maybe_sent: true }),
            1 => error(500, "cursor lookup failed"),
            2 => error(401, "invalid workspace auth token"),
            _ => error(503, "busy"),
        }
    }

    fn pop(&mut self) {
        let waiting = self.rig.waiting();
        for id in waiting {
            if self.below(3) > 0 {
                self.rig.pop(&id);
                self.popped_by_this_process.insert(id.clone());
                self.popped.insert(id);
            }
        }
    }

    /// The cursor on disk is behind no message that is not popped, and a process shows none again.
    fn check(&self) {
        let cursor = self.rig.file.as_ref().and_then(|id| self.rig.platform.stamp_of(id));
        let passed = self
            .said
            .iter()
            .find(|(id, stamp)| cursor.is_some_and(|cursor| **stamp <= cursor) && !self.popped.contains(*id));
        assert_eq!(passed, None, "seed {}: the cursor has passed it", self.seed);
        for id in self.rig.waiting() {
            assert!(self.said.contains_key(&id), "seed {}: {id} is no message", self.seed);
            assert!(!self.popped_by_this_process.contains(&id), "seed {}: {id} is back", self.seed);
        }
    }

    /// Everything works again, and the agent handles all that is there.
    fn drain(&mut self) {
        self.rig.platform.script.clear();
        self.rig.disk_full = false;
        loop {
            self.rig.pass(61_000);
            let popped = self.rig.pop_all();
            if popped.is_empty() {
                break;
            }
            self.popped.extend(popped);
        }
        self.check();
    }
}
