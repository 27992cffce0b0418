//! State of a workspace that an embedding program keeps, in place of files.

use std::{fmt::Debug, sync::Arc};

use anyhow::Result;
use tokio::{sync::Mutex, task};

pub use crate::guest::wire::FileChange;
use crate::{
    guest::wire::{Outcome, Saved},
    hidden,
};

/// Keeps the state of workspaces. Its methods may block: each is called on a thread for that, one at a time for each
/// workspace. Nothing else may change what is kept for as long as a runtime has it: there is no lock.
pub trait Store: Debug + Send + Sync + 'static {
    /// What is kept of `workspace`; nothing is [`Kept::default`].
    ///
    /// # Errors
    /// When it cannot be read. Messages may come again then, and none is lost.
    fn load(&self, workspace: &str) -> Result<Kept>;

    /// Carries out a change, which has to survive a crash when this returns, also without `sync`.
    ///
    /// # Errors
    /// When it was not made. The agent is told, and the same is tried again.
    fn change(&self, workspace: &str, change: FileChange) -> Result<()>;
}

/// What is kept of one workspace.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What [`FileChange::Cursor`] has set last.
    pub cursor: Option<String>,
    /// All records since the last [`FileChange::Rewrite`], with its own, in order.
    pub records: Vec<String>,
    /// What [`FileChange::InboundSecret`] has set last.
    pub secret: Option<String>,
}

/// The store of one workspace.
#[derive(Debug, Clone)]
pub(super) struct OwnStore {
    store: Arc<dyn Store>,
    workspace: Arc<str>,
    /// Changes happen one after the other, in the order they were asked for.
    turn: Arc<Mutex<()>>,
}

impl OwnStore {
    pub(super) fn new(store: Arc<dyn Store>, workspace: &str) -> Self {
        Self { store, workspace: workspace.into(), turn: Arc::default() }
    }

    /// Carries out a change, to its end also if the future is dropped.
    pub(super) async fn change(&self, change: FileChange) -> Outcome {
        if let FileChange::InboundSecret(secret) = &change {
            hidden::hide(secret);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let own = self.clone();
        let changed = task::spawn_blocking(move || {
            let _turn = turn;
            own.store.change(&own.workspace, change)
        });
        match changed.await {
            Ok(Ok(())) => Outcome::Stored,
            Ok(Err(cause)) => Outcome::StoreFailed(cause.to_string()),
            Err(defect) => Outcome::StoreFailed(defect.to_string()),
        }
    }

    /// What is kept, for the inbox.
    pub(super) async fn saved(&self) -> Saved {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let own = self.clone();
        let loaded = task::spawn_blocking(move || {
            let _turn = turn;
            own.store.load(&own.workspace)
        });
        match loaded.await {
            Ok(Ok(kept)) => Saved { cursor: kept.cursor, journal: kept.records, damaged_after: None },
            Ok(Err(cause)) => unreadable(&cause),
            Err(defect) => unreadable(&defect.into()),
        }
    }

    /// The secret; blocks.
    pub(super) fn secret(&self) -> Option<String> {
        let secret = self.store.load(&self.workspace).ok()?.secret?;
        hidden::hide(&secret);
        Some(secret)
    }
}

fn unreadable(cause: &anyhow::Error) -> Saved {
    tracing::warn!("the store cannot be read: {cause}: messages that it holds may come again");
    Saved { cursor: None, journal: Vec::new(), damaged_after: Some(0) }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;
    use crate::guest::wire::JournalAppend;

    #[derive(Debug)]
    struct Broken;

    impl Store for Broken {
        fn load(&self, _workspace: &str) -> Result<Kept> {
            bail!("on purpose")
        }

        fn change(&self, _workspace: &str, _change: FileChange) -> Result<()> {
            bail!("on purpose")
        }
    }

    #[tokio::test]
    async fn a_store_that_fails_is_told_and_loses_nothing_unsaid() {
        let own = OwnStore::new(Arc::new(Broken), "w");
        let append = JournalAppend { records: vec!["a".to_owned()], sync: true };

        assert_eq!(
            own.change(FileChange::Append(append)).await,
            Outcome::StoreFailed("on purpose".to_owned())
        );
        assert_eq!(own.saved().await.damaged_after, Some(0));
        assert_eq!(own.secret(), None);
    }
}
