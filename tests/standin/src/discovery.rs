//! Who is there, and who may talk to whom.

use serde_json::{Value, json};

use crate::call::Call;
use crate::gates::unavailable;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::Malformed;
use crate::model::{Status, Workspace};
use crate::platform::Platform;
use crate::registry::URL_CACHE;
use crate::switches::Level;
use crate::url_safety::{self, Allowed};
use crate::workspaces::not_found;

impl Platform {
    pub(crate) fn check_access(&self, call: &Call) -> Answer {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let caller = fields.required("caller_id").map_err(bad_body)?;
        let target = fields.required("target_id").map_err(bad_body)?;
        Ok(Response::json(200, json!({ "allowed": self.workspaces.may_talk(caller, target) })))
    }

    /// An access check and a name lookup; the URL is not meant to be dialled.
    pub(crate) fn discover(&mut self, call: &Call, target: &str) -> Answer {
        let caller =
            call.caller().ok_or_else(|| Response::error(400, "X-Workspace-ID header is required"))?;
        self.discovery_gate(call, caller)?;
        if !self.workspaces.may_talk(caller, target) {
            return Err(Response::error(403, "not authorized to discover this workspace"));
        }
        let dispatchable = self.dispatch_urls();
        let id = self.workspaces.find(target).ok_or_else(not_found)?.id;
        let level = self.level;
        let workspace = self.workspaces.get_mut(id).ok_or_else(not_found)?;
        let url = discovered_url(workspace, call, dispatchable, level)?;
        Ok(Response::json(200, json!({ "id": id.to_string(), "name": workspace.name, "url": url })))
    }

    /// What a message may be dispatched to. Development mode is enough to reach the own machine.
    pub(crate) fn dispatch_urls(&self) -> Allowed {
        let local = self.switches.push_loopback || self.switches.dev_mode;
        Allowed { localhost_name: false, loopback: local, private: local || self.switches.org_id.is_some() }
    }

    /// Siblings, then children, then the parent.
    pub(crate) fn peers(&mut self, call: &Call, id: &str) -> Answer {
        self.discovery_gate(call, id)?;
        let id = database_uuid(id).ok_or_else(|| match self.level {
            Level::Baseline | Level::Later => Response::error(500, "lookup failed"),
            Level::Newest => unavailable(),
        })?;
        let own = self.workspaces.get(id).ok_or_else(not_found)?;
        let present = self.workspaces.present();
        let siblings =
            present.iter().filter(|other| self.workspaces.are_siblings(own, other) && other.id != id);
        let children = present.iter().filter(|other| other.parent == Some(id));
        let parent = present.iter().filter(|other| Some(other.id) == own.parent);
        let mut peers: Vec<_> = siblings.chain(children).chain(parent).collect();
        if let Some(wanted) = call.query("q").map(str::trim).filter(|wanted| !wanted.is_empty()) {
            if self.level == Level::Baseline && peers.iter().any(|peer| peer.role.is_none()) {
                return Err(Response::empty(500));
            }
            peers.retain(|peer| matches_query(peer, &wanted.to_lowercase()));
        }
        Ok(Response::json(200, peers.into_iter().map(|peer| peer_json(peer)).collect()))
    }
}

fn discovered_url(
    workspace: &mut Workspace,
    call: &Call,
    dispatchable: Allowed,
    level: Level,
) -> Result<String, Response> {
    if let Some(url) = workspace.url.clone().filter(|_| workspace.runtime == "external") {
        let safe = url_safety::check(&url, dispatchable);
        return safe.map(|()| url).map_err(|_| Response::error(503, "workspace URL failed safety check"));
    }
    if let Some((url, _)) = workspace.cached_url.clone().filter(|(_, until)| *until > call.now) {
        return Ok(url);
    }
    if !matches!(workspace.status, Status::Online | Status::Degraded) {
        let body = json!({ "error": "workspace not available", "status": workspace.status.as_str() });
        return Err(Response::json(503, body));
    }
    let id = workspace.id.to_string();
    let shown = if level < Level::Newest { id.get(..12).unwrap_or_default() } else { &id };
    let url = format!("http://ws-{shown}:8000");
    workspace.cached_url = Some((url.clone(), call.now.plus(URL_CACHE)));
    Ok(url)
}

fn matches_query(peer: &Workspace, wanted: &str) -> bool {
    let role = peer.role.as_deref().unwrap_or_default();
    [peer.name.as_str(), role].iter().any(|text| text.to_lowercase().contains(wanted))
}

fn peer_json(peer: &Workspace) -> Value {
    json!({
        "active_tasks": peer.beat.active_tasks,
        "agent_card": peer.agent_card,
        "id": peer.id.to_string(),
        "name": peer.name,
        "parent_id": peer.parent.map(|id| id.to_string()),
        "role": peer.role,
        "status": peer.status.as_str(),
        "tier": peer.tier,
        "url": peer.url.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::testing::Stage;

    #[test]
    fn at_the_newest_level_two_roots_do_not_know_each_other() {
        for (level, allowed) in [(Level::Later, true), (Level::Newest, false)] {
            let mut stage = Stage::new(level);
            stage.platform.alter(stage.peer.id, |peer| peer.parent = None);
            let (own, peer) = (stage.own.clone(), stage.peer.id.to_string());
            let names = json!({ "caller_id": own.id.to_string(), "target_id": peer });
            let check = Request::new("POST", "/registry/check-access").json(&names);

            assert_eq!(stage.answer(&check).body_json(), json!({ "allowed": allowed }), "{level:?}");

            let peers = Request::new("GET", &format!("/registry/{}/peers", own.id)).bearer(&own.token);
            let peers = stage.answer(&peers).body_json();
            assert_eq!(peers.as_array().map(Vec::len), Some(usize::from(allowed)), "{level:?}");
        }
    }

    #[test]
    fn at_the_newest_level_the_only_root_becomes_the_parent() {
        let mut stage = Stage::new(Level::Newest);
        let parent = |stage: &Stage, id| stage.platform.workspace(id).and_then(|found| found.parent);
        assert_eq!(parent(&stage, stage.peer.id), Some(stage.own.id));

        stage.platform.alter(stage.peer.id, |peer| peer.parent = None);
        let third = stage.platform.poll_peer("third").id;

        assert_eq!(parent(&stage, third), None, "there are two roots");
    }
}
