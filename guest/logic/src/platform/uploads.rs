//! Files that wait on the platform until the workspace has taken them.

use super::{Limits, READ, post};
use crate::wire::{FetchRequest, PlatformRequest, PlatformResponse, Workspace};

/// The path to which a workspace sends files for its user, for hosts that send them themselves.
#[must_use]
pub fn chat_uploads(workspace: &str) -> Vec<String> {
    ["workspaces", workspace, "chat", "uploads"].map(str::to_owned).to_vec()
}

/// A slow line carries the largest file in this time. `first_byte_ms` is also the longest pause within it.
const CONTENT: Limits = Limits { first_byte_ms: 30_000, total_ms: 900_000, ..READ };

/// The scheme of addresses of waiting files: `platform-pending:<workspace id>/<file id>`.
const SCHEME: &str = "platform-pending:";

/// Asks for the content of a file of the workspace `id`.
pub(crate) fn content(
    workspace: Workspace,
    id: &str,
    file: &str,
    name: String,
    bytes: Option<u64>,
) -> FetchRequest {
    FetchRequest {
        workspace,
        path: ["workspaces", id, "pending-uploads", file, "content"].map(str::to_owned).into(),
        id: file.to_owned(),
        name,
        bytes,
        limits: CONTENT,
    }
}

/// Says that a file of the workspace `id` is here for good. From then on nobody gets it from the platform.
pub(crate) fn acknowledge(workspace: Workspace, id: &str, file: &str) -> PlatformRequest {
    let request = post(workspace, ["workspaces", id, "pending-uploads", file, "ack"], &().into());
    PlatformRequest { body: None, ..request }
}

/// Whether the platform has no such file: acknowledged, expired, or never there.
pub(crate) const fn is_gone(response: &PlatformResponse) -> bool {
    matches!(response.status, 400 | 404 | 405 | 410)
}

/// Whether this is the address of a file that waits for any workspace.
pub(crate) fn is_address(address: &str) -> bool {
    address.starts_with(SCHEME)
}

/// The id in the address of a file that waits for the workspace `id`.
pub(crate) fn file_id<'a>(address: &'a str, id: &str) -> Option<&'a str> {
    let (workspace, file) = address.strip_prefix(SCHEME)?.split_once('/')?;
    (workspace.eq_ignore_ascii_case(id) && !file.is_empty() && !file.contains('/')).then_some(file)
}

/// The address of a file that waits for the workspace `id`.
pub(crate) fn address(id: &str, file: &str) -> String {
    format!("{SCHEME}{id}/{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_own_workspace_name_a_file() {
        assert_eq!(file_id("platform-pending:W/f", "w"), Some("f"));
        for address in [
            "platform-pending:v/f",
            "platform-pending:w/",
            "platform-pending:w",
            "workspace:/a",
            "platform-pending:w/f/g",
        ] {
            assert_eq!(file_id(address, "w"), None, "{address}");
        }
    }
}
