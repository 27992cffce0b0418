//! Tools that have peers do something, and what they have in common.

mod check_task_status;
mod delegate_task;
mod delegate_task_async;
mod platform_delegation;

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    dialogue::Host,
    platform::{
        a2a::TooLarge,
        discover::{Found, discover},
        peers,
    },
    tools::kit::{Entry, Failure, Selector, Text, WorkspaceId, entry},
    wire::Workspace,
    world::World,
};

/// In the order in which clients see them.
pub(super) const TOOLS: &[Entry] = &[
    entry::<delegate_task::DelegateTask>(),
    entry::<delegate_task_async::DelegateTaskAsync>(),
    entry::<check_task_status::CheckTaskStatus>(),
];

/// What an agent can do when a peer did not do it.
pub(super) const OPTIONS: &str = "Do one of these, and never pass this text on to the user as it is: (1) delegate to \
                                  another peer (list_peers); (2) do the work yourself; (3) tell the user that this \
                                  peer is unavailable, and give your own best answer.";

/// What is known of a task that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// The peer answered.
    Answered,
    /// The peer is busy, and the platform will try again.
    Queued,
    /// The peer will find it in its inbox.
    Stored,
    /// Nobody can tell.
    Unknown,
}

/// As which workspace to delegate, and to whom. Refused without a request: nobody, nothing to do, what cannot be an
/// id, oneself.
pub(super) fn recipient(
    world: &World,
    selector: &Selector,
    workspace_id: &Text,
    task: &Text,
) -> Result<(Workspace, WorkspaceId), Failure> {
    if workspace_id.is_blank() || task.is_blank() {
        return Err(Failure::new(
            "Error: workspace_id and task are required. Take the workspace_id from list_peers, and say in task what \
             the peer is to do.",
        ));
    }
    let to = WorkspaceId::parse(workspace_id)?;
    let from = selector.or_of_peer(world, to.as_str())?;
    if to.as_str() == world.id(from) {
        return Err(Failure::new(format!(
            "Error: {} is your own workspace. Delegating to yourself would wait for yourself: do the work now, keep \
             notes with commit_memory, or tell the user with send_message_to_user.",
            to.as_str()
        )));
    }
    Ok((from, to))
}

pub(super) fn too_large(why: &TooLarge) -> Failure {
    Failure::new(format!(
        "Error: the task is too large: {why}. Nothing was sent. Shorten it, or split it into several tasks."
    ))
}

/// Makes sure that a peer may be talked to, and learns its name.
///
/// One that is away is no failure here: if it polls, it takes messages all the same. Nor is a
/// platform that cannot say: the message itself will show.
pub(super) async fn look_up(
    host: &Host,
    world: &World,
    from: Workspace,
    to: &WorkspaceId,
) -> Result<String, Failure> {
    let id = to.as_str();
    let (name, status) = match discover(host, from, id).await {
        Found::Nobody => {
            return Err(Failure::new(format!(
                "Error: workspace {id} not found or not accessible (check access control): only parent, children and \
                 siblings can be reached. Nothing was sent. Take the id from list_peers."
            )));
        }
        Found::TokenRefused => {
            return Err(Failure::new(
                "Error: the platform refuses the token of this workspace (HTTP 401). Nothing was sent. Ask the \
                 operator for a new token from the canvas, Tokens tab, and to restart this server.",
            ));
        }
        Found::NotOnline { status } => (String::new(), status.to_ascii_lowercase()),
        Found::Reachable { name, status } => (name, status),
        Found::Unclear => (String::new(), String::new()),
    };
    let mut known = world.peers.borrow_mut();
    let name = match known.of(id) {
        Some(peer) if name.is_empty() => peer.name.clone(),
        Some(_) | None => name,
    };
    if !name.is_empty() || !status.is_empty() {
        known.saw(id, &name, &status, host.now());
    }
    if matches!(status.as_str(), "offline" | "removed") {
        return Err(Failure::new(format!(
            "Error: workspace {id} is {status}. Nothing was sent. Call list_peers for one that is online, or do the \
             work yourself."
        )));
    }
    Ok(known.name(id))
}

/// How a peer was last seen, such as `online`; `unknown` if the platform does not say.
pub(super) async fn presence(host: &Host, world: &World, from: Workspace, to: &WorkspaceId) -> String {
    let status = |world: &World| {
        let known = world.peers.borrow();
        known.of(to.as_str()).map(|peer| peer.status.clone()).filter(|status| !status.is_empty())
    };
    if let Some(status) = status(world) {
        return status;
    }
    for row in peers::list(host, from, world.id(from)).await.unwrap_or_default() {
        let mut peers = world.peers.borrow_mut();
        peers.saw(&row.id, &row.name, &row.status, host.now());
        peers.listed(&row.id, from, host.now());
    }
    status(world).unwrap_or_else(|| "unknown".to_owned())
}
