//! Whether the platform's clock has stepped back.
//!
//! ```text
//! rows by when they were made        ── a ── b ── c ──────────────── P ──►
//!                                       made after P, by a clock that was set back
//! ```
//!
//! Rows are found by when they were made, so those that are made after a step lie behind the position, perhaps
//! further than any sweep goes back. Answers say what time it is: if that is before what it was, or before the newest
//! row, rows are looked for from there on.

use super::{poller::Poller, watermarks::OVERLAP_SECS};
use crate::{
    planted::{Bug, planted},
    platform::stamp::Stamp,
    wire::{Instant, Level},
};

/// The time in an answer has no fractions, and several machines may answer.
const STEP_SECS: u64 = 10;

/// The machine that dates the rows may be another one.
const AHEAD_SECS: u64 = 60;

/// At a start nobody knows when the clock was set: as far as a first look.
const BEFORE_START_SECS: u64 = 600;

/// After the clock was set forward, rows become visible that were made before.
const DISTRUST_MS: u64 = OVERLAP_SECS * 1_000;

/// What the answers have said of the platform's clock.
#[derive(Default)]
pub(super) struct PlatformClock {
    last: Option<Answer>,
    /// Rows made from this moment on have to be looked for.
    go_back_to: Option<Stamp>,
    /// It was set forward then.
    forward: Option<Instant>,
    said: bool,
}

/// An answer that says what time it was.
struct Answer {
    asked: Instant,
    received: Instant,
    told: Stamp,
}

impl PlatformClock {
    /// Notes the time in an answer; says whether the clock was set back. `newest` is the newest row that was fetched.
    fn heard(&mut self, answer: Answer, newest: Option<Stamp>) -> bool {
        let Answer { asked, received, told } = answer;
        let last = self.last.replace(answer);
        let is_before = |stamp: Stamp, secs: u64| told < stamp.less_secs(secs);
        // No answer is given before it is asked for, nor after it is there.
        let at_least = last.as_ref().map(|last| last.told.plus_ms(asked.saturating_sub(last.received)));
        let at_most = last.as_ref().map(|last| last.told.plus_ms(received.saturating_sub(last.asked)));
        if at_most.is_some_and(|at_most| told.less_secs(STEP_SECS) > at_most) {
            self.forward = Some(received);
        }
        let has_stepped = at_least.is_some_and(|at_least| is_before(at_least, STEP_SECS));
        let is_set_back = has_stepped || newest.is_some_and(|newest| is_before(newest, AHEAD_SECS));
        if is_set_back {
            let unheard = last.map(|last| received.saturating_sub(last.asked) / 1_000 + 1);
            let from = told.less_secs(unheard.unwrap_or(BEFORE_START_SECS) + OVERLAP_SECS);
            self.go_back_to = Some(self.go_back_to.map_or(from, |earlier| earlier.min(from)));
        }
        is_set_back
    }

    /// Whether the newest row is younger than now, so that new ones lie behind it.
    fn is_behind(&self, newest: Option<Stamp>) -> bool {
        let told = self.last.as_ref().map(|last| last.told);
        told.zip(newest).is_some_and(|(told, newest)| told < newest.less_secs(AHEAD_SECS))
    }
}

impl Poller {
    /// Notes the time in an answer.
    pub(super) fn note_time(&mut self, asked: Instant, told: Stamp) {
        self.server = Some(told);
        if planted(Bug::ClockBelieved) {
            return;
        }
        let newest = self.mailbox(|mailbox| mailbox.watermarks.seen_up_to());
        let received = self.host.now();
        let is_set_back = self.clock.heard(Answer { asked, received, told }, newest);
        if is_set_back && !std::mem::replace(&mut self.clock.said, true) {
            self.host.log(
                Level::Warn,
                "the clock of the platform was set back: messages are looked for that are older than others by it",
            );
        }
    }

    /// Whether rows have to be looked for further back than any sweep goes.
    pub(super) const fn has_stepped(&self) -> bool {
        self.clock.go_back_to.is_some()
    }

    /// Whether only a sweep finds new rows.
    pub(super) fn is_behind(&self) -> bool {
        let newest = self.mailbox(|mailbox| mailbox.watermarks.seen_up_to());
        !planted(Bug::ClockBelieved) && self.clock.is_behind(newest)
    }

    /// Whether a row may be younger than it seems.
    pub(super) fn distrusts_times(&self) -> bool {
        let now = self.host.now();
        self.clock.forward.is_some_and(|forward| now.saturating_sub(forward) < DISTRUST_MS)
    }

    /// Puts the base back to where rows may be, on disk.
    pub(super) async fn follow_the_clock(&mut self) {
        let Some(moment) = self.clock.go_back_to.take() else { return };
        let now = self.host.now();
        let floor = self.mailbox(|mailbox| {
            mailbox.watermarks.go_back_before(moment, now);
            mailbox.lowered_floor()
        });
        self.write(floor.into_iter().collect()).await;
        self.swept = None;
    }

    /// What came while no process was here may lie behind the position, if the clock was set back meanwhile: the
    /// last minutes before it are looked at again, as far as they were ever looked at.
    pub(super) fn look_back_once(&mut self) {
        let looked = self.mailbox(|mailbox| {
            (mailbox.origin, mailbox.watermarks.position().map(|position| position.stamp))
        });
        if let (Some(origin), Some(position)) = looked
            && !planted(Bug::ClockBelieved)
        {
            self.clock.go_back_to = Some(position.less_secs(BEFORE_START_SECS).max(origin));
        }
    }
}
