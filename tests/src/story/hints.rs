//! The events of the platform, of which a process only counts those that can mean a message.
//!
//! ```text
//! opening ──► listening ── event ──► count + 1
//!    ▲            │
//!    └── closed ──┘        the beginning and the end of listening count as well
//! ```

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use molecule_mcp::guest::wire::Listen;
use standin::{Event, Reply, Request, StreamId};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{self, Instant},
};

use super::{LATENCY, machine::Machine};

/// From the platform's commit of a row to the hint.
const EVENT_LATENCY: Duration = Duration::from_millis(3);
/// Before a stream is asked for again.
const REOPEN: Duration = Duration::from_secs(1);
/// What the platform writes only after the event of a delegation.
const ROW_AFTER_EVENT: Duration = Duration::from_secs(1);

/// How many hints there were, and whether more of them would come.
#[derive(Clone, Copy, Default)]
struct Heard {
    count: u64,
    healthy: bool,
}

/// The hints that one process has had. The stream is opened by whoever listens first, and ends with this.
#[derive(Default)]
pub(super) struct Hints {
    heard: watch::Sender<Heard>,
    stream: OnceLock<Stream>,
}

struct Stream(AbortHandle);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Stops listening when dropped.
struct Subscription {
    machine: Arc<Machine>,
    id: StreamId,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.machine.platform().unsubscribe(self.id);
    }
}

impl Hints {
    /// Waits as `listen` says; gives the count of hints.
    pub(super) async fn listen(&self, machine: &Arc<Machine>, request: &Request, listen: Listen) -> u64 {
        self.stream.get_or_init(|| {
            let follow = follow(Arc::clone(machine), request.clone(), self.heard.clone());
            Stream(tokio::spawn(follow).abort_handle())
        });
        let mut heard = self.heard.subscribe();
        loop {
            let now = *heard.borrow_and_update();
            let until = if now.healthy { listen.until_with_events } else { listen.until };
            let until = machine.instant(until);
            if now.count > listen.hints_over || until <= Instant::now() {
                return now.count;
            }
            tokio::select! {
                () = time::sleep_until(until) => {}
                _ = heard.changed() => {}
            }
        }
    }
}

async fn follow(machine: Arc<Machine>, request: Request, heard: watch::Sender<Heard>) {
    loop {
        time::sleep(LATENCY).await;
        if let Some(id) = open(&machine, &request) {
            let subscription = Subscription { machine: Arc::clone(&machine), id };
            heard.send_modify(|heard| *heard = Heard { count: heard.count + 1, healthy: true });
            count(&subscription, &heard).await;
            heard.send_modify(|heard| *heard = Heard { count: heard.count + 1, healthy: false });
        }
        time::sleep(REOPEN).await;
    }
}

fn open(machine: &Machine, request: &Request) -> Option<StreamId> {
    if !machine.brings_events() {
        return None;
    }
    match machine.platform().handle(request, machine.platform_time()) {
        Reply::Events(_, stream) => Some(stream),
        Reply::Answer(_) | Reply::Close | Reply::Delay(..) | Reply::Dispatch(_) | Reply::Upgrade(_) => None,
    }
}

/// Counts until the stream is closed.
async fn count(stream: &Subscription, heard: &watch::Sender<Heard>) {
    let machine = &stream.machine;
    let mut changes = machine.changes();
    let mut once_more = None;
    loop {
        changes.mark_unchanged();
        let (events, due) = {
            let mut platform = machine.look();
            (platform.drain(stream.id), platform.next_due())
        };
        let Some(events) = events else { return };
        let hints = events.iter().filter(|event| is_hint(event)).count();
        if hints > 0 {
            time::sleep(EVENT_LATENCY).await;
            heard.send_modify(|heard| heard.count += hints as u64);
        }
        if events.iter().any(|event| event.kind.starts_with("DELEGATION_")) {
            once_more = Some(Instant::now() + ROW_AFTER_EVENT);
        }
        tokio::select! {
            _ = changes.changed() => {}
            // Time that passes is a change as well.
            () = at(due.map(|due| machine.instant(machine.ms_of(due) + 1))) => {}
            () = at(once_more) => {
                once_more = None;
                heard.send_modify(|heard| heard.count += 1);
            }
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn is_hint(event: &Event) -> bool {
    matches!(event.kind, "ACTIVITY_LOGGED" | "BROADCAST_MESSAGE" | "USER_MESSAGE")
        || event.kind.starts_with("DELEGATION_")
}
