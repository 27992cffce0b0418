//! Agents that live inside the platform, for tests without a network.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::dispatch::AgentOutcome;
use crate::http::Response;

/// What a scripted push-mode agent does with every message.
#[derive(Clone, Debug)]
pub enum Script {
    /// Answers with this status and body.
    Answer(u16, Bytes),
    /// Begins to answer, and breaks off.
    Cut,
    /// Answers `You said: …`.
    Echo,
    /// Takes the message and hangs up: it counts as busy.
    HangUp,
    /// Cannot be connected to.
    Refuse,
}

impl Script {
    /// Answers with one text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::json(&text_reply(text))
    }

    /// Answers with this document.
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self::Answer(200, Bytes::from(body.to_string()))
    }

    pub(crate) fn outcome(&self, message: &Value) -> AgentOutcome {
        let answer = |status, body| AgentOutcome::Answered(Response { body, ..Response::empty(status) });
        match self {
            Self::Answer(status, body) => answer(*status, body.clone()),
            Self::Cut => AgentOutcome::Cut(200),
            Self::Echo => {
                let reply = text_reply(&format!("You said: {}", text_of(message)));
                answer(200, Bytes::from(reply.to_string()))
            }
            Self::HangUp => AgentOutcome::HungUp,
            Self::Refuse => AgentOutcome::Refused,
        }
    }
}

fn text_reply(text: &str) -> Value {
    let parts = json!([{ "kind": "text", "text": text }]);
    json!({ "jsonrpc": "2.0", "id": "1", "result": { "kind": "message", "role": "agent", "parts": parts } })
}

fn text_of(message: &Value) -> String {
    let parts = message.pointer("/params/message/parts").and_then(Value::as_array);
    let texts = parts.into_iter().flatten().filter_map(|part| part.get("text")?.as_str());
    texts.collect::<Vec<_>>().join("\n")
}
