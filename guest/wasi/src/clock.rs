//! What time it is: milliseconds since 1970 that never run backwards within an instance.

use wasip2::clocks::{monotonic_clock, wall_clock};
use wstd::time::{Duration, Timer};

const NANOS: u64 = 1_000_000;

/// The clock of an instance. Its readings can be compared with those of earlier instances, as far as the machine's clock can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// What the machine's clock said when the monotonic one was at 0.
    origin: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = wall_clock::now();
        let wall = wall.seconds.saturating_mul(1_000).saturating_add(u64::from(wall.nanoseconds) / NANOS);
        Self { origin: wall.saturating_sub(monotonic_clock::now() / NANOS) }
    }

    pub(crate) fn now(&self) -> u64 {
        self.origin.saturating_add(monotonic_clock::now() / NANOS)
    }

    /// Returns at `until`, or at once if that is over.
    pub(crate) async fn sleep_until(&self, until: u64) {
        sleep_ms(until.saturating_sub(self.now())).await;
    }
}

/// Returns after so many milliseconds.
pub(crate) async fn sleep_ms(ms: u64) {
    Timer::after(Duration::from_millis(ms)).wait().await;
}
