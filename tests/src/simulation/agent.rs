//! The agent: waits, looks, and takes messages out, in the order and at the pace of its mood.

use serde_json::{Value, json};

use super::{chance::Chance, history::Shown, platform::Time};

/// What it asks for.
#[derive(Debug, Clone)]
pub(super) enum Call {
    /// `inbox_peek`: what waits, so many at most.
    Peek(u64),
    /// `inbox_pop`: these are handled.
    Pop(Vec<String>),
    /// `wait_for_message`: for so many seconds at most.
    Wait(u64),
}

/// How it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Does nothing for minutes, unless it is rung for.
    Asleep,
    /// Nothing is left to do but to empty the inbox.
    Clears,
    /// Handles one message after the other, as it should.
    Diligent,
    /// Looks now and then, and handles little.
    Idle,
    /// Handles messages in any order, some twice, some that it never saw.
    Sloppy,
}

/// The agent, as far as its inbox goes.
#[derive(Debug)]
pub(super) struct Agent {
    /// How it works at present.
    pub(super) mood: Mood,
    /// What it was shown and has not taken out, oldest showing first.
    known: Vec<String>,
    /// What it has taken out.
    handled: Vec<String>,
    chance: Chance,
}

impl Call {
    /// The name of the tool.
    pub(super) const fn tool(&self) -> &'static str {
        match self {
            Self::Peek(_) => "inbox_peek",
            Self::Pop(_) => "inbox_pop",
            Self::Wait(_) => "wait_for_message",
        }
    }

    /// Its arguments.
    pub(super) fn arguments(&self) -> Value {
        match self {
            Self::Peek(limit) => json!({ "limit": limit }),
            Self::Pop(ids) => match ids.split_first() {
                None => json!({ "activity_id": "" }),
                Some((id, [])) => json!({ "activity_id": id }),
                Some((id, others)) => json!({ "activity_id": id, "activity_ids": others }),
            },
            Self::Wait(seconds) => json!({ "timeout_secs": seconds }),
        }
    }
}

impl Agent {
    /// An agent that has seen nothing yet.
    pub(super) const fn new(chance: Chance) -> Self {
        Self { mood: Mood::Diligent, known: Vec::new(), handled: Vec::new(), chance }
    }

    /// What it does next.
    pub(super) fn next(&mut self) -> Call {
        match self.mood {
            Mood::Asleep => self.look(),
            Mood::Clears => self.clear(),
            Mood::Diligent => self.handle(),
            Mood::Idle => self.look(),
            Mood::Sloppy => self.fumble(),
        }
    }

    /// How long it thinks between two calls.
    pub(super) fn pause(&mut self) -> Time {
        match self.mood {
            Mood::Asleep => self.chance.within(100_000_000..=400_000_000),
            Mood::Clears if self.known.is_empty() => self.chance.within(100_000..=4_000_000),
            Mood::Clears => self.chance.within(1..=50_000),
            Mood::Diligent => self.chance.mostly_small(1_000..=2_000_000),
            Mood::Idle => self.chance.within(1_000_000..=40_000_000),
            Mood::Sloppy => self.chance.mostly_small(1_000..=8_000_000),
        }
    }

    /// Whether a ring makes it look; one in two does.
    pub(super) fn is_woken(&mut self) -> bool {
        self.mood == Mood::Asleep && self.chance.percent(50)
    }

    /// It is shown messages.
    pub(super) fn is_shown(&mut self, shown: &[Shown]) {
        for Shown { id, .. } in shown {
            if !self.known.contains(id) {
                self.known.push(id.clone());
            }
        }
    }

    /// It is told that a message is out, or was not there.
    pub(super) fn is_rid_of(&mut self, id: &str) {
        self.known.retain(|known| known != id);
        if self.handled.len() < 1_000 {
            self.handled.push(id.to_owned());
        }
    }

    fn handle(&mut self) -> Call {
        match self.known.first() {
            Some(first) if self.chance.percent(97) => Call::Pop(vec![first.clone()]),
            Some(_) | None => self.wait(),
        }
    }

    fn look(&mut self) -> Call {
        match self.chance.below(10) {
            0 => self.pop_any(1),
            1..=5 => self.peek(),
            6.. => self.wait(),
        }
    }

    fn fumble(&mut self) -> Call {
        let drawn = self.chance.below(20);
        match drawn {
            0 => Call::Pop(vec!["00000000-0000-4000-8000-000000000000".to_owned()]),
            1 => self.pop_again(),
            2..=9 => self.pop_any(1),
            10..=11 => {
                let count = self.chance.within(2..=20);
                self.pop_any(count)
            }
            12..=15 => self.peek(),
            16.. => self.handle(),
        }
    }

    fn clear(&mut self) -> Call {
        if self.known.is_empty() {
            return if self.chance.percent(70) { Call::Peek(200) } else { Call::Wait(1) };
        }
        self.pop_any(50)
    }

    fn pop_again(&mut self) -> Call {
        let place = self.chance.place(self.handled.len());
        match self.handled.get(place) {
            Some(id) => Call::Pop(vec![id.clone()]),
            None => self.wait(),
        }
    }

    fn pop_any(&mut self, count: u64) -> Call {
        if self.known.is_empty() {
            return self.wait();
        }
        let mut ids = Vec::new();
        for _ in 0..count {
            let place = self.chance.place(self.known.len());
            if let Some(id) = self.known.get(place)
                && !ids.contains(id)
            {
                ids.push(id.clone());
            }
        }
        Call::Pop(ids)
    }

    fn peek(&mut self) -> Call {
        Call::Peek(*[1, 10, 200].get(self.chance.place(3)).unwrap_or(&10))
    }

    fn wait(&mut self) -> Call {
        Call::Wait(*[0, 1, 20, 60, 300].get(self.chance.place(5)).unwrap_or(&60))
    }
}
