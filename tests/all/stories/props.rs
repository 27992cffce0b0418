//! What stories have in common.

use molecule_tests::story::Story;
use serde_json::{Value, json};
use standin::{Level, Request, Row, world::Credentials};

/// The versions of the platform that a story can play at.
pub(crate) const BOTH: [Level; 2] = [Level::Baseline, Level::Later];

/// The arguments by which a peer is asked to do something.
pub(crate) fn task(peer: &Credentials, text: &str) -> Value {
    json!({ "workspace_id": peer.id.to_string(), "task": text })
}

/// The messages that the agent itself sent to a peer.
pub(crate) fn sent_to(story: &Story, peer: &Credentials) -> Vec<Value> {
    story.sent("POST", &format!("/workspaces/{}/a2a", peer.id))
}

/// The text of a message as it lies in an inbox.
pub(crate) fn text_of(row: &Row) -> &str {
    let text = row.request_body.as_ref().and_then(|body| body.pointer("/params/message/parts/0/text"));
    text.and_then(Value::as_str).unwrap_or_default()
}

/// A peer shows that it has room for work.
pub(crate) fn beats(story: &Story, peer: &Credentials) {
    let body = json!({ "workspace_id": peer.id.to_string(), "active_tasks": 0 });
    let beat = Request::new("POST", "/registry/heartbeat").bearer(&peer.token).json(&body);
    let status = story.somebody_sends(&beat).map(|answer| answer.status);
    assert_eq!(status, Some(200));
}
