//! What a client can read without a tool, and be told of: the inbox and the workspace.
//!
//! A client reads for a person, or to know whether a turn is worth it: reading here shows the agent nothing, and its messages
//! stay unread.

use std::sync::Arc;

use molecule_runtime::{
    driver::{Driver, Ports},
    guest::GuestDown,
};
use rmcp::{
    ErrorData,
    model::{
        Resource, ResourceContents, ResourceUpdatedNotification, ResourceUpdatedNotificationParam,
        ServerJsonRpcMessage, ServerNotification,
    },
};
use serde_json::json;

/// The messages that wait.
pub(super) const INBOX: &str = "molecule://inbox";
/// The workspace of the agent.
const WORKSPACE: &str = "molecule://workspace";

/// All of them.
pub(super) fn all() -> Vec<Resource> {
    vec![
        Resource::new(INBOX, "inbox")
            .with_title("Inbox")
            .with_description(
                "The messages that wait for the agent, as inbox_peek shows them; reading marks none as seen.",
            )
            .with_mime_type("application/json"),
        Resource::new(WORKSPACE, "workspace")
            .with_title("Workspace")
            .with_description("The agent's own workspace, as get_workspace_info shows it.")
            .with_mime_type("application/json"),
    ]
}

/// Whether there is such a resource.
pub(super) fn is_known(uri: &str) -> bool {
    [INBOX, WORKSPACE].contains(&uri)
}

/// That there is none.
pub(super) fn unknown(uri: &str) -> ErrorData {
    let uri: String = uri.chars().take(100).collect();
    ErrorData::resource_not_found(format!("there is no {uri}; resources/list names all"), None)
}

/// Reads one by the tool that shows the same.
pub(super) async fn read<P: Ports>(
    driver: &Arc<Driver<P>>,
    uri: &str,
) -> Result<ResourceContents, ErrorData> {
    let (tool, arguments) = match uri {
        INBOX => ("inbox_peek", json!({"limit": 200})),
        WORKSPACE => ("get_workspace_info", json!({})),
        _ => return Err(unknown(uri)),
    };
    let down =
        |down: GuestDown| ErrorData::internal_error(format!("{down}; it was restarted, try again"), None);
    let (answer, receipt) = driver.call_tool(tool, &arguments.to_string()).await.map_err(down)?;
    receipt.not_written().await;
    // Further texts are for the agent: what it should do next.
    let text = answer.text.into_iter().next().unwrap_or_default();
    if answer.is_error {
        return Err(ErrorData::internal_error(text, None));
    }
    Ok(ResourceContents::text(text, uri).with_mime_type("application/json"))
}

/// That the inbox has changed, for a client with a handshake.
pub(super) fn changed() -> ServerJsonRpcMessage {
    let changed = ResourceUpdatedNotification::new(ResourceUpdatedNotificationParam::new(INBOX));
    ServerJsonRpcMessage::notification(ServerNotification::ResourceUpdatedNotification(changed))
}
