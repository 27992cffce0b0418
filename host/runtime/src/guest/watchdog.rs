//! Stops a guest that computes for too long.
//!
//! A thread looks every 50 ms, but only while the guest is in use: an idle program has no timer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant},
};

use wasmtime::{Engine, UpdateDeadline};

/// How long one turn may compute.
const BUDGET: Duration = Duration::from_millis(250);
/// What a turn gets on top for each MiB that it has to read: a page of rows may be 40 MiB.
const BUDGET_PER_MIB: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// No call is running.
const IDLE: u64 = 0;

/// Notes when calls begin and end, of one guest among those of an engine.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    start: Instant,
    /// When the running call has to end, in milliseconds after `start`, plus 1; or [`IDLE`].
    due: AtomicU64,
    /// A call began since the last look.
    used: AtomicBool,
    /// The thread waits to be woken.
    asleep: AtomicBool,
    /// The guest is gone.
    ended: AtomicBool,
}

impl Watchdog {
    /// Watches the calls of one guest, which must all go through [`Self::watch`].
    pub(super) fn new(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            due: AtomicU64::new(IDLE),
            used: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while !watched.ended.load(Ordering::Acquire) {
                if watched.is_overdue() {
                    engine.increment_epoch();
                }
                watched.rest();
            }
        })?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// What a store asks at each tick of its engine, which other guests may have caused: whether to go on.
    pub(super) fn verdict(&self) -> impl Fn() -> UpdateDeadline + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || if shared.is_overdue() { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) }
    }

    /// Runs `call`, which has to read so many bytes, under the budget.
    pub(super) fn watch<T>(&self, bytes: usize, call: impl FnOnce() -> T) -> T {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let due = self.shared.start.elapsed() + BUDGET + BUDGET_PER_MIB.saturating_mul(mib);
        self.shared.due.store(u64::try_from(due.as_millis()).unwrap_or(u64::MAX - 1) + 1, Ordering::Release);
        self.shared.used.store(true, Ordering::Release);
        if self.shared.asleep.swap(false, Ordering::AcqRel) {
            self.thread.unpark();
        }
        let result = call();
        self.shared.due.store(IDLE, Ordering::Release);
        result
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Shared {
    fn is_overdue(&self) -> bool {
        match self.due.load(Ordering::Acquire) {
            IDLE => false,
            due => self.start.elapsed() >= Duration::from_millis(due),
        }
    }

    /// Until the next look, or until the guest is used again.
    fn rest(&self) {
        if self.used.swap(false, Ordering::AcqRel) || self.due.load(Ordering::Acquire) != IDLE {
            thread::sleep(LOOK_EVERY);
            return;
        }
        self.asleep.store(true, Ordering::Release);
        // A call that began in between has seen `asleep` unset, so look once more before parking.
        if !self.used.load(Ordering::Acquire) {
            thread::park();
        }
        self.asleep.store(false, Ordering::Release);
    }
}
