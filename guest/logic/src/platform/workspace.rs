//! What the platform knows of one workspace.

use serde_json::{Map, Value};

use super::{PlatformError, get, read};
use crate::{dialogue::Host, wire::Workspace};

/// A workspace as the platform tells of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// Every field that this platform has for it. Older platforms keep a deleted workspace here,
    /// with the status `removed`.
    Kept(Map<String, Value>),
    /// It was deleted.
    Removed(Removal),
}

/// What is left of a deleted workspace; each field may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Removal {
    pub(crate) id: Option<String>,
    /// RFC 3339.
    pub(crate) removed_at: Option<String>,
    /// The platform's advice.
    pub(crate) hint: Option<String>,
}

/// Looks a workspace up. Needs no token, so it also tells a deleted workspace from a refused token.
pub(crate) async fn record(host: &Host, workspace: Workspace, id: &str) -> Result<Record, PlatformError> {
    let response = host.send(get(workspace, ["workspaces", id])).await?;
    if response.status == 410 {
        return Ok(Record::Removed(removal(&response.body)));
    }
    read(&response).map(Record::Kept)
}

/// Anything that cannot be read is simply missing: the status alone says that it was deleted.
fn removal(body: &[u8]) -> Removal {
    let told: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| told.get(key).and_then(Value::as_str).map(str::to_owned);
    Removal { id: text("id"), removed_at: text("removed_at"), hint: text("hint") }
}
