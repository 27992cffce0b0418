//! The platform behind HTTP: everything that needs a clock, a network or a task.

mod agents;
mod serve;
mod streams;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::events::StreamId;
use crate::now::Now;
use crate::platform::Platform;

/// A platform that is shared by connections, timers and event streams.
#[derive(Clone)]
pub struct Shell {
    platform: Arc<Mutex<Platform>>,
    /// Changes whenever the platform may have.
    changed: Arc<watch::Sender<()>>,
    /// Those who read an event stream, so that an event wakes only its own.
    readers: Arc<Mutex<BTreeMap<StreamId, Arc<Notify>>>>,
    agents: reqwest::Client,
}

impl Shell {
    /// Puts a platform into a shell. Nothing runs yet.
    pub fn new(platform: Platform) -> Result<Self, reqwest::Error> {
        Ok(Self {
            platform: Arc::new(Mutex::new(platform)),
            changed: Arc::new(watch::Sender::new(())),
            readers: Arc::default(),
            agents: agents::client()?,
        })
    }

    /// Looks at the platform, or changes it, at this very moment.
    pub fn with<T>(&self, look: impl FnOnce(&mut Platform, Now) -> T) -> T {
        let mut platform = self.platform.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        platform.tick(now);
        let seen = look(&mut platform, now);
        let dispatches = platform.take_dispatches();
        let stirred = platform.take_stirred();
        drop(platform);
        for dispatch in dispatches {
            tokio::spawn(self.clone().carry_out(dispatch));
        }
        self.changed.send_replace(());
        let readers = self.readers();
        stirred.iter().filter_map(|stream| readers.get(stream)).for_each(|reader| reader.notify_one());
        drop(readers);
        seen
    }

    fn readers(&self) -> MutexGuard<'_, BTreeMap<StreamId, Arc<Notify>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the platform without telling those who wait for a change.
    fn with_quietly<T>(&self, look: impl FnOnce(&mut Platform) -> T) -> T {
        look(&mut self.platform.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Serves connections until `shutdown` comes, and then lets them end for `drain`.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>, drain: Duration) {
        let timers = tokio::spawn(self.clone().keep_time());
        let connections = self.accept(listener, shutdown).await;
        connections.send_replace(());
        // After that it is too late for whoever is still there.
        let _ = timeout(drain, connections.closed()).await;
        timers.abort();
    }

    /// Lets time pass for the platform whenever it has something to do.
    async fn keep_time(self) {
        let mut changed = self.changed.subscribe();
        loop {
            let due = self.with_quietly(|platform| platform.next_due());
            let rest = due.map_or(Duration::from_secs(1), |due| due.since(now()));
            tokio::select! {
                () = sleep(rest) => self.with(|_, _| ()),
                _ = changed.changed() => {}
            }
        }
    }
}

/// This very moment.
#[must_use]
pub fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
