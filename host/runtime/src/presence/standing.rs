//! Which workspaces of the process the platform refuses.
//!
//! ```text
//! presence ── refused ──► Standing ──► leadership: the inbox is closed, the guest is told why
//!    ▲                        └─────► the process ends once all are refused
//!    └── another token in its source ── registered ──► taken back
//! ```

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::Rejected;
use crate::guest::wire::Workspace;

/// What is known of all workspaces. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    refused: watch::Sender<BTreeMap<Workspace, Rejected>>,
}

impl Standing {
    /// The platform does not take the token of `workspace`.
    pub(crate) fn refuse(&self, workspace: Workspace, rejected: Rejected) {
        self.refused.send_modify(|refused| drop(refused.insert(workspace, rejected)));
    }

    /// It takes it again.
    pub(crate) fn accept(&self, workspace: Workspace) {
        self.refused.send_if_modified(|refused| refused.remove(&workspace).is_some());
    }

    /// Why the platform does not take the token of `workspace`.
    pub(crate) fn refusal(&self, workspace: Workspace) -> Option<Rejected> {
        self.refused.borrow().get(&workspace).cloned()
    }

    /// Returns once `workspace` is refused, or once it is not.
    pub(crate) async fn until(&self, workspace: Workspace, is_refused: bool) {
        let mut refused = self.refused.subscribe();
        // The sender lives as long as `self`.
        let _ = refused.wait_for(|refused| refused.contains_key(&workspace) == is_refused).await;
    }

    /// All refusals, once there are `count` of them.
    pub(crate) async fn all_refused(&self, count: usize) -> Vec<Rejected> {
        let mut refused = self.refused.subscribe();
        match refused.wait_for(|refused| refused.len() == count).await {
            Ok(refused) => refused.values().cloned().collect(),
            Err(_) => Vec::new(),
        }
    }
}
