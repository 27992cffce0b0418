//! What clients see of all tools together: they decide by it, and agents learn from it.

use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::{kit::Spec, specs, tools};
use crate::{
    inbox::rig::{PEER, Rig},
    permissions::Action,
    testing::{Call, settings, world},
    wire::{Finish, Next, Permissions, Settings, ToolSpec},
    world::World,
};

#[test]
fn a_tool_that_no_role_allows_is_refused_before_anything_is_read_or_done() {
    let actions = ["delegate", "approve", "memory.read", "memory.write"];
    let as_one_with = |allowed: Vec<&str>| {
        let allowed = allowed.into_iter().map(str::to_owned).collect();
        let permissions = Permissions {
            roles: vec!["tester".to_owned()],
            allowed_actions: vec![("tester".to_owned(), allowed)],
            tier: 1,
        };
        Rc::new(World::new(Settings { permissions, ..settings() }))
    };
    for Spec { name, action, .. } in tools().map(|entry| &entry.spec) {
        let needs = action.map_or("", Action::name);
        assert!(needs.is_empty() || actions.contains(&needs), "{name}");
        let others = actions.into_iter().filter(|action| *action != needs).collect();

        let refused = Call::open(&as_one_with(others), name, &json!("x"));
        let allowed = Call::open(&as_one_with(vec![needs]), name, &json!("x"));

        for (call, is_refused) in [(refused, !needs.is_empty()), (allowed, false)] {
            let Next::Finish(Finish::Answer(answer)) = &call.turn.next else { panic!("{name}") };
            let text = &answer.text[0];
            assert_eq!(text.contains("PERMISSION DENIED"), is_refused, "{name}: {text}");
            assert_eq!(text.contains("RBAC") && text.contains(needs), is_refused, "{name}: {text}");
            assert!(answer.is_error && call.turn.effects.is_empty(), "{name}: {text}");
        }
    }
}

#[test]
fn every_argument_that_is_required_is_needed() {
    let mut rig = Rig::new();
    rig.start();
    for spec in specs(&world()) {
        let properties = input(&spec)["properties"].clone();
        let required = required(&spec);
        for missing in &required {
            let mut arguments = json!({});
            for name in required.iter().filter(|name| *name != missing) {
                assert_eq!(properties[name]["type"], "string", "{}", spec.name);
                arguments[name] = json!(PEER);
            }

            let call = Call::open_at(&rig.world, &spec.name, &arguments, rig.now);

            let answer = call.answer();
            assert!(answer.is_error && answer.text[0].contains(missing), "{}: {:?}", spec.name, answer.text);
            assert!(answer.text[0].contains("required"), "{}: {:?}", spec.name, answer.text);
        }
    }
}

#[test]
fn what_is_not_required_can_be_left_out() {
    let mut rig = Rig::new();
    rig.start();
    for spec in specs(&world()) {
        let given: Map<String, Value> = required(&spec).into_iter().map(|name| (name, json!(PEER))).collect();

        let call = Call::open_at(&rig.world, &spec.name, &Value::Object(given), rig.now);

        if let Next::Finish(Finish::Answer(answer)) = &call.turn.next {
            assert!(!answer.is_error, "{}: {:?}", spec.name, answer.text);
        }
    }
}

#[test]
fn clients_can_decide_by_the_annotations() {
    for spec in specs(&world()) {
        assert!(!spec.destructive && !spec.open_world, "{}", spec.name);
        assert!(spec.idempotent || !spec.read_only, "{}", spec.name);
        assert!(!spec.title.is_empty(), "{}", spec.name);
        let description = &spec.description;
        assert!(!description.contains(['\n', '\t']) && !description.contains("  "), "{}", spec.name);
    }
}

#[test]
fn every_schema_of_arguments_is_plain() {
    for spec in specs(&world()) {
        let schema = input(&spec);
        assert_eq!(schema["type"], "object", "{}", spec.name);
        let properties = schema["properties"].as_object().unwrap();
        assert!(required(&spec).iter().all(|name| properties.contains_key(name)), "{}", spec.name);
        for (name, property) in properties {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty() && !description.contains('\n'), "{}, {name}", spec.name);
        }
        assert_plain(&schema);
    }
}

#[test]
fn arguments_with_a_choice_name_it() {
    for spec in specs(&world()) {
        let properties = &input(&spec)["properties"];
        match spec.name.as_str() {
            "commit_memory" => assert_eq!(properties["scope"]["enum"], json!(["LOCAL", "TEAM", "GLOBAL"])),
            "recall_memory" => {
                assert_eq!(properties["scope"]["enum"], json!(["LOCAL", "TEAM", "GLOBAL"]))
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
    assert!(specs(&world()).iter().all(|spec| spec.output_schema.is_none()));

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

/// The arguments that a client must give.
fn required(spec: &ToolSpec) -> Vec<String> {
    let names = input(spec)["required"].as_array().cloned().unwrap_or_default();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn input(spec: &ToolSpec) -> Value {
    serde_json::from_str(&spec.input_schema).unwrap()
}
