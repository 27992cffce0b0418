//! Claude Desktop.

use super::{Client, Format, plain};

pub(super) const CLIENT: Client = Client {
    id: "claude-desktop",
    title: "Claude Desktop",
    programs: &["claude-desktop"],
    file: |homes| homes.of_desktop("Claude/claude_desktop_config.json"),
    format: Format::Json,
    at: &["mcpServers"],
    entry: plain,
    permission: None,
    note: Some("Quit it and start it again; closing its window is not enough."),
};
