//! Peers who write to the agent, each of them counting.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use standin::world::Credentials;
use tokio::{task::JoinHandle, time};

use crate::served::Served;

/// How many write.
pub(super) const PEERS: usize = 7;

/// Between two messages, while there are to be more.
const GAP: Duration = Duration::from_millis(4);

/// What was written, by the id of its row: who, and the how many-th of theirs.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<Mutex<BTreeMap<String, (usize, u64)>>>);

impl Written {
    pub(super) fn of(&self, id: &str) -> Option<(usize, u64)> {
        self.map().get(id).copied()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.map().keys().cloned().collect()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<String, (usize, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Messages on their way. They stop when this is dropped.
pub(super) struct Flow {
    pub(super) written: Written,
    /// How many may be written by now.
    allowed: Arc<AtomicU64>,
    writes: JoinHandle<()>,
}

impl Flow {
    /// Writes as soon as it is allowed to.
    pub(super) fn start(platform: &Arc<Served>) -> Self {
        let peers: Vec<Credentials> = platform
            .with(|platform| (0..PEERS).map(|peer| platform.poll_peer(&format!("peer {peer}"))).collect());
        let (written, allowed) = (Written::default(), Arc::new(AtomicU64::new(0)));
        let task = write(Arc::clone(platform), peers, written.clone(), Arc::clone(&allowed));
        Self { written, allowed, writes: tokio::spawn(task) }
    }

    /// So many more.
    pub(super) fn allow(&self, more: u64) {
        self.allowed.fetch_add(more, Ordering::Relaxed);
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.writes.abort();
    }
}

async fn write(platform: Arc<Served>, peers: Vec<Credentials>, written: Written, allowed: Arc<AtomicU64>) {
    let mut counts = [0; PEERS];
    let mut beat = time::interval(GAP);
    let mut total = 0;
    loop {
        beat.tick().await;
        if total >= allowed.load(Ordering::Relaxed) {
            continue;
        }
        total += 1;
        let place = fastrand::usize(..PEERS);
        let (Some(peer), Some(count)) = (peers.get(place), counts.get_mut(place)) else { continue };
        *count += 1;
        let me = platform.me.id;
        platform.with(|platform| {
            let id = platform.peer_sends(peer.id, me, &format!("{count} of peer {place}")).to_string();
            // Still under the platform's lock: nobody can have fetched it before it is known here.
            written.map().insert(id, (place, *count));
        });
    }
}
