//! What stories have in common.

use std::time::Duration;

use molecule_tests::story::Story;
use serde_json::{Value, json};
use standin::{Level, Request, Row, world::Credentials};

/// The versions of the platform that a story can play at.
pub(crate) const LEVELS: [Level; 3] = Level::ALL;

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

/// The oldest message as soon as there is one, or that there was none in so many seconds.
pub(crate) async fn waits(story: &Story, secs: u32) -> Value {
    story.asks("wait_for_message", json!({ "timeout_secs": secs })).await.json()
}

/// The texts of all messages that wait.
pub(crate) async fn waiting(story: &Story) -> Vec<String> {
    peeks(story)
        .await
        .into_iter()
        .map(|message| message["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// All messages that wait.
pub(crate) async fn peeks(story: &Story) -> Vec<Value> {
    let peeked = story.asks("inbox_peek", json!({ "limit": 1_000 })).await.json();
    peeked["messages"].as_array().cloned().unwrap_or_default()
}

/// Says that a message is dealt with; `id` is an activity_id.
pub(crate) async fn pops(story: &Story, id: &Value) -> Value {
    story.asks("inbox_pop", json!({ "activity_id": id })).await.json()
}

/// Deals with every message that waits or still comes, and gives their texts in order.
pub(crate) async fn drains(story: &Story) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let messages = peeks(story).await;
        if messages.is_empty() {
            return texts;
        }
        for message in messages {
            texts.push(message["text"].as_str().unwrap_or_default().to_owned());
            pops(story, &message["activity_id"]).await;
        }
        // Until the next fetch is over.
        story.pass(Duration::from_secs(6)).await;
    }
}
