//! What the model vendors take as a tool. One tool that one of them refuses breaks every request of a session
//! with that vendor, because all tools go along with each.
//!
//! | Rule | OpenAI (not strict) | Gemini | Anthropic |
//! |---|---|---|---|
//! | name of a tool, with what clients put before it | `A-Z a-z 0-9 _ -`, 64 | begins with a letter or `_`, 64 | `A-Z a-z 0-9 _ -`, 64 |
//! | name of an argument | | begins with a letter or `_`; `A-Z a-z 0-9 _`, 64 | `A-Z a-z 0-9 _ . -`, 64 |
//! | description | 1,024 characters | | |
//! | top of a schema | `object`, no combination, no `enum` | `object` | `object`, no combination |
//! | `$ref`, `$defs` | | refused | refused |
//! | `type` | | one name, beside every `enum` | |
//! | `enum` | | texts, none of them empty, at least one | |
//! | `format` | | of a text `date-time` alone | |
//! | list | `items` | `items` | |
//! | other keywords | | refused, unless it knows them | |

use serde_json::{Map, Value, json};

use super::specs;
use crate::{
    testing::{settings, world},
    wire::{Settings, ToolSpec},
    world::World,
};

const NAME_CHARS: usize = 64;

/// Clients put the name of the server, which the user chooses, before the name of a tool.
const PREFIX: &str = "mcp__molecule-workspace__";

const DESCRIPTION_CHARS: usize = 1_024;

/// Keywords that all of them know.
const KNOWN: [&str; 11] = [
    "description",
    "enum",
    "items",
    "maxItems",
    "maximum",
    "minItems",
    "minimum",
    "nullable",
    "properties",
    "required",
    "type",
];

#[test]
fn every_vendor_takes_every_tool() {
    for spec in specs(&world()) {
        let problems = problems(&spec);
        assert_eq!(problems, Vec::<String>::new(), "{}", spec.name);
    }
}

#[test]
fn the_same_tools_are_offered_to_programs() {
    let programs = specs(&World::new(Settings { structured: true, ..settings() }));

    for (spec, other) in specs(&world()).into_iter().zip(programs) {
        assert_eq!(spec, ToolSpec { output_schema: None, ..other });
    }
}

#[test]
fn what_a_vendor_refuses_is_noticed() {
    let string = json!({"type": "string", "description": "d"});
    for (schema, problem) in [
        (json!({"type": "array", "items": {}}), "is no object"),
        (json!({"type": "object", "properties": {}, "anyOf": []}), "anyOf"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#/x"}}}), "$ref"),
        (json!({"type": "object", "properties": {"a": {"oneOf": [string]}}}), "oneOf"),
        (json!({"type": "object", "properties": {"a.b": string}}), "name a.b"),
        (json!({"type": "object", "properties": {"1a": string}}), "name 1a"),
        (json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}), "one type"),
        (json!({"type": "object", "properties": {"a": {"enum": ["x"]}}}), "one type"),
        (json!({"type": "object", "properties": {"a": {"type": "string", "enum": ["x", ""]}}}), "enum"),
        (json!({"type": "object", "properties": {"a": {"type": "string", "enum": []}}}), "enum"),
        (json!({"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}}), "enum"),
        (json!({"type": "object", "properties": {"a": {"type": "array"}}}), "items"),
        (json!({"type": "object", "properties": {"a": {"type": "string", "format": "uuid"}}}), "format"),
        (json!({"type": "object", "properties": {"a": string}, "required": ["b"]}), "required"),
        (json!({"type": "object"}), "properties"),
    ] {
        let mut problems = Vec::new();
        look_at_top(&schema, &mut problems);
        assert!(problems.iter().any(|found| found.contains(problem)), "{schema}: {problems:?}");
    }
}

fn problems(spec: &ToolSpec) -> Vec<String> {
    let mut problems = Vec::new();
    if !is_name(&format!("{PREFIX}{}", spec.name), "_-") || !is_name(&spec.name, "_") {
        problems.push("the name of the tool".to_owned());
    }
    let chars = spec.description.chars().count();
    if !(1..=DESCRIPTION_CHARS).contains(&chars) {
        problems.push(format!("the description has {chars} characters"));
    }
    look_at_top(&serde_json::from_str(&spec.input_schema).unwrap(), &mut problems);
    problems
}

fn look_at_top(schema: &Value, problems: &mut Vec<String>) {
    let keywords = schema.as_object().cloned().unwrap_or_default();
    if keywords.get("type") != Some(&json!("object")) {
        problems.push("the top is no object".to_owned());
    }
    if keywords.contains_key("enum") {
        problems.push("enum at the top".to_owned());
    }
    look_at(&keywords, problems);
}

fn look_at(keywords: &Map<String, Value>, problems: &mut Vec<String>) {
    for keyword in keywords.keys().filter(|keyword| !KNOWN.contains(&keyword.as_str())) {
        problems.push(format!("the keyword {keyword}"));
    }
    let Some(kind) = keywords.get("type").and_then(Value::as_str) else {
        return problems.push(format!("not one type: {keywords:?}"));
    };
    if let Some(choices) = keywords.get("enum") {
        let texts: Vec<_> = choices.as_array().into_iter().flatten().map(Value::as_str).collect();
        let is_text = |text: &Option<&str>| text.is_some_and(|text| !text.is_empty());
        if kind != "string" || texts.is_empty() || !texts.iter().all(is_text) {
            problems.push(format!("the enum {choices}"));
        }
    }
    match kind {
        "array" => match keywords.get("items").and_then(Value::as_object) {
            Some(items) => look_at(items, problems),
            None => problems.push("a list without items".to_owned()),
        },
        "object" => look_at_object(keywords, problems),
        "boolean" | "integer" | "number" | "string" => {}
        other => problems.push(format!("the type {other}")),
    }
}

fn look_at_object(keywords: &Map<String, Value>, problems: &mut Vec<String>) {
    let Some(properties) = keywords.get("properties").and_then(Value::as_object) else {
        return problems.push("an object without properties".to_owned());
    };
    for (name, property) in properties {
        if !is_name(name, "_") {
            problems.push(format!("the name {name}"));
        }
        look_at(&property.as_object().cloned().unwrap_or_default(), problems);
    }
    for name in keywords.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !name.as_str().is_some_and(|name| properties.contains_key(name)) {
            problems.push(format!("required, but not there: {name}"));
        }
    }
}

/// Whether all would take it as a name; `others` are allowed beside letters and digits.
fn is_name(name: &str, others: &str) -> bool {
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins_well
        && name.len() <= NAME_CHARS
        && name.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}
