//! The JSON Schema of the configuration file, from the table that the help is made from.

use serde_json::{Map, Value, json};

use super::LIST;
use crate::env::{self, Shape};

/// The schema, for editors that check and complete TOML.
#[must_use]
pub fn schema() -> Value {
    let mut properties = Map::new();
    for variable in env::ALL {
        let Some(key) = variable.key else { continue };
        let mut property = property(key.shape);
        property.insert("description".to_owned(), variable.meaning.into());
        properties.insert(key.name.to_owned(), property.into());
    }
    properties.insert(LIST.to_owned(), list());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of molecule-mcp",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

fn property(shape: Shape) -> Map<String, Value> {
    let schema = match shape {
        Shape::Choice(known) => json!({ "enum": known }),
        Shape::Flag | Shape::Switch => json!({ "type": "boolean" }),
        Shape::List | Shape::Paths => {
            json!({ "anyOf": [{ "type": "array", "items": { "type": "string" } }, { "type": "string" }] })
        }
        Shape::Number => json!({ "type": "integer", "minimum": 0 }),
        Shape::Path | Shape::Text => json!({ "type": "string" }),
    };
    schema.as_object().cloned().unwrap_or_default()
}

fn list() -> Value {
    json!({
        "description": "The workspaces to act for, in place of workspace_id, token and token_file.",
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["id"],
            "oneOf": [{ "required": ["token_file"] }, { "required": ["token"] }],
            "properties": {
                "id": { "type": "string", "description": env::WORKSPACE_ID.meaning },
                "token_file": { "type": "string", "description": env::WORKSPACE_TOKEN_FILE.meaning },
                "token": { "type": "string", "description": env::WORKSPACE_TOKEN.meaning },
                "platform_url": { "type": "string", "description": env::PLATFORM_URL.meaning },
            },
        },
    })
}
