//! What clients see of all tools together: they decide by it, and agents learn from it.

use serde_json::{Value, json};

use super::{specs, tests::world};
use crate::{
    tools::tests::settings,
    wire::{Settings, ToolSpec},
    world::World,
};

/// A tool as every client may expect it.
struct Expected {
    name: &'static str,
    read_only: bool,
    always_load: bool,
    /// Name and type of each argument.
    properties: &'static [(&'static str, &'static str)],
    required: &'static [&'static str],
    /// What its description tells.
    says: &'static [&'static str],
    /// What the descriptions of its arguments tell.
    arguments_say: &'static [(&'static str, &'static str)],
}

const EXPECTED: [Expected; 11] = [
    Expected {
        name: "delegate_task",
        read_only: false,
        always_load: false,
        properties: &[("workspace_id", "string"), ("task", "string")],
        required: &["workspace_id", "task"],
        says: &["wait", "delegate_task_async"],
        arguments_say: &[("workspace_id", "list_peers")],
    },
    Expected {
        name: "delegate_task_async",
        read_only: false,
        always_load: false,
        properties: &[("workspace_id", "string"), ("task", "string"), ("idempotency_key", "string")],
        required: &["workspace_id", "task"],
        says: &["at once", "check_task_status", "task_id", "delegation_id"],
        arguments_say: &[("workspace_id", "list_peers")],
    },
    Expected {
        name: "check_task_status",
        read_only: true,
        always_load: false,
        properties: &[("workspace_id", "string"), ("task_id", "string")],
        required: &["workspace_id", "task_id"],
        says: &["pending", "in_progress", "queued", "completed", "failed"],
        arguments_say: &[("task_id", "delegate_task_async")],
    },
    Expected {
        name: "list_peers",
        read_only: true,
        always_load: false,
        properties: &[],
        required: &[],
        says: &["name", "id", "status", "role", "siblings", "parent", "children"],
        arguments_say: &[],
    },
    Expected {
        name: "get_workspace_info",
        read_only: true,
        always_load: false,
        properties: &[],
        required: &[],
        says: &["id", "name", "role", "tier", "parent", "status", "GLOBAL", "tier 0"],
        arguments_say: &[],
    },
    Expected {
        name: "send_message_to_user",
        read_only: false,
        always_load: true,
        properties: &[("message", "string"), ("attachments", "array")],
        required: &["message"],
        says: &[
            "NEVER paste file URLs",
            "canvas chat",
            "acknowledge",
            "progress",
            "follow-up",
            "attachments",
            "absolute paths",
        ],
        arguments_say: &[
            ("message", "DO NOT paste file URLs"),
            ("message", "SaaS deployments"),
            ("attachments", "REQUIRED for any file delivery"),
            ("attachments", "pasting URLs"),
            ("attachments", "base64-encoding"),
            ("attachments", "telling the user to look at a path"),
            ("attachments", "SaaS deployments"),
            ("attachments", "25 MB per file"),
        ],
    },
    Expected {
        name: "wait_for_message",
        read_only: true,
        always_load: true,
        properties: &[("timeout_secs", "number")],
        required: &[],
        says: &["message", "inbox_pop"],
        arguments_say: &[("timeout_secs", "50"), ("timeout_secs", "280")],
    },
    Expected {
        name: "inbox_peek",
        read_only: true,
        always_load: true,
        properties: &[
            ("limit", "integer"),
            ("activity_id", "string"),
            ("offset", "integer"),
            ("max_chars", "integer"),
        ],
        required: &[],
        says: &["without removing"],
        arguments_say: &[("limit", "10")],
    },
    Expected {
        name: "inbox_pop",
        read_only: false,
        always_load: true,
        properties: &[("activity_id", "string"), ("activity_ids", "array")],
        required: &["activity_id"],
        says: &["activity_id"],
        arguments_say: &[("activity_id", "wait_for_message"), ("activity_id", "inbox_peek")],
    },
    Expected {
        name: "commit_memory",
        read_only: false,
        always_load: false,
        properties: &[("content", "string"), ("scope", "string")],
        required: &["content"],
        says: &["sessions", "restarts", "LOCAL", "TEAM", "siblings", "GLOBAL", "tier 0", "decisions"],
        arguments_say: &[("scope", "LOCAL")],
    },
    Expected {
        name: "recall_memory",
        read_only: true,
        always_load: false,
        properties: &[("query", "string"), ("scope", "string")],
        required: &[],
        says: &["LOCAL", "TEAM", "GLOBAL", "empty query", "start of new work", "mid-session"],
        arguments_say: &[],
    },
];

#[test]
fn the_tools_come_in_their_order() {
    let names: Vec<_> = specs(&world()).into_iter().map(|spec| spec.name).collect();

    assert_eq!(names, EXPECTED.map(|tool| tool.name));
}

#[test]
fn clients_can_decide_by_the_annotations() {
    for (tool, spec) in tools() {
        assert_eq!(spec.read_only, tool.read_only, "{}", tool.name);
        assert!(!spec.destructive, "{}", tool.name);
        assert!(!spec.open_world, "{}", tool.name);
        let meta = tool.always_load.then(|| r#"{"anthropic/alwaysLoad":true}"#.to_owned());
        assert_eq!(spec.meta, meta, "{}", tool.name);
        assert!(spec.idempotent || !tool.read_only, "{}", tool.name);
    }
}

#[test]
fn no_description_is_cut_by_any_client_and_each_says_what_it_must() {
    for (tool, spec) in tools() {
        assert!(!spec.title.is_empty(), "{}", tool.name);
        assert!(spec.description.len() < 2_000, "{}: {}", tool.name, spec.description.len());
        assert!(
            !spec.description.contains(['\n', '\t']) && !spec.description.contains("  "),
            "{}",
            tool.name
        );
        for words in tool.says {
            assert!(spec.description.contains(words), "{} does not say {words}", tool.name);
        }
        let properties = &input(&spec)["properties"];
        for (argument, words) in tool.arguments_say {
            let description = properties[argument]["description"].as_str().unwrap_or_default();
            assert!(description.contains(words), "{}, {argument} does not say {words}", tool.name);
        }
    }
}

#[test]
fn every_schema_of_arguments_is_plain() {
    for (tool, spec) in tools() {
        let schema = input(&spec);
        assert_eq!(schema["type"], "object", "{}", tool.name);
        let required: Vec<_> = tool.required.iter().map(|name| json!(name)).collect();
        assert_eq!(schema["required"].as_array().cloned().unwrap_or_default(), required, "{}", tool.name);
        let properties = schema["properties"].as_object().unwrap();
        let types: Vec<_> = properties
            .iter()
            .map(|(name, property)| (name.as_str(), property["type"].as_str().unwrap()))
            .collect();
        assert_eq!(types, tool.properties, "{}", tool.name);
        for (name, property) in properties {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty() && !description.contains('\n'), "{}, {name}", tool.name);
        }
        assert_plain(&schema);
    }
}

#[test]
fn arguments_with_a_choice_name_it() {
    for (tool, spec) in tools() {
        let properties = &input(&spec)["properties"];
        match tool.name {
            "commit_memory" => assert_eq!(properties["scope"]["enum"], json!(["LOCAL", "TEAM", "GLOBAL"])),
            "recall_memory" => {
                assert_eq!(properties["scope"]["enum"], json!(["LOCAL", "TEAM", "GLOBAL", ""]))
            }
            "send_message_to_user" => {
                assert_eq!(properties["attachments"]["items"], json!({"type": "string"}))
            }
            _ => {}
        }
    }
}

#[test]
fn results_have_a_schema_only_for_programs_that_asked_for_it() {
    assert!(tools().iter().all(|(_, spec)| spec.output_schema.is_none()));

    for spec in specs(&World::new(Settings { structured: true, ..settings() })) {
        let schema: Value = serde_json::from_str(spec.output_schema.as_deref().unwrap()).unwrap();
        assert_eq!(schema["type"], "object", "{}", spec.name);
        assert_plain(&schema);
    }
}

/// No keyword that some clients refuse.
fn assert_plain(schema: &Value) {
    match schema {
        Value::Object(keywords) => {
            for (keyword, value) in keywords {
                assert!(
                    !["$schema", "$ref", "$defs", "title", "default", "format"].contains(&keyword.as_str()),
                    "{schema}"
                );
                assert_plain(value);
            }
        }
        Value::Array(schemas) => schemas.iter().for_each(assert_plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Every tool as expected, and as it is.
fn tools() -> [(Expected, ToolSpec); 11] {
    let specs = specs(&world());
    EXPECTED.map(|tool| {
        let spec = specs.iter().find(|spec| spec.name == tool.name).unwrap().clone();
        (tool, spec)
    })
}

fn input(spec: &ToolSpec) -> Value {
    serde_json::from_str(&spec.input_schema).unwrap()
}
