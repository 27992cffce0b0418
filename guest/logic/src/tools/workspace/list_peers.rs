//! `list_peers`: who can be delegated to.

use std::{fmt::Write, rc::Rc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    dialogue::Host,
    platform::{
        PlatformError,
        peers::{self, PeerRow},
    },
    tools::kit::{Facts, Failure, MOST_ASKED, Selector, Spec, Tool, advice},
    wire::Workspace,
    world::World,
};

pub(in crate::tools) struct ListPeers;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// Only with several workspaces: the one whose peers are listed. If left out, those of all.
    #[serde(default)]
    source_workspace_id: Selector,
}

/// The workspaces that can be delegated to.
#[derive(Default, Serialize, JsonSchema)]
pub(in crate::tools) struct PeerList {
    peers: Vec<Peer>,
    /// The workspaces whose peers are not known, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<Unlisted>>")]
    unlisted: Vec<Unlisted>,
    /// How many workspaces were not asked.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(with = "Option<usize>")]
    not_asked: usize,
}

/// A workspace whose peers are not known.
#[derive(Serialize, JsonSchema)]
struct Unlisted {
    /// The first 8 characters of its id.
    source: String,
    why: String,
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
    /// With several workspaces: the first 8 characters of the id of the one that has it as a peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<String>,
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

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<PeerList, Failure> {
        let named = arguments.source_workspace_id.named(&world)?;
        let list = match named {
            None if world.acts_for_several() => of_all(&host, &world).await,
            named => {
                let workspace = named.unwrap_or_else(|| world.primary());
                let mut list = PeerList::default();
                list.add(ask(&host, &world, workspace).await, None);
                list
            }
        };
        if list.peers.is_empty() && !list.unlisted.is_empty() {
            return Err(Failure::new(format!("No peers found. {}", list.unlisted_in_words())));
        }
        Ok(list)
    }
}

/// The peers of all workspaces, each with the one that has it as a peer.
async fn of_all(host: &Host, world: &World) -> PeerList {
    let not_asked = world.workspaces().skip(MOST_ASKED).count();
    let mut list = PeerList { not_asked, ..PeerList::default() };
    for workspace in world.workspaces().take(MOST_ASKED) {
        let asked = match world.refusal(workspace) {
            Some(why) => Err(why),
            None => ask(host, world, workspace).await,
        };
        list.add(asked, Some(world.tag(workspace)));
    }
    list
}

/// Asks for the peers of a workspace, and remembers them.
///
/// The error says what helps.
async fn ask(host: &Host, world: &World, workspace: Workspace) -> Result<Vec<PeerRow>, String> {
    let listed = peers::list(host, workspace, world.id(workspace)).await;
    let rows = listed.map_err(|why| diagnosis(world, workspace, &why))?;
    let mut known = world.peers.borrow_mut();
    for row in &rows {
        known.saw(&row.id, &row.name, &row.status, host.now());
        known.plays(&row.id, &row.role);
        known.listed(&row.id, workspace, host.now());
    }
    Ok(rows)
}

impl Peer {
    fn new(row: PeerRow, via: Option<String>) -> Self {
        let name = if row.name.is_empty() { row.id.chars().take(8).collect() } else { row.name };
        Self { id: row.id, name, status: row.status, role: row.role, via }
    }
}

impl PeerList {
    /// Adds what a workspace was told; `via` is its tag, where there are several.
    fn add(&mut self, asked: Result<Vec<PeerRow>, String>, via: Option<String>) {
        match asked {
            Ok(rows) => self.peers.extend(rows.into_iter().map(|row| Peer::new(row, via.clone()))),
            Err(why) => self.unlisted.push(Unlisted { source: via.unwrap_or_default(), why }),
        }
    }

    /// Whose peers are not known, and why.
    fn unlisted_in_words(&self) -> String {
        let each = self.unlisted.iter().map(|Unlisted { source, why }| match source.as_str() {
            "" => why.clone(),
            source => format!("[{source}] {why}"),
        });
        each.collect::<Vec<_>>().join("; ")
    }
}

const fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Facts for PeerList {
    fn text(&self, _world: &World) -> String {
        if self.peers.is_empty() {
            return "You have no peers: the platform knows no parent, child or sibling of this workspace. Do the \
                    work yourself, or ask the user to add a teammate on the canvas."
                .to_owned();
        }
        let mut text = String::new();
        for Peer { id, name, status, role, via } in &self.peers {
            let line_break = if text.is_empty() { "" } else { "\n" };
            let via = via.as_ref().map(|source| format!(", via: {source}")).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(text, "{line_break}- {name} (ID: {id}, status: {status}, role: {role}{via})");
        }
        if !self.unlisted.is_empty() {
            let _ = write!(text, "\nPeers of other workspaces are not known: {}", self.unlisted_in_words());
        }
        if self.not_asked > 0 {
            let _ = write!(
                text,
                "\n{} more workspaces were not asked: name one as source_workspace_id to see its peers.",
                self.not_asked
            );
        }
        text
    }
}

/// What went wrong, and what helps.
fn diagnosis(world: &World, workspace: Workspace, why: &PlatformError) -> String {
    let platform = world.workspace(workspace).map_or("", |settings| &settings.platform);
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

    use crate::{
        platform::tests::responded,
        testing::{Call, OWN, assert_says, world},
    };

    #[test]
    fn its_description_says_what_agents_rely_on() {
        assert_says("list_peers", &["name", "id", "status", "role", "siblings", "parent", "children"], &[]);
    }

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
