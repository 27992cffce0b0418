//! Gemini CLI: `~/.gemini/settings.json`. It drops variables whose names look secret.

use super::{Client, Format, Grant, Permission, plain, yes};

pub(super) const CLIENT: Client = Client {
    id: "gemini",
    title: "Gemini CLI",
    programs: &["gemini"],
    file: |homes| homes.below(".gemini/settings.json"),
    format: Format::Json,
    at: &["mcpServers"],
    entry: plain,
    permission: Some(Permission {
        meaning: "its tools run without a question; without it none runs where there is no terminal",
        grant: Grant::Field("trust", yes),
    }),
    note: Some(
        "It starts the server only in folders that it trusts: start gemini there once, and answer that you trust it.",
    ),
};
