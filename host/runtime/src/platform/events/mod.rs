//! The platform's event stream, of which nothing is used but that there may be something to fetch.
//!
//! ```text
//! listen ──► task ──► opening ──► open ──► healthy ── event ──► count + 1 ──► whoever listens
//!                        ▲          │          │
//!                        └── pause ◄┴──────────┘    health and its end count as well
//! ```
//!
//! A stream proves nothing but itself: it loses events that are not read in time, carries nothing while
//! nothing happens, and goes on when the token is revoked. The rows of the inbox tell the truth; this only
//! tells when to look.

mod keeper;
mod news;
#[cfg(test)]
mod tests;

use std::{
    future::{self, Future},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tracing::Instrument as _;

use self::keeper::Keeper;
use crate::{
    guest::wire::{Instant, Listen},
    sys::clock::Clock,
};

/// The body of a stream, as it comes.
pub type Chunks = BoxStream<'static, io::Result<Bytes>>;

/// Where the stream of one workspace comes from.
pub trait Source: Send + Sync + 'static {
    /// Asks for the stream once; returns when the head of the answer is there.
    fn open(&self) -> impl Future<Output = Result<Chunks, Closed>> + Send;

    /// Returns when the platform takes no connections any more; never, where that cannot be seen. Asked for
    /// while a stream is open, which a platform that shuts down would wait for.
    fn gone(&self) -> impl Future<Output = ()> + Send {
        future::pending()
    }

    /// Whether asking again may help although the last answer was [`Closed::Absent`].
    fn has_changed(&self) -> bool;
}

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// There is none here, and asking again soon would not change that.
    Absent(String),
    /// There may be one later.
    Failed {
        /// One line for a person, without credentials.
        reason: String,
        /// How long the platform asks to be left alone.
        retry_after: Option<Duration>,
    },
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// For the first bytes of a stream, or it is none.
    pub first_bytes: Duration,
    /// For any event. Two beats of the heart and some slack: each beat is an event on our own stream.
    pub silence: Duration,
    /// From the event of a delegation to the row that is written after it.
    pub row_after_event: Duration,
    /// The first pause before another try, which doubles with each.
    pub retry: Duration,
    /// The longest of these pauses.
    pub retry_at_most: Duration,
    /// Where there is no stream.
    pub absent: Duration,
    /// After nobody listens any more.
    pub unwanted: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_bytes: Duration::from_secs(10),
            silence: Duration::from_secs(45),
            row_after_event: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            retry_at_most: Duration::from_secs(60),
            absent: Duration::from_secs(600),
            unwanted: Duration::from_secs(60),
        }
    }
}

/// How the stream of a workspace goes, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// There is none, for the reason given; it is looked for again after minutes.
    Absent(String),
    /// Nobody listens.
    #[default]
    Closed,
    /// It has broken, for the reason given; it is opened again soon.
    Failed(String),
    /// Its first bytes have come.
    Open,
    /// It was asked for.
    Opening,
}

/// How many hints there were since the start, and whether more of them would come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Heard {
    count: u64,
    healthy: bool,
}

/// The hints that one workspace gets. Nothing is opened before somebody listens.
pub struct Events<S> {
    source: Arc<S>,
    clock: Clock,
    pace: Pace,
    /// For the jitter of pauses.
    chance: Mutex<fastrand::Rng>,
    heard: watch::Sender<Heard>,
    /// Until when somebody listens.
    wanted: watch::Sender<Instant>,
    /// Told when the platform takes no connections.
    away: Arc<Notify>,
    /// With the time of the last change.
    state: watch::Sender<(State, Instant)>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl<S: Source> Events<S> {
    /// The events that `source` brings.
    #[must_use]
    pub fn new(source: Arc<S>, clock: Clock, pace: Pace, chance: fastrand::Rng) -> Self {
        Self {
            source,
            clock,
            pace,
            chance: Mutex::new(chance),
            heard: watch::Sender::default(),
            wanted: watch::Sender::default(),
            away: Arc::default(),
            state: watch::Sender::default(),
            task: Mutex::default(),
        }
    }

    /// Waits as `listen` says, and gives the count of hints.
    ///
    /// Opens the stream if there is none, and keeps it for a while after the last listener.
    pub async fn listen(&self, listen: &Listen) -> u64 {
        let last = listen.until.max(listen.until_with_events);
        self.wanted.send_modify(|until| *until = last.max(*until));
        self.keep_open();
        let mut heard = self.heard.subscribe();
        loop {
            let so_far = *heard.borrow_and_update();
            if so_far.count > listen.hints_over {
                return so_far.count;
            }
            let until = if so_far.healthy { listen.until_with_events } else { listen.until };
            tokio::select! {
                biased;
                _ = heard.changed() => {}
                () = self.clock.wait(until) => return heard.borrow().count,
            }
        }
    }

    /// How the stream goes, and since when.
    #[must_use]
    pub fn state(&self) -> (State, Instant) {
        self.state.borrow().clone()
    }

    /// A hint that comes from elsewhere.
    pub fn hint(&self) {
        hint(&self.heard);
    }

    /// The platform takes no connections: one that is shutting down waits for open streams to end.
    pub fn platform_is_away(&self) {
        self.away.notify_waiters();
    }

    fn keep_open(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner).fork();
        let keeper = Keeper {
            source: Arc::clone(&self.source),
            clock: self.clock,
            pace: self.pace,
            chance,
            heard: self.heard.clone(),
            wanted: self.wanted.subscribe(),
            away: Arc::clone(&self.away),
            state: self.state.clone(),
        };
        *task = Some(tokio::spawn(keeper.run().in_current_span()));
    }
}

/// Tells listeners that there may be something to fetch.
fn hint(heard: &watch::Sender<Heard>) {
    heard.send_modify(|heard| heard.count += 1);
}

impl<S> Drop for Events<S> {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}
