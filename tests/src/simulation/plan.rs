//! What the world of a seed is like: who writes how much, what breaks, and how often.

use standin::Level;

use super::{
    chance::Chance,
    disk::{Crash, Trouble},
    medium::Survivors,
    platform::{Echo, Outage, PEERS, Time, Writing},
};

const SECOND: Time = 1_000_000;
const DAY: Time = 86_400 * SECOND;

/// In bytes.
const LONGEST_SHORT_TEXT: u64 = 4_000;

/// A world.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The platform.
    pub(super) level: Level,
    /// When everybody stops to write, and everything begins to work again.
    pub(super) calm_at: Time,
    /// What may happen, and how often beside each other.
    pub(super) incidents: Vec<(u64, Kind)>,
    /// Another implementation has run here before our first process starts.
    pub(super) begins_with_another: bool,
    /// The agent mostly sleeps.
    pub(super) sleeps: bool,
    /// The longest pause between two incidents.
    longest_peace: Time,
    /// The longest pause between two writings.
    longest_silence: Time,
    /// The most messages at once.
    largest_burst: u64,
    /// How many in a hundred become visible late.
    late: u64,
    /// How many in a hundred are no messages.
    echoes: u64,
    /// How many in a hundred of the user's messages come with a file, where the platform takes any.
    files: u64,
    /// Whether answers carry the time. Without it nobody can tell what the platform has deleted meanwhile.
    pub(super) tells_time: bool,
    /// The most bytes of a text; only some have so many.
    largest_text: u64,
    /// Messages until the calm.
    pub(super) most_messages: u64,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A power cut, now or in a file operation.
    Cut,
    /// The journal is damaged while no process runs.
    Damage,
    /// The disk fails.
    Disk,
    /// Events of the platform stop, or come again.
    Events,
    /// The process is killed, now or in a file operation.
    Kill,
    /// The line or the platform fails.
    Line,
    /// Another implementation takes a turn.
    Another,
    /// The platform's clock is set, back or forward.
    Clock,
    /// The agent changes its mood.
    Mood,
    /// The platform deletes the oldest rows.
    Prune,
    /// The platform deletes old rows that are dealt with.
    PruneHandled,
    /// The guest traps.
    Trap,
}

/// What another implementation makes of these is its own affair, or cannot be told from ours.
const fn is_odd_with_another(kind: Kind) -> bool {
    matches!(kind, Kind::Clock | Kind::Damage | Kind::Disk | Kind::Prune | Kind::PruneHandled)
}

impl Plan {
    /// The world of a seed; this kind of incident happens in any case.
    pub(super) fn new(invited: Option<Kind>, chance: &mut Chance) -> Self {
        let mut incidents = vec![(4, Kind::Mood), (2, Kind::Events)];
        for (percent, weight, kind) in [
            (55, 6, Kind::Cut),
            (20, 1, Kind::Damage),
            (45, 4, Kind::Disk),
            (60, 8, Kind::Kill),
            (60, 5, Kind::Line),
            (40, 2, Kind::Prune),
            (30, 2, Kind::PruneHandled),
            (35, 2, Kind::Trap),
            (15, 12, Kind::Another),
            (20, 3, Kind::Clock),
        ] {
            if chance.percent(percent) || invited == Some(kind) {
                incidents.push((weight, kind));
            }
        }
        let happens = |kind: Kind| incidents.iter().any(|(_, other)| *other == kind);
        // Neither can be known without the time.
        let needs_time = happens(Kind::Prune) || happens(Kind::Clock);
        let another = happens(Kind::Another) && !invited.is_some_and(is_odd_with_another);
        incidents
            .retain(|(_, kind)| if another { !is_odd_with_another(*kind) } else { *kind != Kind::Another });
        Self {
            begins_with_another: another && chance.percent(50),
            sleeps: false,
            tells_time: needs_time || chance.percent(70),
            level: if chance.percent(50) { Level::Baseline } else { Level::Later },
            calm_at: chance.within(90..=600) * SECOND,
            incidents,
            longest_peace: chance.within(4..=60) * SECOND,
            longest_silence: chance.mostly_small(1..=40) * SECOND,
            largest_burst: chance.mostly_small(1..=700),
            late: if chance.percent(60) { chance.mostly_small(1..=40) } else { 0 },
            echoes: chance.below(40),
            files: if chance.percent(50) { chance.within(1..=60) } else { 0 },
            largest_text: if chance.percent(6) {
                3 << 20
            } else {
                chance.mostly_small(1..=LONGEST_SHORT_TEXT)
            },
            most_messages: chance.mostly_small(60..=1_000),
        }
    }

    /// One in which nothing breaks by itself, and which is over soon.
    pub(super) fn quiet(chance: &mut Chance) -> Self {
        Self {
            tells_time: true,
            level: Level::Later,
            calm_at: 100 * SECOND,
            incidents: Vec::new(),
            begins_with_another: false,
            sleeps: false,
            longest_peace: SECOND,
            longest_silence: 6 * SECOND,
            largest_burst: 4,
            late: 20,
            echoes: 20,
            files: 40,
            largest_text: chance.within(1_000..=8_000),
            most_messages: 60,
        }
    }

    /// One in which another implementation takes turns with ours, and nothing breaks.
    pub(super) fn of_two(chance: &mut Chance) -> Self {
        Self {
            begins_with_another: chance.percent(50),
            calm_at: 400 * SECOND,
            incidents: vec![(1, Kind::Another), (1, Kind::Mood)],
            longest_peace: 30 * SECOND,
            most_messages: 400,
            ..Self::quiet(chance)
        }
    }

    /// One in which the agent mostly sleeps, and little breaks.
    pub(super) fn of_sleeper(chance: &mut Chance) -> Self {
        Self {
            sleeps: true,
            calm_at: 1_500 * SECOND,
            incidents: vec![(3, Kind::Mood), (2, Kind::Events), (1, Kind::Kill), (1, Kind::Trap)],
            longest_peace: 400 * SECOND,
            longest_silence: chance.within(10..=200) * SECOND,
            largest_burst: chance.mostly_small(1..=30),
            most_messages: 200,
            ..Self::quiet(chance)
        }
    }

    /// The same without the texts that take long.
    pub(super) fn with_short_texts(self) -> Self {
        Self { largest_text: self.largest_text.min(LONGEST_SHORT_TEXT), ..self }
    }

    /// Until somebody writes again. Who gets no answer for `away` writes less and less.
    pub(super) fn silence(&self, away: Time, chance: &mut Chance) -> Time {
        chance.mostly_small(1_000..=self.longest_silence.max(away / 4))
    }

    /// Until something breaks again. Where no process runs for `away`, hardly anything does.
    pub(super) fn peace(&self, away: Time, chance: &mut Chance) -> Time {
        chance.within(SECOND..=self.longest_peace.max(away / 8))
    }

    /// What is written at once, and when each of it becomes visible.
    pub(super) fn burst(&self, now: Time, chance: &mut Chance) -> Vec<(Writing, Time)> {
        let count = chance.mostly_small(1..=self.largest_burst);
        let at_one_instant = chance.percent(25);
        let mut created_at = now;
        let mut burst = Vec::new();
        for _ in 0..count {
            if !at_one_instant {
                // Transactions that end together may have begun shortly before.
                created_at = now.saturating_sub(chance.below(count));
            }
            let late = chance.percent(self.late);
            let visible_at = if late { now + chance.mostly_small(1..=90 * SECOND) } else { now };
            burst.push((self.writing(created_at, late, chance), visible_at));
        }
        // What becomes visible together is not late: the older ones come first.
        burst.sort_by_key(|(writing, _)| (writing.held, writing.created_at));
        burst
    }

    fn writing(&self, created_at: Time, held: bool, chance: &mut Chance) -> Writing {
        let large = self.largest_text > 1 << 20 && !chance.once_in(12);
        let largest = if large { 300 } else { self.largest_text };
        let echo = chance.percent(self.echoes).then(|| match chance.below(3) {
            0 => Echo::Answered,
            1 => Echo::Notify,
            2.. => Echo::Own,
        });
        let from = chance.place(PEERS + 1);
        Writing {
            from,
            file: from == PEERS && !held && echo.is_none() && chance.percent(self.files),
            size: usize::try_from(chance.mostly_small(1..=largest)).unwrap_or(1),
            created_at,
            held,
            echo,
        }
    }

    /// By how much the platform's clock is set, in microseconds; back, if it must not be forward.
    pub(super) fn clock_step(chance: &mut Chance, only_back: bool) -> i64 {
        let step = i64::try_from(chance.within(SECOND..=500 * SECOND)).unwrap_or(0);
        if only_back || chance.percent(60) { -step } else { step }
    }

    /// For how long another implementation runs.
    pub(super) fn turn_of_another(chance: &mut Chance) -> Time {
        chance.mostly_small(2 * SECOND..=60 * SECOND)
    }

    /// What breaks the line, and for how long.
    pub(super) fn outage(chance: &mut Chance) -> (Outage, Time) {
        let kinds = [
            (3, Outage::Database),
            (2, Outage::Front),
            (3, Outage::HangsUp),
            (4, Outage::Refused),
            (2, Outage::Slow),
            (2, Outage::Status(401)),
            (2, Outage::Status(429)),
            (1, Outage::Status(500)),
            (2, Outage::Status(502)),
            (2, Outage::Status(503)),
        ];
        let kind = chance.weighted(&kinds).unwrap_or(Outage::Refused);
        (kind, chance.mostly_small(SECOND / 10..=300 * SECOND))
    }

    /// What is wrong with the disk, and for how long.
    pub(super) fn disk_trouble(chance: &mut Chance) -> (Trouble, Time) {
        let kinds = [
            (3, Trouble::Full),
            (1, Trouble::NamesSyncFails),
            (2, Trouble::ReadOnly),
            (3, Trouble::SyncFails),
            (2, Trouble::WriteFails),
        ];
        (chance.weighted(&kinds).unwrap_or(Trouble::Full), chance.mostly_small(SECOND / 100..=90 * SECOND))
    }

    /// A power cut.
    pub(super) fn power_cut(chance: &mut Chance) -> Crash {
        let kinds = [(1, Survivors::All), (2, Survivors::None), (3, Survivors::Some), (2, Survivors::Torn)];
        Crash::PowerCut(chance.weighted(&kinds).unwrap_or(Survivors::None))
    }

    /// How long nothing runs after a crash.
    pub(super) fn downtime(&self, chance: &mut Chance) -> Time {
        let prunes = self.incidents.iter().any(|(_, kind)| *kind == Kind::Prune);
        if prunes && chance.once_in(8) {
            return chance.within(5..=20) * DAY;
        }
        let longest = if chance.once_in(12) { 3 * 3_600 } else { 20 };
        chance.mostly_small(SECOND / 20..=longest * SECOND)
    }

    /// How old rows are that the platform deletes, handled or not.
    pub(super) fn retention(chance: &mut Chance) -> Time {
        chance.within(7 * DAY..=9 * DAY)
    }

    /// How old handled rows are that are deleted for whatever reason. Nothing appears before them any more.
    pub(super) fn age_of_handled(chance: &mut Chance) -> Time {
        chance.within(240..=900) * SECOND
    }
}
