//! Tools that tell who this agent is, and who its peers are.

mod get_workspace_info;
mod list_peers;

use super::kit::{Entry, entry};

/// In the order in which clients see them.
pub(super) const TOOLS: &[Entry] =
    &[entry::<list_peers::ListPeers>(), entry::<get_workspace_info::GetWorkspaceInfo>()];
