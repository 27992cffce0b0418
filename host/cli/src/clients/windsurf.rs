//! Windsurf: `~/.codeium/windsurf/mcp_config.json`.

use super::{Client, Format, plain};

pub(super) const CLIENT: Client = Client {
    id: "windsurf",
    title: "Windsurf",
    programs: &["windsurf"],
    file: |homes| homes.below(".codeium/windsurf/mcp_config.json"),
    format: Format::Json,
    at: &["mcpServers"],
    entry: plain,
    permission: None,
    note: Some("Press refresh in its list of MCP servers."),
};
