//! For which messages a command is run, and how often.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

const HOUR: Duration = Duration::from_secs(3_600);
/// Between two runs for the same messages; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// A command that has not dealt with a message by then will not.
const MOST_RUNS: u32 = 10;

/// The runs so far.
pub(super) struct Runs {
    most_an_hour: usize,
    /// Of the last hour.
    latest: VecDeque<Instant>,
    /// How often it was run for the messages that wait.
    tried: BTreeMap<String, u32>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Run,
    Later { why: &'static str, pause: Duration },
}

impl Runs {
    pub(super) fn new(most_an_hour: u32) -> Self {
        let most_an_hour = usize::try_from(most_an_hour.max(1)).unwrap_or(usize::MAX);
        Self { most_an_hour, latest: VecDeque::new(), tried: BTreeMap::new() }
    }

    /// Whether to run for the messages that wait; a run is counted.
    pub(super) fn judge(&mut self, waiting: &BTreeSet<String>, now: Instant) -> Verdict {
        self.tried.retain(|id, _| waiting.contains(id));
        while self.latest.front().is_some_and(|run| now.duration_since(*run) >= HOUR) {
            self.latest.pop_front();
        }
        let is_new = waiting.iter().any(|id| !self.tried.contains_key(id));
        let tries = waiting.iter().filter_map(|id| self.tried.get(id)).min().copied().unwrap_or(0);
        let since = self.latest.back().map_or(HOUR, |run| now.duration_since(*run));
        let pause = if is_new { Duration::ZERO } else { pause_after(tries).saturating_sub(since) };
        if !is_new && tries >= MOST_RUNS {
            return Verdict::Later { why: "ended", pause: HOUR };
        }
        if let Some(run) =
            self.latest.len().checked_sub(self.most_an_hour).and_then(|place| self.latest.get(place))
        {
            return Verdict::Later { why: "limited", pause: HOUR.saturating_sub(now.duration_since(*run)) };
        }
        if !pause.is_zero() {
            return Verdict::Later { why: "tried", pause };
        }
        self.latest.push_back(now);
        for id in waiting {
            *self.tried.entry(id.clone()).or_default() += 1;
        }
        Verdict::Run
    }
}

fn pause_after(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_message_is_run_for_at_once_and_one_that_stays_after_growing_pauses_until_an_end() {
        let (mut runs, mut now) = (Runs::new(1_000), Instant::now());
        let waiting = ids(&["a"]);
        let mut pauses = Vec::new();
        assert_eq!(runs.judge(&waiting, now), Verdict::Run);
        loop {
            match runs.judge(&waiting, now) {
                Verdict::Later { why: "ended", .. } => break,
                Verdict::Later { pause, .. } => {
                    pauses.push(pause.as_secs());
                    now += pause;
                    assert_eq!(runs.judge(&waiting, now), Verdict::Run);
                }
                Verdict::Run => panic!("at once again"),
            }
        }

        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(runs.judge(&ids(&["a", "b"]), now), Verdict::Run, "another one is new");
    }

    #[test]
    fn there_are_no_more_runs_in_an_hour_than_allowed() {
        let (mut runs, start) = (Runs::new(2), Instant::now());
        assert_eq!(runs.judge(&ids(&["a"]), start), Verdict::Run);
        assert_eq!(runs.judge(&ids(&["b"]), start + Duration::from_secs(60)), Verdict::Run);

        let third = runs.judge(&ids(&["c"]), start + Duration::from_secs(120));

        assert_eq!(third, Verdict::Later { why: "limited", pause: HOUR - Duration::from_secs(120) });
        assert_eq!(runs.judge(&ids(&["c"]), start + HOUR), Verdict::Run);
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }
}
