//! Tools that tell who this agent is, and who its peers are.

mod get_workspace_info;
mod list_peers;

pub(super) use self::{get_workspace_info::GetWorkspaceInfo, list_peers::ListPeers};
