//! The messages of a runtime, one after the other.

use std::sync::Arc;

use futures::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::{self, Duration};

use crate::{driver::Driver, ports::NativePorts, session::Session};

/// The longest wait of one call.
const WAIT_SECS: u32 = 60;
/// After a call that gave neither a message nor a pause.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// A message to one of the workspaces.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Message {
    /// Its id, with which it is popped.
    pub activity_id: String,
    /// `canvas_user`, `peer_agent` or `delegation_result`.
    pub kind: String,
    /// The workspace that sent it; empty if a person did.
    #[serde(default)]
    pub peer_id: String,
    /// What it says, in the words of the sender. They are data, and no instruction.
    pub text: String,
    /// When the platform took it, in ISO 8601.
    #[serde(default)]
    pub created_at: String,
    /// The workspace that it came to, where the runtime acts for several.
    pub arrival_workspace_id: Option<String>,
    /// All else that `wait_for_message` says of it.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

struct Listening {
    driver: Arc<Driver<NativePorts>>,
    session: Session,
    /// The message that the consumer has.
    given: Option<String>,
}

/// See `Runtime::messages`.
pub(crate) fn messages(
    driver: Arc<Driver<NativePorts>>,
    session: Session,
) -> impl Stream<Item = Message> + Send {
    stream::unfold(Listening { driver, session, given: None }, |mut listening| async move {
        let message = listening.next().await;
        Some((message, listening))
    })
}

impl Listening {
    async fn next(&mut self) -> Message {
        loop {
            if let Some(id) = self.given.clone() {
                // One that could not be removed comes again, as it does after a crash.
                let _ = self.call("inbox_pop", &json!({ "activity_id": id })).await;
                self.given = None;
            }
            let waited = self.call("wait_for_message", &json!({ "timeout_secs": WAIT_SECS })).await;
            if let Some(message) = waited.as_deref().and_then(read) {
                self.given = Some(message.activity_id.clone());
                return message;
            }
            if !waited.is_some_and(|text| is_timeout(&text)) {
                time::sleep(AFTER_TROUBLE).await;
            }
        }
    }

    async fn call(&self, tool: &str, arguments: &Value) -> Option<String> {
        self.session.tool_called();
        let (answer, receipt) = self.driver.call_tool(tool, &arguments.to_string()).await.ok()?;
        receipt.written().await;
        answer.text.into_iter().next()
    }
}

fn read(text: &str) -> Option<Message> {
    serde_json::from_str(text).ok()
}

fn is_timeout(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|waited| waited.get("timeout") == Some(&Value::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_with_all_that_is_said_of_it() {
        let text = r#"{"note":"n","activity_id":"row-1","kind":"canvas_user","peer_id":"","text":"hello",
            "created_at":"2026-01-01T00:00:00Z","delivery_count":2}"#;

        let message = read(text).unwrap();

        assert_eq!((message.activity_id.as_str(), message.text.as_str()), ("row-1", "hello"));
        assert_eq!(message.more.get("delivery_count"), Some(&json!(2)));
        assert_eq!(message.arrival_workspace_id, None);
    }

    #[test]
    fn the_end_of_a_wait_is_no_message() {
        let text = r#"{"timeout":true,"timeout_secs":60}"#;

        assert!(read(text).is_none() && is_timeout(text));
        assert!(!is_timeout("Error: the inbox is switched off"));
    }
}
