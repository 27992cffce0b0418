//! Codex: `~/.codex/config.toml`. Of its own environment it passes on `HOME`, `LANG`, `PATH` and `TERM` alone.

use serde_json::Value;

use super::{Client, Format, Grant, Permission, fields};

pub(super) const CLIENT: Client = Client {
    id: "codex",
    title: "Codex",
    programs: &["codex"],
    file: |homes| homes.below_variable("CODEX_HOME", ".codex", "config.toml"),
    format: Format::Toml,
    at: &["mcp_servers"],
    entry: |server| {
        let mut entry = fields(serde_json::json!({ "command": server.command }));
        if !server.variables.is_empty() {
            entry.insert("env".to_owned(), server.variables());
        }
        entry
    },
    permission: Some(Permission {
        meaning: "its tools run without a question, also where a policy of yours would ask",
        grant: Grant::Field("default_tools_approval_mode", || Value::from("approve")),
    }),
    note: None,
};
