//! Zed: `~/.config/zed/settings.json`, which has comments.

use super::{Client, Format, plain};

pub(super) const CLIENT: Client = Client {
    id: "zed",
    title: "Zed",
    programs: &["zed", "zeditor"],
    file: |homes| homes.of_xdg("zed/settings.json"),
    format: Format::Json,
    at: &["context_servers"],
    entry: plain,
    permission: None,
    note: None,
};
