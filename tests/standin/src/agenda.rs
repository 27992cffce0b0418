//! What the platform still has to do, and when.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::activity::NewRow;
use crate::now::Now;
use crate::platform::Platform;

/// Time has to pass between two sweeps.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) enum Job {
    /// Start, or retry, a delegation.
    Delegate(Uuid),
    /// Raise one more event of a workspace.
    Emit(Uuid, &'static str, Value),
    /// Store an inbound message, and say so.
    Receive(Box<NewRow>),
    /// Store a row of which the event went out before.
    Store(Box<NewRow>),
    /// Look for stale workspaces and old rows, and come back.
    Sweep,
}

/// Jobs by due time; those of one instant in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    jobs: BTreeMap<(Now, u64), Job>,
    added: u64,
}

impl Agenda {
    pub(crate) fn add(&mut self, due: Now, job: Job) {
        self.added += 1;
        self.jobs.insert((due, self.added), job);
    }

    pub(crate) fn next_due(&self) -> Option<Now> {
        self.jobs.keys().next().map(|(due, _)| *due)
    }

    fn take_due(&mut self, now: Now) -> Option<(Now, Job)> {
        let first = self.jobs.first_entry().filter(|first| first.key().0 <= now)?;
        let ((due, _), job) = first.remove_entry();
        Some((due, job))
    }
}

impl Platform {
    /// Lets time pass: does everything that is due by `now`, each at its own time.
    pub fn tick(&mut self, now: Now) {
        while let Some((due, job)) = self.agenda.take_due(now) {
            self.now = self.now.max(due);
            match job {
                Job::Delegate(id) => self.run_delegation(id, due),
                Job::Emit(workspace, kind, data) => self.emit(workspace, kind, data, due),
                Job::Receive(row) => self.receive_message(*row, due),
                // A row that is refused is lost in silence.
                Job::Store(row) => drop(self.activity.insert(*row, due)),
                Job::Sweep => {
                    self.sweep(due);
                    self.prune(due);
                    let interval = self.switches.sweep_interval.max(SHORTEST_INTERVAL);
                    self.agenda.add(due.plus(interval), Job::Sweep);
                }
            }
        }
        self.now = self.now.max(now);
    }

    /// When [`Platform::tick`] has something to do next.
    #[must_use]
    pub fn next_due(&self) -> Option<Now> {
        self.agenda.next_due()
    }
}
