//! Removing workspaces.

use serde_json::json;
use uuid::Uuid;

use crate::call::Call;
use crate::http::{Answer, Response};
use crate::model::Status;
use crate::platform::Platform;
use crate::switches::Level;
use crate::workspaces::{not_found, workspace_id};

impl Platform {
    /// Removes a workspace and everything below it; with `purge` for good.
    pub(crate) fn delete_workspace(&mut self, call: &Call, id: &str) -> Answer {
        self.admin_gate(call)?;
        let id = workspace_id(id)?;
        let below = self.workspaces.descendants(id);
        if self.level >= Level::Newest {
            self.check_confirmed(call, id, below.len())?;
        }
        if !below.is_empty() && call.query("confirm") != Some("true") {
            return Err(self.unconfirmed(id));
        }
        let cascade = below.len();
        let purge = call.query("purge") == Some("true");
        for gone in below.into_iter().chain([id]) {
            self.remove(gone, call);
            if purge {
                self.purge(gone);
            }
        }
        self.emit(id, "WORKSPACE_REMOVED", json!({ "cascade_deleted": cascade }), call.now);
        let cascade = if purge && self.level >= Level::Newest { 0 } else { cascade };
        let status = if purge { "purged" } else { "removed" };
        Ok(Response::json(200, json!({ "cascade_deleted": cascade, "status": status })))
    }

    /// Whoever deletes a workspace at the newest level has to say its name.
    fn check_confirmed(&self, call: &Call, id: Uuid, below: usize) -> Result<(), Response> {
        let workspace = self.workspaces.get(id).ok_or_else(not_found)?;
        if workspace.is_removed() {
            return Err(Response::json(410, json!({ "error": "workspace removed", "id": id.to_string() })));
        }
        if call.header("X-Confirm-Name") == Some(workspace.name.trim()) {
            return Ok(());
        }
        let name = &workspace.name;
        let body = json!({
            "active_tasks": workspace.beat.active_tasks,
            "child_count": below,
            "error": "destructive_action_requires_confirmation",
            "hint": format!("Re-send the same request with header X-Confirm-Name: {name}"),
            "schedule_count": 0,
            "workspace_name": name,
        });
        Err(Response::json(400, body))
    }

    fn unconfirmed(&self, id: Uuid) -> Response {
        let present = self.workspaces.present();
        let children = present.iter().filter(|child| child.parent == Some(id));
        let children: Vec<_> =
            children.map(|child| json!({ "id": child.id.to_string(), "name": child.name })).collect();
        let body = json!({
            "children_count": children.len(),
            "children": children,
            "message": "This workspace has sub-workspaces. Delete with ?confirm=true to cascade delete.",
            "status": "confirmation_required",
        });
        Response::json(409, body)
    }

    fn remove(&mut self, id: Uuid, call: &Call) {
        self.tokens.revoke_all(id);
        if let Some(workspace) = self.workspaces.get_mut(id).filter(|workspace| !workspace.is_removed()) {
            workspace.status = Status::Removed;
            workspace.removed_at = Some(call.now);
        }
    }

    fn purge(&mut self, id: Uuid) {
        self.workspaces.purge(id);
        self.tokens.purge(id);
        self.activity.purge(id);
        self.memories.purge(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::testing::Stage;

    #[test]
    fn at_the_newest_level_whoever_deletes_says_the_name() {
        let mut stage = Stage::new(Level::Newest);
        let token = stage.own.token.clone();
        let delete = Request::new("DELETE", &format!("/workspaces/{}", stage.peer.id)).bearer(&token);

        let refused = stage.answer(&delete);
        assert_eq!((refused.status, refused.body_json()["workspace_name"].clone()), (400, json!("peer")));
        assert_eq!(stage.answer(&delete.clone().header("X-Confirm-Name", "Peer")).status, 400);
        assert_eq!(stage.answer(&delete.clone().header("X-Confirm-Name", "peer")).status, 200);

        assert_eq!(stage.answer(&delete).status, 410);
        let unknown = Request::new("DELETE", &format!("/workspaces/{}", Uuid::from_u128(1))).bearer(&token);
        assert_eq!(stage.answer(&unknown).status, 404);
    }
}
