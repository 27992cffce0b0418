//! What the operator configured: cleaned once, and used clean everywhere.

use std::path::PathBuf;

use url::Url;

use crate::{credentials::Credentials, guest::wire::Permissions};

/// Everything that the program was told.
#[derive(Debug)]
pub struct Settings {
    /// The base of all platform addresses: http or https, no credentials, no query, no trailing slash.
    pub platform: Url,
    /// The id of the workspace: `[A-Za-z0-9_-]{1,64}`, a UUID in lower case.
    pub workspace: String,
    /// The token of the workspace.
    pub credentials: Credentials,
    /// Where state is kept; none if no directory can be written.
    pub configs: Option<PathBuf>,
    /// What other workspaces see of this one.
    pub card: AgentCard,
    /// Whether to register and beat.
    pub heartbeat: bool,
    /// Whether to fetch messages.
    pub inbox: bool,
    /// Whether answers also carry their facts as JSON.
    pub structured: bool,
    /// Whether the words of peers are shown without a fence.
    pub bare_peer_text: bool,
    /// Whether every delegation takes the durable path.
    pub delegate_durably: bool,
    /// Seconds to poll for the result of a durable delegation.
    pub durable_budget_secs: u32,
    /// Seconds of waiting that the instructions recommend, 0 to 60.
    pub poll_timeout_secs: u32,
    /// What the agent may do.
    pub permissions: Permissions,
    /// Directories below which the agent may send files; canonical paths.
    pub attach_roots: Vec<PathBuf>,
}

/// What other workspaces see of this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCard {
    /// Its name.
    pub name: String,
    /// What it is for, if the operator said so.
    pub description: Option<String>,
    /// Names of skills, in the operator's order.
    pub skills: Vec<String>,
}
