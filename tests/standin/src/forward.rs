//! Files of push-mode agents: requests are passed on to the agent, its answers come back verbatim.

use bytes::Bytes;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use crate::call::Call;
use crate::dispatch::{AgentCall, AgentOutcome};
use crate::http::{Headers, Reply, Response};
use crate::model::Mode;
use crate::platform::Platform;
use crate::switches::Level;
use crate::workspaces::{not_found, workspace_id};

const ROOTS: [&str; 4] = ["/configs", "/workspace", "/home", "/plugins"];
const OUTSIDE: &str = "path must be under /configs, /workspace, /home, or /plugins";
const NO_URL_DETAIL: &str = "This workspace registered without a publicly-reachable URL (delivery_mode is not 'push'). \
                             Re-register the workspace with a public URL in push mode to enable chat file download.";

impl Platform {
    pub(crate) fn forward_upload(&mut self, call: &Call, id: Uuid, headers: &Headers) -> Reply {
        let (url, secret) = match self.agent_door(id, call) {
            Ok(door) => door,
            Err(refusal) => return Reply::Answer(refusal),
        };
        let mut agent_headers: Headers =
            [("Authorization", format!("Bearer {secret}"))].into_iter().collect();
        if let Some(content_type) = call.header("Content-Type") {
            agent_headers.push("Content-Type", content_type);
        }
        let call = AgentCall {
            method: "POST",
            url: format!("{url}/internal/chat/uploads/ingest"),
            headers: agent_headers,
            body: call.request.body.clone(),
        };
        Reply::Dispatch(self.forward(call, headers))
    }

    pub(crate) fn download(&mut self, call: &Call, id: &str, headers: &Headers) -> Reply {
        let path = call.query("path").unwrap_or_default();
        let door = workspace_id(id).and_then(|id| {
            check_path(path)?;
            let workspace = self.workspaces.get(id).ok_or_else(not_found)?;
            if self.level >= Level::Later && workspace.delivery_mode == Mode::Poll {
                let error = "workspace has no callback URL — chat download requires push-mode + public URL";
                return Err(Response::json(422, json!({ "detail": NO_URL_DETAIL, "error": error })));
            }
            self.agent_door(id, call)
        });
        let (url, secret) = match door {
            Ok(door) => door,
            Err(refusal) => return Reply::Answer(refusal),
        };
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("path", path).finish();
        let call = AgentCall {
            method: "GET",
            url: format!("{url}/internal/file/read?{query}"),
            headers: [("Authorization", format!("Bearer {secret}"))].into_iter().collect(),
            body: Bytes::new(),
        };
        Reply::Dispatch(self.forward(call, headers))
    }

    /// Where the agent listens, and the secret it knows. One that was just minted it cannot know yet.
    fn agent_door(&mut self, id: Uuid, call: &Call) -> Result<(String, String), Response> {
        let workspace = self.workspaces.get(id).ok_or_else(not_found)?;
        let url =
            workspace.url.clone().ok_or_else(|| Response::error(503, "workspace url not registered yet"))?;
        if let Some(secret) = workspace.inbound_secret.clone() {
            return Ok((url.trim_end_matches('/').to_owned(), secret));
        }
        self.inbound_secret(id, call.now);
        let body = json!({
            "detail": "Inbound secret was just minted. Workspace will pick it up on its next heartbeat.",
            "error": "workspace re-registering — please retry in 30 seconds",
            "retry_after_seconds": 30,
        });
        Err(Response::json(503, body))
    }

    pub(crate) fn relayed(outcome: AgentOutcome) -> Response {
        let AgentOutcome::Answered(reply) = outcome else {
            return Response::error(502, "workspace unreachable");
        };
        let kept = ["Content-Type", "Content-Length", "Content-Disposition"];
        let headers = kept.into_iter().filter_map(|name| Some((name, reply.headers.get(name)?)));
        Response { status: reply.status, headers: headers.collect(), body: reply.body.clone() }
    }
}

fn check_path(path: &str) -> Result<(), Response> {
    let refuse = |error: &str| Err(Response::error(400, error));
    if path.is_empty() {
        return refuse("path query required");
    }
    if !path.starts_with('/') {
        return refuse("path must be absolute");
    }
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !ROOTS.iter().any(|root| below(root)) {
        return refuse(OUTSIDE);
    }
    let unclean = path.ends_with('/') || path.split('/').skip(1).any(|part| ["", ".", ".."].contains(&part));
    if unclean { refuse("invalid path") } else { Ok(()) }
}
