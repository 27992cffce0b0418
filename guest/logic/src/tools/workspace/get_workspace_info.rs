//! `get_workspace_info`: who this agent is.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    dialogue::Host,
    platform::{
        PlatformError,
        workspace::{self, Record, Removal},
    },
    tools::kit::{Facts, Failure, Selector, Spec, Tool, advice},
    world::World,
};

/// What helps a deleted workspace.
const DELETED: &str = "This workspace was deleted: messages no longer arrive, and the other tools fail. Ask the operator \
                       for a new workspace and token from the canvas, Tokens tab.";

pub(in crate::tools) struct GetWorkspaceInfo;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// Only with several workspaces: the one to show. If left out, the primary one, and the ids of all.
    #[serde(default)]
    source_workspace_id: Selector,
}

/// The platform's record of this workspace.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub(in crate::tools) struct WorkspaceInfo {
    fields: Map<String, Value>,
}

impl Tool for GetWorkspaceInfo {
    const SPEC: Spec = Spec {
        name: "get_workspace_info",
        title: "Show this workspace",
        description: "Shows this agent's own workspace: id, name, role, tier, parent and status, as JSON. Use it to \
                      learn your identity before you report who you are, and whether you may write GLOBAL memory \
                      (tier 0 only).",
        read_only: true,
        idempotent: true,
        always_load: false,
        inbox: false,
        action: None,
    };

    type Arguments = Arguments;
    type Facts = WorkspaceInfo;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<WorkspaceInfo, Failure> {
        let named = arguments.source_workspace_id.named(&world)?;
        let workspace = named.unwrap_or_else(|| world.primary());
        let id = world.id(workspace);
        match workspace::record(&host, workspace, id).await {
            Ok(Record::Kept(fields)) => {
                let mut fields = with_hint(fields);
                if named.is_none() && world.acts_for_several() {
                    fields.insert("acts_for".to_owned(), all(&world));
                }
                Ok(WorkspaceInfo { fields })
            }
            Ok(Record::Removed(removal)) => Err(removed(removal, id)),
            Err(why) => Err(Failure::new(pretty(&json!({ "error": name(&why), "hint": advice(&why) })))),
        }
    }
}

impl Facts for WorkspaceInfo {
    fn text(&self, _world: &World) -> String {
        pretty(&self.fields)
    }
}

/// All workspaces of this process, each with why the platform does not take its token, if it does not.
fn all(world: &World) -> Value {
    let each = world.workspaces().map(|workspace| {
        let id = world.id(workspace);
        match world.refusal(workspace) {
            Some(why) => json!({ "workspace_id": id, "refused": why }),
            None => json!({ "workspace_id": id }),
        }
    });
    each.collect()
}

/// Some platforms keep deleted workspaces, and the status alone is easily overlooked.
fn with_hint(mut fields: Map<String, Value>) -> Map<String, Value> {
    if fields.get("status").is_some_and(|status| status == "removed") {
        fields.entry("hint").or_insert_with(|| DELETED.into());
    }
    fields
}

fn removed(Removal { id, removed_at, hint }: Removal, own: &str) -> Failure {
    Failure::new(pretty(&json!({
        "error": "removed",
        "id": id.as_deref().unwrap_or(own),
        "removed_at": removed_at,
        "hint": hint.as_deref().unwrap_or(DELETED),
    })))
}

/// What failed, in a few words.
fn name(why: &PlatformError) -> String {
    match why {
        PlatformError::Status { status: 404, .. } => "not found".to_owned(),
        PlatformError::Overflowed
        | PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Status { .. }
        | PlatformError::Unreachable { .. } => why.to_string(),
    }
}

fn pretty<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::{
        platform::tests::{page, responded, unreachable},
        testing::{Call, OWN, assert_says, world},
        wire::Outcome,
    };

    #[test]
    fn its_description_says_what_agents_rely_on() {
        assert_says(
            "get_workspace_info",
            &["id", "name", "role", "tier", "parent", "status", "GLOBAL", "tier 0"],
            &[],
        );
    }

    #[test]
    fn the_record_is_shown_as_the_platform_keeps_it() {
        let record =
            json!({"id": OWN, "name": "ext-1", "role": null, "tier": 3, "status": "online", "new": [1]});

        let call = answered(responded(200, &record));

        assert_eq!(json_of(&call), record);
        assert!(call.text().starts_with("{\n  \"id\": "));
        assert!(!call.answer().is_error);
    }

    #[test]
    fn a_deleted_workspace_that_is_still_kept_is_said_to_be_deleted() {
        let call = answered(responded(200, &json!({"id": OWN, "status": "removed"})));

        assert_eq!(json_of(&call)["status"], "removed");
        assert!(json_of(&call)["hint"].as_str().unwrap().starts_with("This workspace was deleted"));
    }

    #[test]
    fn a_deleted_workspace_is_told_with_the_advice_of_the_platform() {
        let removal = json!({"error": "workspace removed", "id": "w", "removed_at": "2026-05-01T04:55:24.1Z",
                             "hint": "Regenerate it"});
        let told = json_of(&answered(responded(410, &removal)));
        assert_eq!(
            told,
            json!({"error": "removed", "id": "w", "removed_at": "2026-05-01T04:55:24.1Z", "hint": "Regenerate it"})
        );

        let call = answered(responded(410, &json!("gone")));
        let told = json_of(&call);
        assert_eq!(
            (&told["error"], &told["id"], &told["removed_at"]),
            (&json!("removed"), &json!(OWN), &Value::Null)
        );
        assert!(told["hint"].as_str().unwrap().starts_with("This workspace was deleted"));
        assert!(call.answer().is_error);
    }

    #[test]
    fn a_failure_is_json_with_the_next_step() {
        for (outcome, error) in [
            (responded(404, &json!({"error": "workspace not found"})), "not found"),
            (responded(500, &json!({"error": "query failed"})), "HTTP 500: query failed"),
            (unreachable(true), "connection reset"),
            (page(), "HTTP 200, but the body was a web page, not JSON"),
            (responded(200, &json!([])), "HTTP 200, but the body was not JSON"),
        ] {
            let call = answered(outcome);
            let told = json_of(&call);
            assert!(told["error"].as_str().unwrap().starts_with(error), "{told}");
            assert_ne!(told["hint"], "");
            assert!(call.answer().is_error);
        }
    }

    fn answered(outcome: Outcome) -> Call {
        let mut call = Call::open(&world(), "get_workspace_info", &json!({}));
        assert_eq!(call.request().path, ["workspaces", OWN]);
        call.then(outcome, 5);
        call
    }

    fn json_of(call: &Call) -> Value {
        serde_json::from_str(call.text()).unwrap()
    }
}
