//! Claude Code: servers of the user in `~/.claude.json`, rules in `~/.claude/settings.json`.

use serde_json::json;

use super::{Client, Format, Grant, Permission, fields};

pub(super) const CLIENT: Client = Client {
    id: "claude-code",
    title: "Claude Code",
    programs: &["claude"],
    file: |homes| homes.below_variable("CLAUDE_CONFIG_DIR", "", ".claude.json"),
    format: Format::Json,
    at: &["mcpServers"],
    entry: |server| {
        fields(json!({ "type": "stdio", "command": server.command, "args": [], "env": server.variables() }))
    },
    permission: Some(Permission {
        meaning: "its tools run without a question each, and without a terminal at all",
        grant: Grant::Rule {
            file: |homes| homes.below_variable("CLAUDE_CONFIG_DIR", ".claude", "settings.json"),
            at: &["permissions", "allow"],
            rule: |server| format!("mcp__{server}"),
        },
    }),
    note: Some("Sessions that run already see the server after /mcp or a restart."),
};
