//! What a workspace is busy with: written by the guest, read by every heartbeat.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::guest::wire;

/// The latest word on what the workspace is busy with.
#[derive(Debug, Default)]
pub struct Working {
    latest: Mutex<Busy>,
}

/// What one heartbeat tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Busy {
    /// Delegations that wait for an answer.
    pub active_tasks: u32,
    /// The latest of them, at most 256 characters; empty if none.
    pub current_task: String,
}

impl Working {
    /// Replaces what was known.
    pub fn note(&self, working: &wire::Working) {
        let busy = Busy { active_tasks: working.active_tasks, current_task: working.current_task.clone() };
        *self.latest() = busy;
    }

    /// What the workspace is busy with.
    #[must_use]
    pub fn busy(&self) -> Busy {
        self.latest().clone()
    }

    fn latest(&self) -> MutexGuard<'_, Busy> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
