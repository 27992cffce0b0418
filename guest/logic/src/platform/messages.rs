//! Messages to the user on the canvas, and the files that go with them.

use serde_json::{Map, Value, json};

use super::{Limits, MIB, PlatformError, post, read, send_again_if_unsent};
use crate::{
    dialogue::Host,
    wire::{PlatformResponse, UploadRequest, Workspace},
};

/// Largest request that platforms of every age accept.
pub(crate) const REQUEST_BYTES: usize = MIB as usize;

/// The user's screen may be slow to take a message.
const NOTIFY: Limits = Limits { first_byte_ms: 60_000, total_ms: 90_000, body_bytes: MIB };

/// Files of 25 MiB on a slow line.
const UPLOAD: Limits = Limits { first_byte_ms: 60_000, total_ms: 300_000, body_bytes: MIB };

/// Why a message is not known to have been shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NotifyError {
    /// This workspace may not speak to its user. The platform's advice comes with it, or nothing.
    Disabled {
        hint: String,
    },
    Failed(PlatformError),
}

impl From<PlatformError> for NotifyError {
    fn from(why: PlatformError) -> Self {
        Self::Failed(why)
    }
}

/// Shows `message` to the user of `id`, with the files that [`upload`] has described.
///
/// Every call that arrives shows it again, so after a lost answer it is not repeated.
pub(crate) async fn notify(
    host: &Host,
    workspace: Workspace,
    id: &str,
    message: &str,
    attachments: &[Value],
) -> Result<(), NotifyError> {
    let mut body = json!({ "message": message });
    if let (false, Some(body)) = (attachments.is_empty(), body.as_object_mut()) {
        body.insert("attachments".to_owned(), attachments.into());
    }
    let mut request = post(workspace, ["workspaces", id, "notify"], &body);
    if request.body.as_ref().is_some_and(|body| body.len() > REQUEST_BYTES) {
        return Err(PlatformError::Refused("the message is larger than 1 MiB".to_owned()).into());
    }
    request.limits = NOTIFY;
    let response = send_again_if_unsent(host, request).await?;
    match disabled(&response) {
        Some(hint) => Err(NotifyError::Disabled { hint }),
        // Something in front of the platform also says 200, but not in JSON.
        None => Ok(read::<Map<String, Value>>(&response).map(drop)?),
    }
}

/// Uploads `files` for the user of `id`: what the platform says of each, in their order.
///
/// An answer of another shape is an empty list.
pub(crate) async fn upload(
    host: &Host,
    workspace: Workspace,
    files: Vec<String>,
) -> Result<Vec<Value>, PlatformError> {
    let response = host.upload(UploadRequest { workspace, files, limits: UPLOAD }).await?;
    match read::<Value>(&response)?.get_mut("files").map(Value::take) {
        Some(Value::Array(files)) => Ok(files),
        Some(_) | None => Ok(Vec::new()),
    }
}

/// The platform's advice, if it refuses because the workspace may not speak to its user.
fn disabled(response: &PlatformResponse) -> Option<String> {
    if response.status != 403 {
        return None;
    }
    let refusal: Map<String, Value> = serde_json::from_slice(&response.body).ok()?;
    if refusal.get("error")? != "talk_to_user_disabled" {
        return None;
    }
    Some(refusal.get("hint").and_then(Value::as_str).unwrap_or_default().to_owned())
}
