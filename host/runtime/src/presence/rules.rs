//! When to register and beat, and what to say about it. Pure: time and chance are arguments.
//!
//! ```text
//! start        +20 s        +40 s        +60 s
//!   │ register   │            │            │
//!   └─ beat      ├─ beat      ├─ beat ✗    ├─ beat
//!                             └─ 1 s ─ 2 s ─ 4 s ─ 4 s: once more, while the slot lasts
//! ```
//!
//! Nothing runs beside anything else: a beat beside the first register makes the platform invent two
//! inbound secrets.

use crate::{
    guest::wire::{Instant, Level, LogLine},
    names::names,
};

/// The platform gives up on a workspace after 60 to 90 s of silence, so one beat may be lost.
pub(super) const SLOT_MS: u64 = 20_000;
/// The first pause before another try, which doubles with each.
const RETRY_MS: u64 = 1_000;
/// The longest pause before another beat, so that the end of an outage is noticed soon.
const BEAT_PAUSE_MS: u64 = 4_000;
/// The longest pause before another register; beats keep the workspace alive meanwhile.
const REGISTER_PAUSE_MS: u64 = 60_000;
/// A beat is what keeps the workspace online, so no wish of the platform is granted for longer.
const OBEYED_MS: u64 = 60_000;
/// Refusals in a row until it is said aloud, and between two repetitions.
const LOUD_AT: u32 = 3;
const LOUD_EVERY: u32 = 20;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Beat,
    Register,
}

/// How a beat or a register went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// 2xx of the platform itself, with its body.
    Accepted(Vec<u8>),
    /// The same request would be answered alike.
    Declined(String),
    /// Nothing usable. A later try may do better.
    Failed { why: String, retry_after_ms: Option<u64> },
    /// 404: the platform does not know the workspace.
    Missing,
    /// 401 or 403 in the words of the platform.
    Refused(u16),
    /// 410: the workspace was deleted.
    Removed,
}

impl Answer {
    /// Why it is no success, in a few words; none if it is one.
    pub(super) fn failure(&self) -> Option<String> {
        match self {
            Self::Accepted(_) => None,
            Self::Declined(why) | Self::Failed { why, .. } => Some(why.clone()),
            Self::Missing => Some("HTTP 404: the platform does not know the workspace".to_owned()),
            Self::Refused(status) => Some(format!("HTTP {status}: the platform refuses the token")),
            Self::Removed => Some("HTTP 410: the workspace was removed from the platform".to_owned()),
        }
    }
}

/// When what is due.
#[derive(Debug)]
pub(super) struct Plan {
    start: Instant,
    /// None once registered.
    register: Option<Instant>,
    registers: u32,
    beat: Instant,
    /// Tries in this slot.
    beats: u32,
    /// How often in a row the platform has asked to be left alone.
    put_off: u32,
}

impl Plan {
    /// Registers at `start`, and beats in slots counted from there.
    pub(super) fn new(start: Instant) -> Self {
        Self { start, register: Some(start), registers: 0, beat: start, beats: 0, put_off: 0 }
    }

    /// What comes next, and when. Of two that are due, the register comes first.
    pub(super) fn next(&self) -> (Step, Instant) {
        match self.register {
            Some(register) if register <= self.beat => (Step::Register, register),
            Some(_) | None => (Step::Beat, self.beat),
        }
    }

    /// Says how the register went. `chance` is from 0 to 1; without `may_retry` the next try is the most patient one.
    pub(super) fn registered(&mut self, answer: &Answer, now: Instant, chance: f64, may_retry: bool) {
        self.register = match answer {
            Answer::Accepted(_) => None,
            Answer::Failed { retry_after_ms, .. } => {
                let tries = if may_retry { self.registers } else { u32::MAX };
                let pause = pause_ms(tries, REGISTER_PAUSE_MS, chance);
                Some(now + pause.max(retry_after_ms.unwrap_or_default()))
            }
            Answer::Declined(_) | Answer::Missing | Answer::Refused(_) | Answer::Removed => {
                Some(now + REGISTER_PAUSE_MS)
            }
        };
        self.registers += 1;
    }

    /// Says how a beat went. `chance` is from 0 to 1; without `may_retry` the next try is that of the next slot.
    pub(super) fn beaten(&mut self, answer: &Answer, now: Instant, chance: f64, may_retry: bool) {
        let slot = self.slot_after(now);
        let mut put_off = 0;
        let again = match answer {
            Answer::Failed { retry_after_ms: Some(asked), .. } => {
                // A platform that asks for too little still gets more rest each time.
                let pause = pause_ms(self.put_off, SLOT_MS, chance).min(SLOT_MS);
                put_off = self.put_off + 1;
                Some(now + (*asked).min(OBEYED_MS).max(pause))
            }
            Answer::Failed { retry_after_ms: None, .. } => {
                let again = now + pause_ms(self.beats, BEAT_PAUSE_MS, chance);
                Some(again).filter(|again| may_retry && *again < slot)
            }
            Answer::Accepted(_)
            | Answer::Declined(_)
            | Answer::Missing
            | Answer::Refused(_)
            | Answer::Removed => None,
        };
        self.put_off = put_off;
        self.beats = if again.is_some() { self.beats + 1 } else { 0 };
        self.beat = again.unwrap_or(slot);
    }

    fn slot_after(&self, now: Instant) -> Instant {
        self.start + (now.saturating_sub(self.start) / SLOT_MS + 1) * SLOT_MS
    }
}

/// 1, 2, 4 … s up to `longest`, each between half and half as much again.
fn pause_ms(tries: u32, longest: u64, chance: f64) -> u64 {
    let pause = RETRY_MS.saturating_mul(1 << tries.min(16)).min(longest);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a pause of a few seconds, stretched by a factor around 1"
    )]
    let stretched = (pause as f64 * (0.5 + chance.clamp(0.0, 1.0))) as u64;
    stretched
}

/// Beats that failed in a row, and when to speak of them.
#[derive(Debug)]
pub(super) struct Streak {
    workspace: String,
    /// Where the token comes from.
    source: String,
    since: Option<Instant>,
    failed: u32,
    refused: u32,
    gone: u32,
}

impl Streak {
    /// No failure yet; `source` names where the token of `workspace` comes from.
    pub(super) fn new(workspace: &str, source: &str) -> Self {
        let (workspace, source) = (workspace.to_owned(), source.to_owned());
        Self { workspace, source, since: None, failed: 0, refused: 0, gone: 0 }
    }

    /// What the operator should hear of the latest beat.
    pub(super) fn note(&mut self, answer: &Answer, now: Instant) -> Option<LogLine> {
        let Answer::Accepted(_) = answer else {
            self.since.get_or_insert(now);
            return self.complain(answer);
        };
        let since = self.since.take()?;
        *self = Self::new(&self.workspace, &self.source);
        let secs = now.saturating_sub(since) / 1_000;
        Some(line(Level::Info, format!("the heartbeat recovered after {secs} s")))
    }

    fn complain(&mut self, answer: &Answer) -> Option<LogLine> {
        match answer {
            Answer::Accepted(_) => None,
            Answer::Declined(why) | Answer::Failed { why, .. } => {
                self.failed += 1;
                (self.failed <= LOUD_AT || is_loud(self.failed))
                    .then(|| line(Level::Warn, format!("heartbeat failed, it will be tried again: {why}")))
            }
            Answer::Missing => self.gone(
                "the platform, or something in front of it, does not know the workspace (HTTP 404)",
                &format!("check {} and {}", names().workspace, names().platform),
            ),
            Answer::Refused(status) => self.refused(*status),
            Answer::Removed => self.gone(
                "the workspace was removed from the platform (HTTP 410)",
                "create another one in the canvas, and put its id and token into the configuration",
            ),
        }
    }

    fn gone(&mut self, what: &str, advice: &str) -> Option<LogLine> {
        self.gone += 1;
        let workspace = &self.workspace;
        (self.gone % LOUD_EVERY == 1)
            .then(|| line(Level::Error, format!("heartbeat of workspace {workspace}: {what}; {advice}")))
    }

    fn refused(&mut self, status: u16) -> Option<LogLine> {
        self.refused += 1;
        let Self { workspace, source, refused, .. } = self;
        if *refused < LOUD_AT {
            return Some(line(
                Level::Warn,
                format!(
                    "heartbeat refused (HTTP {status}, {refused}/{LOUD_AT}): the token from {source} may be \
                     revoked; it will be tried again, and the Tokens tab of the canvas issues another one"
                ),
            ));
        }
        is_loud(*refused).then(|| {
            line(
                Level::Error,
                format!(
                    "heartbeat refused {refused} times in a row (HTTP {status}): the token from {source} has \
                     been revoked, probably because workspace {workspace} was deleted; this server keeps \
                     running, but calls to the platform will fail; regenerate the token in the Tokens tab of \
                     the canvas, update {source}, and restart the client if its configuration holds the token"
                ),
            )
        })
    }
}

/// 3, 23, 43 …
fn is_loud(count: u32) -> bool {
    count >= LOUD_AT && (count - LOUD_AT).is_multiple_of(LOUD_EVERY)
}

pub(super) fn line(level: Level, text: String) -> LogLine {
    LogLine { level, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000;

    #[test]
    fn the_register_comes_before_the_first_beat() {
        let mut plan = Plan::new(START);
        assert_eq!(plan.next(), (Step::Register, START));

        plan.registered(&accepted(), START + 70, 0.5, true);

        assert_eq!(plan.next(), (Step::Beat, START));
    }

    #[test]
    fn slots_are_counted_from_the_start_and_not_from_the_answer() {
        let mut plan = registered();
        for (answered, next) in [(30, 20_000), (20_900, 40_000), (47_000, 60_000), (60_000, 80_000)] {
            plan.beaten(&accepted(), START + answered, 0.5, true);

            assert_eq!(plan.next(), (Step::Beat, START + next));
        }
    }

    #[test]
    fn a_sleep_skips_slots() {
        let mut plan = registered();

        plan.beaten(&accepted(), START + 8 * 3_600_000 + 7, 0.5, true);

        assert_eq!(plan.next(), (Step::Beat, START + 8 * 3_600_000 + 20_000));
    }

    #[test]
    fn a_failed_beat_is_tried_again_while_its_slot_lasts() {
        let mut plan = registered();
        let mut now = START + 20_000;
        let mut tries = Vec::new();
        for _ in 0..7 {
            plan.beaten(&failed(), now, 0.5, true);
            now = plan.next().1;
            tries.push(now - START);
        }

        assert_eq!(tries, [21_000, 23_000, 27_000, 31_000, 35_000, 39_000, 40_000]);
    }

    #[test]
    fn the_pauses_between_tries_vary() {
        for (chance, expected) in [(0.0, 500), (0.5, 1_000), (1.0, 1_500)] {
            let mut plan = registered();

            plan.beaten(&failed(), START, chance, true);

            assert_eq!(plan.next().1, START + expected);
        }
    }

    #[test]
    fn the_next_slot_begins_with_short_pauses_again() {
        let mut plan = registered();
        plan.beaten(&failed(), START + 18_000, 0.5, true);
        plan.beaten(&failed(), START + 19_500, 0.5, true);

        plan.beaten(&failed(), START + 20_000, 0.5, true);

        assert_eq!(plan.next().1, START + 21_000);
    }

    #[test]
    fn a_refused_beat_waits_for_its_slot() {
        for answer in
            [Answer::Refused(401), Answer::Missing, Answer::Removed, Answer::Declined(String::new())]
        {
            let mut plan = registered();

            plan.beaten(&answer, START + 20_100, 0.5, true);

            assert_eq!(plan.next().1, START + 40_000, "{answer:?}");
        }
    }

    #[test]
    fn the_platform_may_put_a_beat_off_for_a_minute_at_most() {
        for (asked, granted) in [(5_000, 5_000), (45_000, 45_000), (120_000, 60_000)] {
            let mut plan = registered();
            let answer = Answer::Failed { why: String::new(), retry_after_ms: Some(asked) };

            plan.beaten(&answer, START, 0.5, true);

            assert_eq!(plan.next().1, START + granted);
        }
    }

    #[test]
    fn a_platform_that_asks_for_hardly_any_rest_gets_more_each_time() {
        let mut plan = registered();
        let mut now = START;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            plan.beaten(&Answer::Failed { why: String::new(), retry_after_ms: Some(1_000) }, now, 0.5, true);
            pauses.push(plan.next().1 - now);
            now = plan.next().1;
        }
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000, 20_000]);

        plan.beaten(&accepted(), now, 0.5, true);
        plan.beaten(&Answer::Failed { why: String::new(), retry_after_ms: Some(0) }, now, 0.5, true);
        assert_eq!(plan.next().1, now + 1_000);
    }

    #[test]
    fn also_between_its_registers() {
        let mut plan = Plan::new(START);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            plan.registered(
                &Answer::Failed { why: String::new(), retry_after_ms: Some(1_000) },
                START,
                0.5,
                true,
            );
            pauses.push(plan.register.unwrap() - START);
        }

        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn a_failed_register_is_tried_again_ever_more_slowly() {
        let mut plan = Plan::new(START);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            plan.registered(&failed(), START, 0.5, true);
            pauses.push(plan.register.unwrap() - START);
        }

        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn a_register_waits_as_long_as_it_is_asked_to() {
        let mut plan = Plan::new(START);

        plan.registered(
            &Answer::Failed { why: String::new(), retry_after_ms: Some(300_000) },
            START,
            0.5,
            true,
        );

        assert_eq!(plan.register, Some(START + 300_000));
        assert_eq!(plan.next(), (Step::Beat, START));
    }

    #[test]
    fn refusals_are_said_and_then_said_aloud() {
        let mut streak = Streak::new("w-1", "TOKEN_SOURCE");
        let mut spoken = Vec::new();
        for count in 1..=50 {
            let status = if count % 2 == 0 { 401 } else { 403 };
            if let Some(line) = streak.note(&Answer::Refused(status), 0) {
                spoken.push((count, line.level));
            }
        }

        let loud = [3, 23, 43].map(|count| (count, Level::Error));
        assert_eq!(spoken, [&[(1, Level::Warn), (2, Level::Warn)][..], &loud].concat());
    }

    #[test]
    fn the_loud_line_says_what_happened_and_what_to_do() {
        let mut streak = Streak::new("w-1", "TOKEN_SOURCE");
        streak.note(&Answer::Refused(401), 0);
        streak.note(&Answer::Refused(401), 0);

        let text = streak.note(&Answer::Refused(401), 0).unwrap().text;

        for word in
            ["w-1", "TOKEN_SOURCE", "revoked", "deleted", "401", "Tokens tab", "keeps running", "restart"]
        {
            assert!(text.contains(word), "{word} in {text}");
        }
    }

    #[test]
    fn only_an_accepted_beat_ends_a_streak() {
        let mut streak = Streak::new("w", "s");
        streak.note(&Answer::Refused(401), 1_000);
        streak.note(&failed(), 2_000);
        streak.note(&Answer::Refused(401), 3_000);
        assert_eq!(streak.note(&Answer::Refused(401), 4_000).unwrap().level, Level::Error);

        let recovered = streak.note(&accepted(), 61_000).unwrap();

        assert_eq!(recovered, line(Level::Info, "the heartbeat recovered after 60 s".to_owned()));
        assert_eq!(streak.note(&Answer::Refused(401), 62_000).unwrap().level, Level::Warn);
    }

    #[test]
    fn failures_of_the_network_are_no_refusals() {
        let mut streak = Streak::new("w", "s");
        let levels: Vec<_> =
            (0..100).filter_map(|_| streak.note(&failed(), 0)).map(|line| line.level).collect();

        assert_eq!(levels, [Level::Warn; 7]);
    }

    #[test]
    fn nothing_is_said_while_all_is_well() {
        assert_eq!(Streak::new("w", "s").note(&accepted(), 0), None);
    }

    #[test]
    fn a_workspace_that_is_gone_is_said_aloud_at_once() {
        for answer in [Answer::Removed, Answer::Missing] {
            let mut streak = Streak::new("w-1", "s");

            let line = streak.note(&answer, 0).unwrap();

            assert!(line.level == Level::Error && line.text.contains("w-1"), "{line:?}");
            let later = (2..=21).filter(|_| streak.note(&answer, 0).is_some()).count();
            assert_eq!(later, 1);
        }
    }

    fn registered() -> Plan {
        let mut plan = Plan::new(START);
        plan.registered(&accepted(), START, 0.5, true);
        plan
    }

    fn accepted() -> Answer {
        Answer::Accepted(Vec::new())
    }

    fn failed() -> Answer {
        Answer::Failed { why: "no answer".to_owned(), retry_after_ms: None }
    }

    #[test]
    fn without_a_try_left_a_beat_waits_for_its_slot_and_a_register_for_a_minute() {
        let mut plan = registered();
        plan.beaten(&failed(), START + 20_000, 0.5, false);
        assert_eq!(plan.next(), (Step::Beat, START + 40_000));

        let mut plan = Plan::new(START);
        plan.beaten(&accepted(), START + 80_000, 0.5, true);
        plan.registered(&failed(), START, 0.5, false);
        assert_eq!(plan.next(), (Step::Register, START + REGISTER_PAUSE_MS));
    }
}
