//! Notices that the machine has slept, once for all pauses of the process.
//!
//! ```text
//! pauses ──deadlines──► one timer of the system, which goes on during sleep ──► one thread
//!    ▲                                                                             │ the machine has slept
//!    └────────────────────────── looked at again ◄─────────────────────────────────┘
//! ```
//!
//! A timer a pause would cost a descriptor each, and a process with a thousand workspaces has ten thousand pauses.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::Duration,
};

use tokio::sync::watch;

use super::boot;

/// Deadlines are rounded up to this, so that many of them cost one wake-up.
const GRID_MS: u64 = 1_000;

/// What counts as sleep; less is how clocks are read one after the other.
const SLEPT: Duration = Duration::from_millis(500);

/// When pauses end, and who is told of a sleep.
pub(super) struct Alarm {
    timer: timer::Timer,
    deadlines: Mutex<Deadlines>,
    slept: watch::Sender<u64>,
}

/// Moments of the clock that counts sleep, in milliseconds.
#[derive(Default)]
struct Deadlines {
    /// How many pauses end at each.
    pauses: BTreeMap<u64, usize>,
    /// The one that the timer is set to; none once it has rung.
    set: Option<u64>,
}

/// A pause whose end is watched, until it is dropped.
pub(super) struct Pending<'a> {
    alarm: &'a Alarm,
    deadline: u64,
}

/// The alarm of the process; none where the system has no such timer.
pub(super) fn shared() -> Option<&'static Alarm> {
    static ALARM: OnceLock<Option<&'static Alarm>> = OnceLock::new();
    *ALARM.get_or_init(|| {
        let alarm: &'static Alarm = Box::leak(Box::new(Alarm::new()?));
        let thread = thread::Builder::new().name("alarm".to_owned()).stack_size(64 << 10);
        thread.spawn(|| alarm.run()).ok()?;
        Some(alarm)
    })
}

impl Alarm {
    fn new() -> Option<Self> {
        Some(Self { timer: timer::Timer::new()?, deadlines: Mutex::default(), slept: watch::Sender::new(0) })
    }

    /// Changes when the machine has slept.
    pub(super) fn sleeps(&self) -> watch::Receiver<u64> {
        self.slept.subscribe()
    }

    /// Has the timer ring in `left`, unless the machine is awake then anyway.
    pub(super) fn watch(&self, left: Duration) -> Pending<'_> {
        let end = boot::now_ms().saturating_add(boot::ms(left));
        let deadline = end.checked_next_multiple_of(GRID_MS).unwrap_or(end);
        let mut deadlines = self.deadlines();
        *deadlines.pauses.entry(deadline).or_default() += 1;
        if deadlines.set.is_none_or(|set| deadline < set) {
            self.set(&mut deadlines, deadline);
        }
        Pending { alarm: self, deadline }
    }

    fn run(&self) {
        let asleep = boot::Asleep::begin();
        let mut before = Duration::ZERO;
        while self.timer.rings() {
            let so_far = asleep.so_far();
            if so_far >= before + SLEPT {
                self.slept.send_modify(|times| *times += 1);
            }
            before = so_far;
            self.set_to_next();
        }
    }

    /// Sets the timer to the first pause that is not over; a pause that is over ends by itself.
    fn set_to_next(&self) {
        let mut deadlines = self.deadlines();
        deadlines.set = None;
        let next = deadlines.pauses.range(boot::now_ms().saturating_add(1)..).next();
        if let Some(next) = next.map(|(next, _)| *next) {
            self.set(&mut deadlines, next);
        }
    }

    fn set(&self, deadlines: &mut Deadlines, deadline: u64) {
        deadlines.set = Some(deadline);
        self.timer.ring_at(deadline);
    }

    fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut deadlines = self.alarm.deadlines();
        if let Some(pauses) = deadlines.pauses.get_mut(&self.deadline) {
            *pauses -= 1;
            if *pauses == 0 {
                deadlines.pauses.remove(&self.deadline);
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod timer {
    use std::os::fd::OwnedFd;

    use rustix::{
        io,
        time::{
            Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
            timerfd_settime,
        },
    };

    /// A timer that goes on while the machine sleeps.
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        pub(super) fn new() -> Option<Self> {
            timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC).ok().map(Self)
        }

        /// Rings once at `ms` of the clock that counts sleep, in place of what was set before.
        pub(super) fn ring_at(&self, ms: u64) {
            let at = Timespec {
                tv_sec: i64::try_from(ms / 1_000).unwrap_or(i64::MAX),
                tv_nsec: i64::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
            };
            let once = Itimerspec { it_interval: Timespec::default(), it_value: at };
            // Pauses end by themselves, only later after a sleep.
            let _ = timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once);
        }

        /// Waits until it rings; false if it never will again.
        pub(super) fn rings(&self) -> bool {
            loop {
                match io::read(&self.0, &mut [0; 8]) {
                    Ok(_) => return true,
                    Err(io::Errno::INTR) => {}
                    Err(_) => return false,
                }
            }
        }
    }
}

/// Elsewhere pauses look at the clock every few seconds.
#[cfg(not(target_os = "linux"))]
mod timer {
    pub(super) struct Timer;

    impl Timer {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) fn ring_at(&self, _ms: u64) {}

        pub(super) fn rings(&self) -> bool {
            false
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_timer_rings_at_the_moment_that_was_set_last() {
        let timer = timer::Timer::new().unwrap();
        timer.ring_at(boot::now_ms() + 3_600_000);
        timer.ring_at(boot::now_ms() + 20);

        assert!(timer.rings());
    }

    #[test]
    fn a_pause_without_an_end_is_one_like_others() {
        let alarm = Alarm::new().unwrap();

        let _pending = alarm.watch(Duration::MAX);

        assert_eq!(alarm.deadlines().pauses.len(), 1);
    }

    #[test]
    fn pauses_that_end_together_are_one_deadline_until_the_last_is_over() {
        let alarm = Alarm::new().unwrap();
        let far = Duration::from_hours(1);
        let (first, second) = (alarm.watch(far), alarm.watch(far));
        let several = alarm.deadlines().pauses.values().sum::<usize>();

        drop(first);
        let one = alarm.deadlines().pauses.values().sum::<usize>();
        drop(second);

        assert_eq!((several, one, alarm.deadlines().pauses.len()), (2, 1, 0));
    }

    #[test]
    fn an_earlier_pause_sets_the_timer_anew_also_beside_one_that_is_over_and_not_dropped_yet() {
        let alarm = Alarm::new().unwrap();
        let _over = alarm.watch(Duration::ZERO);
        let _later = alarm.watch(Duration::from_hours(2));
        alarm.deadlines().set = Some(u64::MAX);

        let earlier = alarm.watch(Duration::from_hours(1));

        assert_eq!(alarm.deadlines().set, Some(earlier.deadline));
    }
}
