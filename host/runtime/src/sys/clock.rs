//! Time that goes on while the machine sleeps.
//!
//! Rust's and tokio's own clocks stand still during sleep on Linux and macOS, so a pause of 20 s that
//! begins before the lid closes would end 20 s after it opens again, however long that was.

use std::time::Duration;

use tokio::{sync::watch, time};

use super::{
    alarm,
    boot::{self, ms},
};
use crate::guest::wire::{Instant, Rest};

/// How late a pause may end after a sleep where no timer counts sleep.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Milliseconds since some moment in the past; never backwards.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Source);

#[derive(Debug, Clone, Copy)]
enum Source {
    /// Counts sleep.
    Machine { start_ms: u64 },
    /// Tokio's clock, which tests can stop.
    Tokio { start: time::Instant },
}

impl Clock {
    /// The clock of the program, at 0.
    #[must_use]
    pub fn machine() -> Self {
        Self(Source::Machine { start_ms: boot::now_ms() })
    }

    /// A clock for tests, which stands still and leaps as tokio's paused clock does.
    #[must_use]
    pub fn tokio() -> Self {
        Self::tokio_since(time::Instant::now())
    }

    /// The same, at 0 at `start`.
    #[must_use]
    pub fn tokio_since(start: time::Instant) -> Self {
        Self(Source::Tokio { start })
    }

    /// Milliseconds since this clock was made.
    #[must_use]
    pub fn now(&self) -> Instant {
        match self.0 {
            Source::Machine { start_ms } => boot::now_ms().saturating_sub(start_ms),
            Source::Tokio { start } => ms(start.elapsed()),
        }
    }

    /// Returns at `until`; after a sleep that ends later, within [`LOOK_EVERY`] of its end.
    pub async fn wait(&self, until: Instant) {
        loop {
            let left = Duration::from_millis(until.saturating_sub(self.now()));
            if left.is_zero() {
                return;
            }
            match self.0 {
                Source::Machine { .. } => pause(left).await,
                Source::Tokio { .. } => time::sleep(left).await,
            }
        }
    }

    /// Returns at the end of `rest`, or once `arrivals` exceeds what it waits for.
    pub async fn rest(&self, rest: Rest, mut arrivals: watch::Receiver<u64>) {
        let Some(seen) = rest.arrivals_over else { return self.wait(rest.until).await };
        let arrived = async {
            if arrivals.wait_for(|count| *count > seen).await.is_err() {
                // Nobody is left who could announce anything.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = arrived => {}
            () = self.wait(rest.until) => {}
        }
    }
}

/// Waits for `left`, or for a part of it.
async fn pause(left: Duration) {
    // A short pause is over soon after any sleep.
    let alarm = (left > LOOK_EVERY).then(alarm::shared).flatten();
    match alarm {
        Some(alarm) => {
            let mut sleeps = alarm.sleeps();
            let _pending = alarm.watch(left);
            tokio::select! {
                () = time::sleep(left) => {}
                _ = sleeps.changed() => {}
            }
        }
        None => time::sleep(left.min(LOOK_EVERY)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_ends_at_its_time() {
        let clock = Clock::tokio();

        clock
            .rest(Rest { until: 5_000, arrivals_over: None, workspace: None }, arrivals(0).subscribe())
            .await;

        assert_eq!(clock.now(), 5_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_that_is_over_already_takes_no_time() {
        let clock = Clock::tokio();
        time::sleep(Duration::from_secs(9)).await;

        clock
            .rest(Rest { until: 5_000, arrivals_over: None, workspace: None }, arrivals(0).subscribe())
            .await;

        assert_eq!(clock.now(), 9_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_ends_a_rest() {
        let (clock, arrivals) = (Clock::tokio(), arrivals(3));
        let rest = Rest { until: 60_000, arrivals_over: Some(3), workspace: None };
        let arrival = async {
            time::sleep(Duration::from_secs(2)).await;
            arrivals.send_replace(4);
        };

        tokio::join!(clock.rest(rest, arrivals.subscribe()), arrival);

        assert_eq!(clock.now(), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_between_two_turns_is_not_missed() {
        let (clock, arrivals) = (Clock::tokio(), arrivals(4));

        clock
            .rest(Rest { until: 60_000, arrivals_over: Some(3), workspace: None }, arrivals.subscribe())
            .await;

        assert_eq!(clock.now(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_without_arrivals_outlives_them() {
        let (clock, arrivals) = (Clock::tokio(), arrivals(3));
        let receiver = arrivals.subscribe();
        drop(arrivals);

        clock.rest(Rest { until: 60_000, arrivals_over: Some(3), workspace: None }, receiver).await;

        assert_eq!(clock.now(), 60_000);
    }

    #[tokio::test]
    async fn the_machine_waits_at_least_as_long_as_asked() {
        let clock = Clock::machine();

        clock.wait(20).await;

        assert!(clock.now() >= 20);
    }

    #[tokio::test]
    async fn waiting_is_not_sleeping() {
        let asleep = boot::Asleep::begin();

        Clock::machine().wait(20).await;

        assert!(asleep.so_far() < Duration::from_millis(10));
    }

    fn arrivals(count: u64) -> watch::Sender<u64> {
        watch::Sender::new(count)
    }
}
