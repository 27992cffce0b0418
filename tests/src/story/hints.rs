//! The platform's event stream without a wire: what the real host reads, a few milliseconds later.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use molecule_runtime::platform::events::{Chunks, Closed, Events, Pace, Source};
use standin::{Event, Reply, Request, StreamId};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{LATENCY, machine::Machine};

/// From the platform's commit of a row to the hint.
const EVENT_LATENCY: Duration = Duration::from_millis(3);
/// The same story takes the same course each time.
const SEED: u64 = 7;

/// The hints that one process has.
pub(super) type Hints = Events<Wire>;

/// Where the events of one workspace come from.
pub(super) struct Wire {
    machine: Arc<Machine>,
    request: Request,
}

/// Stops listening when dropped.
struct Subscription {
    machine: Arc<Machine>,
    id: StreamId,
    changes: watch::Receiver<()>,
}

/// The hints that `request` gets from the platform on `machine`.
pub(super) fn hints(machine: &Arc<Machine>, request: Request) -> Hints {
    let wire = Wire { machine: Arc::clone(machine), request };
    Events::new(Arc::new(wire), machine.clock(), Pace::default(), fastrand::Rng::with_seed(SEED))
}

impl Source for Wire {
    async fn open(&self) -> Result<Chunks, Closed> {
        time::sleep(LATENCY / 2).await;
        let failed = |reason: &str| Closed::Failed { reason: reason.to_owned(), retry_after: None };
        if !self.machine.brings_events() {
            return Err(failed("connection refused"));
        }
        let mut reply = self.machine.platform().handle(&self.request, self.machine.platform_time());
        while let Reply::Delay(span, later) = reply {
            time::sleep(span).await;
            reply = *later;
        }
        time::sleep(LATENCY / 2).await;
        match reply {
            Reply::Events(_, id) => Ok(body(&self.machine, id)),
            Reply::Answer(answer) if answer.status < 500 => {
                Err(Closed::Absent(format!("HTTP {}", answer.status)))
            }
            Reply::Answer(answer) => Err(failed(&format!("HTTP {}", answer.status))),
            Reply::Close | Reply::Delay(..) | Reply::Dispatch(_) | Reply::Upgrade(_) => {
                Err(failed("the connection was closed without an answer"))
            }
        }
    }

    fn has_changed(&self) -> bool {
        false
    }
}

impl Subscription {
    /// The next events; none once the stream is closed.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            self.changes.mark_unchanged();
            let (events, due) = {
                let mut platform = self.machine.look();
                (platform.drain(self.id)?, platform.next_due())
            };
            if !events.is_empty() {
                time::sleep(EVENT_LATENCY).await;
                return Some(events);
            }
            tokio::select! {
                _ = self.changes.changed() => {}
                // Time that passes is a change as well.
                () = at(due.map(|due| self.machine.instant(self.machine.ms_of(due) + 1))) => {}
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.machine.platform().unsubscribe(self.id);
    }
}

fn body(machine: &Arc<Machine>, id: StreamId) -> Chunks {
    let silent = machine.look().is_silent(id);
    let opening = stream::iter((!silent).then(|| Ok(Bytes::from_static(b": ping\n\n"))));
    let subscription = Subscription { machine: Arc::clone(machine), id, changes: machine.changes() };
    let events = stream::unfold(subscription, |mut subscription| async {
        let events = subscription.next().await?;
        let lines: String = events.iter().map(Event::to_sse).collect();
        Some((Ok::<_, io::Error>(Bytes::from(lines)), subscription))
    });
    opening.chain(events).boxed()
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
