//! `list_peers`: who can be delegated to.

use std::{fmt::Write, rc::Rc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Facts, Failure, Spec, Tool, advice::advice};
use crate::{
    dialogue::Host,
    platform::{
        PlatformError,
        peers::{self, PeerRow},
    },
    world::World,
};

pub(super) struct ListPeers;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Arguments {}

/// The workspaces that can be delegated to.
#[derive(Serialize, JsonSchema)]
pub(super) struct PeerList {
    peers: Vec<Peer>,
}

#[derive(Serialize, JsonSchema)]
struct Peer {
    /// What delegate_task takes as workspace_id.
    id: String,
    name: String,
    /// As the platform last saw it, such as online or awaiting_agent.
    status: String,
    /// Empty if it has none.
    role: String,
}

impl Tool for ListPeers {
    const SPEC: Spec = Spec {
        name: "list_peers",
        title: "List peer workspaces",
        description: "Lists the peer workspaces (other agents, teammates) that this agent can reach: name, id, \
                      status and role of each. Call it first when you do not know the workspace_id to delegate \
                      to. Access control limits the list to siblings, parent and direct children.",
        read_only: true,
        idempotent: true,
        always_load: false,
        inbox: false,
        action: None,
    };

    type Arguments = Arguments;
    type Facts = PeerList;

    async fn run(host: Host, world: Rc<World>, _arguments: Arguments) -> Result<PeerList, Failure> {
        let workspace = world.primary();
        let rows = peers::list(&host, workspace, world.id(workspace))
            .await
            .map_err(|why| Failure::new(format!("No peers found. {}", diagnosis(&world, &why))))?;
        let mut known = world.peers.borrow_mut();
        for row in &rows {
            known.saw(&row.id, &row.name, &row.status, host.now());
            known.plays(&row.id, &row.role);
        }
        Ok(PeerList { peers: rows.into_iter().map(Peer::from).collect() })
    }
}

impl From<PeerRow> for Peer {
    fn from(row: PeerRow) -> Self {
        let name = if row.name.is_empty() { row.id.chars().take(8).collect() } else { row.name };
        Self { id: row.id, name, status: row.status, role: row.role }
    }
}

impl Facts for PeerList {
    fn text(&self, _world: &World) -> String {
        if self.peers.is_empty() {
            return "You have no peers: the platform knows no parent, child or sibling of this workspace. Do the \
                    work yourself, or ask the user to add a teammate on the canvas."
                .to_owned();
        }
        let mut text = String::new();
        for Peer { id, name, status, role } in &self.peers {
            let line_break = if text.is_empty() { "" } else { "\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{line_break}- {name} (ID: {id}, status: {status}, role: {role})");
        }
        text
    }
}

/// What went wrong, and what helps.
fn diagnosis(world: &World, why: &PlatformError) -> String {
    let platform = world.workspace(world.primary()).map_or("", |settings| &settings.platform);
    if why.is_in_front() {
        return format!("Unexpected answer from {platform}: {why}. {}", advice(why));
    }
    match why {
        PlatformError::Unreachable { reason, .. } => {
            format!("Cannot reach platform at {platform}: {reason}. {}", advice(why))
        }
        PlatformError::Status { status: status @ 401, .. } => format!(
            "Authentication to platform failed (HTTP {status}): the token may be invalid. Ask the operator for a \
             new one from the canvas, Tokens tab, and to restart this server."
        ),
        PlatformError::Status { status: 404, .. } => {
            "This workspace id is not registered (HTTP 404). Ask the operator to check WORKSPACE_ID and restart \
             this server, which registers again."
                .to_owned()
        }
        PlatformError::Status { status: status @ 500.., .. } => {
            format!("Platform error: HTTP {status}. Try again in a minute.")
        }
        PlatformError::Status { .. }
        | PlatformError::Shape(_)
        | PlatformError::Overflowed
        | PlatformError::Refused(_) => format!("Unexpected response of the platform: {why}. {}", advice(why)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{Call, OWN, world};
    use crate::platform::tests::responded;

    #[test]
    fn peers_are_listed_one_a_line_with_clean_names() {
        let world = world();
        let mut call = Call::open(&world, "list_peers", &json!({}));
        assert_eq!(call.request().path, ["registry", OWN, "peers"]);
        assert!(call.request().identify);

        call.then(
            responded(
                200,
                &json!([
                    {"id": "p1", "name": "Research\nteam", "status": "online", "role": null},
                    {"name": "no id"},
                    {"id": "p2"},
                ]),
            ),
            5,
        );

        assert_eq!(
            call.text(),
            "- Research team (ID: p1, status: online, role: )\n- p2 (ID: p2, status: unknown, role: )"
        );
        assert_eq!(world.peers.borrow().name("p1"), "Research team");
    }

    #[test]
    fn nobody_there_is_not_an_error() {
        let mut call = Call::open(&world(), "list_peers", &json!({}));
        call.then(responded(200, &json!([])), 5);

        assert!(call.text().starts_with("You have no peers"));
        assert!(!call.answer().is_error);
    }

    #[test]
    fn a_refused_token_is_said_to_be_one() {
        let mut call = Call::open(&world(), "list_peers", &json!({}));
        call.then(responded(401, &json!({"error": "invalid workspace auth token"})), 5);

        assert!(call.text().starts_with("No peers found. Authentication to platform failed (HTTP 401)"));
        assert!(call.answer().is_error);
    }
}
