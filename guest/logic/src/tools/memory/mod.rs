//! Tools that remember and recall.

mod commit_memory;
mod recall_memory;

pub(super) use self::{commit_memory::CommitMemory, recall_memory::RecallMemory};
