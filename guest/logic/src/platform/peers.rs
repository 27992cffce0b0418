//! Who is reachable.

use serde::Deserialize;
use serde_json::Value;

use super::{Limits, MIB, PlatformError, READ, get, read, rows};
use crate::{dialogue::Host, untrusted, wire::Workspace};

/// A workspace that may be talked to, cleaned for showing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PeerRow {
    pub(crate) id: String,
    /// One line of at most 64 characters; may be empty.
    pub(crate) name: String,
    /// `unknown` where the platform tells none.
    pub(crate) status: String,
    /// Empty where the platform tells none.
    pub(crate) role: String,
}

/// Siblings, children and parent of `id`, in the platform's order. Rows without an id are left out.
pub(crate) async fn list(host: &Host, workspace: Workspace, id: &str) -> Result<Vec<PeerRow>, PlatformError> {
    let mut request = get(workspace, ["registry", id, "peers"]);
    request.identify = true;
    request.limits = Limits { body_bytes: 2 * MIB, ..READ };
    let response = host.send(request).await?;
    Ok(rows(read(&response)?)?.into_iter().filter_map(peer_row).collect())
}

fn peer_row(row: Value) -> Option<PeerRow> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
        #[serde(default)]
        name: Value,
        #[serde(default)]
        status: Value,
        #[serde(default)]
        role: Value,
    }
    let row: Row = serde_json::from_value(row).ok()?;
    let line = |value: &Value| untrusted::name(value.as_str().unwrap_or_default());
    let status = line(&row.status);
    Some(PeerRow {
        id: untrusted::name(&row.id),
        name: line(&row.name),
        status: if status.is_empty() { "unknown".to_owned() } else { status },
        role: line(&row.role),
    })
}
