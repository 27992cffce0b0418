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

use wasmtime::Engine;

/// How long one turn may compute.
const BUDGET: Duration = Duration::from_millis(250);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// No call is running.
const IDLE: u64 = 0;

/// Notes when calls begin and end.
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    start: Instant,
    /// When the running call began, in milliseconds after `start`, plus 1; or [`IDLE`].
    began: AtomicU64,
    /// A call began since the last look.
    used: AtomicBool,
    /// The thread waits to be woken.
    asleep: AtomicBool,
}

impl Watchdog {
    /// Watches the calls of one engine, which must all go through [`Self::watch`].
    pub(super) fn new(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            began: AtomicU64::new(IDLE),
            used: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
        });
        let (engine, watched) = (engine.weak(), Arc::clone(&shared));
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            while let Some(engine) = engine.upgrade() {
                if watched.is_overdue() {
                    engine.increment_epoch();
                }
                drop(engine);
                watched.rest();
            }
        })?;
        Ok(Self { shared, thread: thread.thread().clone() })
    }

    /// Runs `call` under the budget.
    pub(super) fn watch<T>(&self, call: impl FnOnce() -> T) -> T {
        let now = u64::try_from(self.shared.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.shared.began.store(now + 1, Ordering::Release);
        self.shared.used.store(true, Ordering::Release);
        if self.shared.asleep.swap(false, Ordering::AcqRel) {
            self.thread.unpark();
        }
        let result = call();
        self.shared.began.store(IDLE, Ordering::Release);
        result
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.thread.unpark();
    }
}

impl Shared {
    fn is_overdue(&self) -> bool {
        match self.began.load(Ordering::Acquire) {
            IDLE => false,
            began => self.start.elapsed() > BUDGET + Duration::from_millis(began - 1),
        }
    }

    /// Until the next look, or until the guest is used again.
    fn rest(&self) {
        if self.used.swap(false, Ordering::AcqRel) || self.began.load(Ordering::Acquire) != IDLE {
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
