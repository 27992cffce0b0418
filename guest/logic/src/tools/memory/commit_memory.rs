//! `commit_memory`: facts for later sessions.

use std::rc::Rc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    dialogue::Host,
    permissions::{self, Action},
    platform::{
        PlatformError,
        memory::{self, MemoryError, Scope},
    },
    text::redact,
    tools::kit::{Facts, Failure, Selector, Spec, Text, Tool, advice, may_have_happened},
    wire::Permissions,
    world::World,
};

/// Longer texts are files, not facts, and cannot be found by search.
const CONTENT_BYTES: usize = 256 << 10;

pub(in crate::tools) struct CommitMemory;

#[derive(Deserialize, JsonSchema)]
pub(in crate::tools) struct Arguments {
    /// The fact, decision or summary to save, in words that a later search would use.
    content: Text,
    /// Who can recall it: LOCAL only this workspace (the default), TEAM also its parent and siblings,
    /// GLOBAL the whole organisation (tier 0 only).
    #[serde(default)]
    #[schemars(extend("enum" = ["LOCAL", "TEAM", "GLOBAL"]))]
    scope: Text,
    /// Only with several workspaces: the one whose memory this is. The primary one if left out.
    #[serde(default)]
    source_workspace_id: Selector,
}

/// A memory that was saved.
#[derive(Serialize, JsonSchema)]
pub(in crate::tools) struct Saved {
    success: bool,
    /// The id of the memory, or null where the platform tells none.
    id: Value,
    /// LOCAL, TEAM or GLOBAL.
    scope: &'static str,
    /// Present and true if a credential in the content was replaced by [REDACTED].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    redacted: bool,
}

impl Tool for CommitMemory {
    const SPEC: Spec = Spec {
        name: "commit_memory",
        title: "Save to memory",
        description: "Saves a fact to persistent memory: it is remembered across sessions and restarts, and found by \
                      recall_memory. Save decisions, facts, preferences and summaries as soon as you have them. \
                      Scopes: LOCAL is private to this workspace (default), TEAM is shared with the parent and the \
                      siblings, GLOBAL with the whole organisation and only for tier 0. Do not save credentials: \
                      keys and tokens are blanked, and so are runs of more than 32 letters and digits, such as \
                      full commit hashes.",
        read_only: false,
        idempotent: false,
        always_load: false,
        inbox: false,
        action: Some(Action::WriteMemory),
    };

    type Arguments = Arguments;
    type Facts = Saved;

    async fn run(host: Host, world: Rc<World>, arguments: Arguments) -> Result<Saved, Failure> {
        let Arguments { content, scope, source_workspace_id } = arguments;
        if content.is_blank() {
            return Err(Failure::new("Error: content is required"));
        }
        if content.0.len() > CONTENT_BYTES {
            return Err(Failure::new(format!(
                "Error: the content is too long: a memory holds at most {} KiB. Save a summary, and the rest as a \
                 file.",
                CONTENT_BYTES >> 10
            )));
        }
        let clean = redact::memory(&content.0);
        let scope = Scope::parse(&scope.0).unwrap_or(Scope::Local);
        permitted(&world.settings.permissions, scope)?;
        let workspace = source_workspace_id.or_primary(&world)?;
        let id = memory::save(&host, workspace, world.id(workspace), &clean, scope)
            .await
            .map_err(|why| not_saved(&why))?;
        Ok(Saved { success: true, id, scope: scope.name(), redacted: clean != content.0 })
    }
}

impl Facts for Saved {
    fn text(&self, _world: &World) -> String {
        json!(self).to_string()
    }
}

fn permitted(permissions: &Permissions, scope: Scope) -> Result<(), Failure> {
    if scope == Scope::Global && !permissions::is_root(permissions) {
        return Err(Failure::new(format!(
            "Error: RBAC: only the root of the organisation (tier 0) may write GLOBAL memory, and this workspace is \
             tier {}. Nothing was saved; use LOCAL or TEAM.",
            permissions.tier
        )));
    }
    Ok(())
}

fn not_saved(why: &MemoryError) -> Failure {
    const CHECK: &str = "Whether it was saved is unknown: see with recall_memory before you save it again.";
    let why = match why {
        MemoryError::SwitchedOff => {
            return Failure::new(
                "Error: memory is switched off on this server (memory plugin is not configured). Nothing was saved, \
                 and trying again will not help: keep what matters in a file, or tell the user.",
            );
        }
        // Saving expects no list.
        MemoryError::NoList(other) => return Failure::new(format!("Error saving memory: {other}. {CHECK}")),
        MemoryError::Failed(why) => why,
    };
    Failure::new(match why {
        PlatformError::Status { said, .. } if said.contains("root workspaces") => {
            format!("Error: {said}. Nothing was saved; use LOCAL or TEAM.")
        }
        why if may_have_happened(why) => format!("Error saving memory: {why}. {CHECK}"),
        PlatformError::Status { said, .. } if !said.is_empty() => {
            format!("Error: {said}. Nothing was saved. {}", advice(why))
        }
        PlatformError::Status { .. } => format!("Error: {why}. Nothing was saved. {}", advice(why)),
        PlatformError::Overflowed
        | PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Unreachable { .. } => {
            format!("Error saving memory: {why}. Nothing was saved. {}", advice(why))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::{Value, json};

    use crate::{
        platform::tests::{page, responded, unreachable},
        testing::{Call, OWN, assert_says, settings, world},
        wire::{Outcome, Permissions, Settings},
        world::World,
    };

    #[test]
    fn its_description_says_what_agents_rely_on() {
        assert_says(
            "commit_memory",
            &["sessions", "restarts", "LOCAL", "TEAM", "siblings", "GLOBAL", "tier 0", "decisions"],
            &[("scope", "LOCAL")],
        );
    }

    #[test]
    fn a_fact_is_saved_in_its_scope() {
        for (given, scope) in [
            (json!(null), "LOCAL"),
            (json!("team"), "TEAM"),
            (json!(" Local "), "LOCAL"),
            (json!("mine"), "LOCAL"),
        ] {
            let mut call = open(&json!({"content": "a fact", "scope": given}));
            assert_eq!(call.request().path, ["workspaces", OWN, "memories"]);
            assert_eq!(call.body(), json!({"content": "a fact", "scope": scope, "workspace_id": OWN}));

            call.then(responded(201, &json!({"id": "m1", "scope": scope, "namespace": "general"})), 5);

            assert_eq!(json_of(&call), json!({"success": true, "id": "m1", "scope": scope}));
        }
    }

    #[test]
    fn a_platform_that_tells_no_id_has_saved_it_all_the_same() {
        let mut call = open(&json!({"content": "a fact"}));
        call.then(responded(200, &json!({})), 5);

        assert_eq!(json_of(&call), json!({"success": true, "id": null, "scope": "LOCAL"}));
    }

    #[test]
    fn a_credential_does_not_leave_and_its_loss_is_told() {
        let key = format!("sk-{}", "a1".repeat(15));
        let mut call = open(&json!({"content": format!("the key is {key}\0")}));
        assert_eq!(call.body()["content"], "the key is [REDACTED]");

        call.then(responded(201, &json!({"id": "m1"})), 5);

        assert_eq!(json_of(&call)["redacted"], true);
    }

    #[test]
    fn content_is_required_and_limited() {
        for arguments in [json!({}), json!({"content": " \n"}), json!({"content": null})] {
            assert_eq!(open(&arguments).text(), "Error: content is required");
        }
        assert_eq!(open(&json!({"content": "x".repeat(256 << 10)})).body()["scope"], "LOCAL");
        let call = open(&json!({"content": "x".repeat((256 << 10) + 1)}));
        assert!(call.text().starts_with("Error: the content is too long"), "{}", call.text());
    }

    #[test]
    fn without_permission_nothing_is_asked_of_the_platform() {
        for scope in ["LOCAL", "TEAM", "GLOBAL"] {
            let call = open_as(&["read-only"], 0, scope);
            assert!(call.text().contains("RBAC") && call.text().contains("memory.write"), "{}", call.text());
            assert!(call.answer().is_error);
        }
    }

    #[test]
    fn only_the_root_writes_for_everybody() {
        let call = open_as(&["operator"], 1, "global");
        for word in ["RBAC", "GLOBAL", "tier 0", "LOCAL or TEAM"] {
            assert!(call.text().contains(word), "{}", call.text());
        }

        assert_eq!(open_as(&["operator"], 0, "global").body()["scope"], "GLOBAL");
    }

    #[test]
    fn a_refusal_is_told_with_the_next_step() {
        for (outcome, text) in [
            (
                responded(403, &json!({"error": "only root workspaces can write GLOBAL memories"})),
                "Error: only root workspaces can write GLOBAL memories. Nothing was saved; use LOCAL or TEAM.",
            ),
            (
                responded(500, &json!({"error": "failed to store memory"})),
                "Error: failed to store memory. Nothing was saved. Try again in a minute.",
            ),
            (
                responded(503, &json!({"error": "busy"})),
                "Error: busy. Nothing was saved. Try again in a minute.",
            ),
        ] {
            let mut call = open(&json!({"content": "a fact"}));
            call.then(outcome, 5);
            assert_eq!(call.text(), text);
            assert!(call.answer().is_error);
        }
    }

    #[test]
    fn a_server_without_memory_is_not_tried_again() {
        let mut call = open(&json!({"content": "a fact"}));
        call.then(
            responded(503, &json!({"error": "memory plugin is not configured (set MEMORY_PLUGIN_URL)"})),
            5,
        );

        assert!(call.text().starts_with("Error: memory is switched off on this server"), "{}", call.text());
    }

    #[test]
    fn after_a_lost_answer_it_is_not_saved_again() {
        for outcome in [unreachable(true), page(), responded(201, &json!("saved"))] {
            let mut call = open(&json!({"content": "a fact"}));
            call.then(outcome, 5);
            assert!(call.text().starts_with("Error saving memory: "), "{}", call.text());
            assert!(call.text().contains("unknown: see with recall_memory"), "{}", call.text());
        }
    }

    #[test]
    fn what_surely_did_not_leave_is_sent_once_more() {
        let mut call = open(&json!({"content": "a fact"}));
        call.then(unreachable(false), 5).then(Outcome::Rested, 1_005);
        assert_eq!(call.body()["content"], "a fact");

        call.then(responded(201, &json!({"id": "m1"})), 1_010);

        assert_eq!(json_of(&call)["success"], true);
    }

    fn open(arguments: &Value) -> Call {
        Call::open(&world(), "commit_memory", arguments)
    }

    fn open_as(roles: &[&str], tier: u32, scope: &str) -> Call {
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let permissions = Permissions { roles, allowed_actions: Vec::new(), tier };
        let world = Rc::new(World::new(Settings { permissions, ..settings() }));
        Call::open(&world, "commit_memory", &json!({"content": "a fact", "scope": scope}))
    }

    fn json_of(call: &Call) -> Value {
        serde_json::from_str(call.text()).unwrap()
    }
}
