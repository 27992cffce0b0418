//! VS Code: `mcp.json` of the user.

use serde_json::json;

use super::{Client, Format, fields};

pub(super) const CLIENT: Client = Client {
    id: "vscode",
    title: "VS Code",
    programs: &["code"],
    file: |homes| homes.of_desktop("Code/User/mcp.json"),
    format: Format::Json,
    at: &["servers"],
    entry: |server| {
        fields(json!({ "type": "stdio", "command": server.command, "args": [], "env": server.variables() }))
    },
    permission: None,
    note: Some("It asks once whether you trust the server."),
};
