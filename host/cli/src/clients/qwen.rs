//! Qwen Code: `~/.qwen/settings.json`.

use super::{Client, Format, Grant, Permission, plain, yes};

pub(super) const CLIENT: Client = Client {
    id: "qwen",
    title: "Qwen Code",
    programs: &["qwen"],
    file: |homes| homes.below(".qwen/settings.json"),
    format: Format::Json,
    at: &["mcpServers"],
    entry: plain,
    permission: Some(Permission {
        meaning: "its tools run without a question; without it none runs where there is no terminal",
        grant: Grant::Field("trust", yes),
    }),
    note: None,
};
