//! Who a workspace is, and whether it may be talked to.
//!
//! The address that the platform gives for it is not used: messages go through the platform.

use serde_json::Value;

use super::{get, read, says_token};
use crate::{
    dialogue::Host,
    text::untrusted,
    wire::{PlatformResponse, Workspace},
};

/// What the platform says about a workspace.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// It does not exist, or is outside of what this workspace may reach; the platform does not
    /// tell these apart.
    Nobody,
    /// It cannot be reached at present. One that polls takes messages in most of these states.
    NotOnline { status: String },
    /// It may be talked to. The name is cleaned; the status mostly empty, because the platform
    /// seldom tells it.
    Reachable { name: String, status: String },
    /// The token of this workspace is refused.
    TokenRefused,
    /// There was no usable answer.
    Unclear,
}

/// Looks up the workspace `id`.
pub(crate) async fn discover(host: &Host, workspace: Workspace, id: &str) -> Found {
    let mut request = get(workspace, ["registry", "discover", id]);
    request.identify = true;
    match host.send(request).await {
        Ok(response) => found(&response),
        Err(_) => Found::Unclear,
    }
}

fn found(response: &PlatformResponse) -> Found {
    // Something in front of the platform answers without JSON, and knows nothing about workspaces.
    let Ok(Value::Object(body)) = serde_json::from_slice(&response.body) else { return Found::Unclear };
    let line = |key: &str| untrusted::name(body.get(key).and_then(Value::as_str).unwrap_or_default());
    match response.status {
        401 if says_token(&line("error")) => Found::TokenRefused,
        403 | 404 => Found::Nobody,
        503 if body.get("status").is_some_and(|status| !status.is_null()) => {
            Found::NotOnline { status: line("status") }
        }
        _ if read::<Value>(response).is_ok() => {
            Found::Reachable { name: line("name"), status: line("status").to_ascii_lowercase() }
        }
        _ => Found::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::raw, *};

    #[test]
    fn nobody_not_online_and_reachable_are_told_apart() {
        let awaiting = json!({"error": "workspace not available", "status": "awaiting_agent"});
        for (status, body, expected) in [
            (
                200,
                json!({"id": "p", "name": "Re\nsearch", "url": "http://ws-p:8000"}),
                Found::Reachable { name: "Re search".to_owned(), status: String::new() },
            ),
            (
                200,
                json!({"name": null, "status": "OFFLINE"}),
                Found::Reachable { name: String::new(), status: "offline".to_owned() },
            ),
            (403, json!({"error": "not authorized to discover this workspace"}), Found::Nobody),
            (404, json!({"error": "workspace not found"}), Found::Nobody),
            (503, awaiting, Found::NotOnline { status: "awaiting_agent".to_owned() }),
            (503, json!({"error": "workspace URL failed safety check"}), Found::Unclear),
            (401, json!({"error": "missing workspace auth token"}), Found::TokenRefused),
            (429, json!({"error": "rate limit exceeded", "retry_after": 1}), Found::Unclear),
        ] {
            assert_eq!(found(&raw(status, true, &body.to_string())), expected, "{body}");
        }
    }

    #[test]
    fn a_page_from_in_front_of_the_platform_says_nothing_about_the_workspace() {
        assert_eq!(found(&raw(200, false, "<html></html>")), Found::Unclear);
        assert_eq!(found(&raw(404, false, "")), Found::Unclear);
    }
}
