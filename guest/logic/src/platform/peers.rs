//! Who is reachable.

use serde::de::MapAccess;

use super::{Limits, MIB, PlatformError, READ, get, list_of};
use crate::{
    dialogue::Host,
    text::{
        lenient_json::{self, Field, Shape},
        untrusted,
    },
    wire::Workspace,
};

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
    let rows: Vec<Option<Row>> = list_of(&host.send(request).await?, lenient_json::object)?;
    Ok(rows.into_iter().flatten().filter_map(PeerRow::of).collect())
}

impl PeerRow {
    fn of(row: Row) -> Option<Self> {
        if row.id.is_empty() {
            return None;
        }
        let status = untrusted::name(&row.status);
        Some(Self {
            id: untrusted::name(&row.id),
            name: untrusted::name(&row.name),
            status: if status.is_empty() { "unknown".to_owned() } else { status },
            role: untrusted::name(&row.role),
        })
    }
}

/// As much of a row as is shown: most of it is the agent's card.
#[derive(Default)]
struct Row {
    id: String,
    name: String,
    status: String,
    role: String,
}

impl Shape for Row {
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, value: Field<'_, A>) -> Result<(), A::Error> {
        match key {
            "id" => self.id = value.text()?,
            "name" => self.name = value.text()?,
            "status" => self.status = value.text()?,
            "role" => self.role = value.text()?,
            _ => value.skip()?,
        }
        Ok(())
    }
}
