//! Goose: `~/.config/goose/config.yaml`.

use serde_json::json;

use super::{Client, Format, fields};

pub(super) const CLIENT: Client = Client {
    id: "goose",
    title: "Goose",
    programs: &["goose"],
    file: |homes| homes.of_xdg("goose/config.yaml"),
    format: Format::Yaml,
    at: &["extensions"],
    entry: |server| {
        fields(json!({
            "enabled": true,
            "type": "stdio",
            "name": server.name,
            "cmd": server.command,
            "args": [],
            "envs": server.variables(),
            "timeout": 300,
        }))
    },
    permission: None,
    note: None,
};
