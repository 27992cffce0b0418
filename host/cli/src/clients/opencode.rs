//! opencode: `~/.config/opencode/opencode.json`.

use serde_json::json;

use super::{Client, Format, fields};

pub(super) const CLIENT: Client = Client {
    id: "opencode",
    title: "opencode",
    programs: &["opencode"],
    file: |homes| {
        let with_comments = homes.of_xdg("opencode/opencode.jsonc");
        if with_comments.exists() { with_comments } else { homes.of_xdg("opencode/opencode.json") }
    },
    format: Format::Json,
    at: &["mcp"],
    entry: |server| {
        fields(json!({
            "type": "local",
            "command": [server.command],
            "enabled": true,
            "environment": server.variables(),
        }))
    },
    permission: None,
    note: None,
};
