//! Cursor: `~/.cursor/mcp.json`.

use super::{Client, Format, plain};

pub(super) const CLIENT: Client = Client {
    id: "cursor",
    title: "Cursor",
    programs: &["cursor", "cursor-agent"],
    file: |homes| homes.below(".cursor/mcp.json"),
    format: Format::Json,
    at: &["mcpServers"],
    entry: plain,
    permission: None,
    note: Some("Switch the server on under Settings, MCP, if it is off there."),
};
