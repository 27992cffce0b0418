//! The clock that goes on while the machine sleeps.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const ALSO_ASLEEP: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const ALSO_ASLEEP: ClockId = ClockId::Monotonic;

/// How long the machine has slept since this was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asleep {
    start_ms: u64,
    awake: std::time::Instant,
}

impl Asleep {
    pub(crate) fn begin() -> Self {
        Self { start_ms: now_ms(), awake: std::time::Instant::now() }
    }

    /// The clock that goes on, less the one that does not.
    pub(crate) fn so_far(&self) -> Duration {
        let awake = self.awake.elapsed();
        Duration::from_millis(now_ms().saturating_sub(self.start_ms)).saturating_sub(awake)
    }
}

/// Whole milliseconds, as the component counts them.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds of this clock, which all processes of the machine count alike.
pub(crate) fn now_ms() -> u64 {
    let now = clock_gettime(ALSO_ASLEEP);
    let ms = now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}
