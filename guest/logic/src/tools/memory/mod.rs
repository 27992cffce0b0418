//! Tools that remember and recall.

mod commit_memory;
mod recall_memory;

use super::kit::{Entry, entry};

/// In the order in which clients see them.
pub(super) const TOOLS: &[Entry] =
    &[entry::<commit_memory::CommitMemory>(), entry::<recall_memory::RecallMemory>()];
