//! Time that goes on while the machine sleeps.
//!
//! Rust's and tokio's own clocks stand still during sleep on Linux and macOS, so a pause of 20 s that
//! begins before the lid closes would end 20 s after it opens again, however long that was.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::{sync::watch, time};

use crate::guest::wire::{Instant, Rest};

#[cfg(target_os = "linux")]
const ALSO_ASLEEP: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const ALSO_ASLEEP: ClockId = ClockId::Monotonic;

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
        Self(Source::Machine { start_ms: read_ms(ALSO_ASLEEP) })
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
            Source::Machine { start_ms } => read_ms(ALSO_ASLEEP).saturating_sub(start_ms),
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

/// How long the machine has slept since this was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asleep {
    start_ms: u64,
    awake: std::time::Instant,
}

impl Asleep {
    pub(crate) fn begin() -> Self {
        Self { start_ms: read_ms(ALSO_ASLEEP), awake: std::time::Instant::now() }
    }

    /// The clock that goes on, less the one that does not.
    pub(crate) fn so_far(&self) -> Duration {
        let awake = self.awake.elapsed();
        Duration::from_millis(read_ms(ALSO_ASLEEP).saturating_sub(self.start_ms)).saturating_sub(awake)
    }
}

/// Milliseconds that all processes of the machine count alike.
pub(crate) fn machine_ms() -> u64 {
    read_ms(ALSO_ASLEEP)
}

/// Whole milliseconds, as the component counts them.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn read_ms(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let ms = now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}

/// Waits for `left`, or for a part of it.
#[cfg(target_os = "linux")]
async fn pause(left: Duration) {
    // A short pause is over soon after any sleep; a timer of the system counts the sleep itself.
    if left <= LOOK_EVERY || alarm::ring_after(left).await.is_err() {
        time::sleep(left.min(LOOK_EVERY)).await;
    }
}

/// Waits for `left`, or for a part of it.
#[cfg(not(target_os = "linux"))]
async fn pause(left: Duration) {
    time::sleep(left.min(LOOK_EVERY)).await;
}

/// A timer that goes on while the machine sleeps, and costs no wake-up before it rings.
#[cfg(target_os = "linux")]
mod alarm {
    use std::{io, os::fd::OwnedFd, time::Duration};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::{Interest, unix::AsyncFd};

    pub(super) async fn ring_after(left: Duration) -> io::Result<()> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let once =
            Itimerspec { it_interval: Timespec::default(), it_value: left.try_into().map_err(too_long)? };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
        let timer = watch(timer)?;
        timer.readable().await?.retain_ready();
        Ok(())
    }

    #[expect(deprecated, reason = "an owned descriptor is all that makes it sound")]
    fn watch(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
        AsyncFd::with_interest(timer, Interest::READABLE)
    }

    fn too_long<E>(_: E) -> io::Error {
        io::Error::from(io::ErrorKind::InvalidInput)
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
        let asleep = Asleep::begin();

        Clock::machine().wait(20).await;

        assert!(asleep.so_far() < Duration::from_millis(10));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_alarm_rings() {
        let clock = Clock::machine();

        alarm::ring_after(Duration::from_millis(20)).await.unwrap();

        assert!(clock.now() >= 19);
    }

    fn arrivals(count: u64) -> watch::Sender<u64> {
        watch::Sender::new(count)
    }
}
