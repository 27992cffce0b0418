//! A platform with a workspace and its peer, for the tests of this crate.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::http::{Reply, Request, Response};
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::{Level, Switches};
use crate::world::Credentials;

pub(crate) struct Stage {
    pub(crate) platform: Platform,
    pub(crate) now: Now,
    /// Ours: it polls, and has not registered yet.
    pub(crate) own: Credentials,
    /// Another that polls.
    pub(crate) peer: Credentials,
}

impl Stage {
    pub(crate) fn new(level: Level) -> Self {
        let now = Now::from_micros(1_777_590_000_000_000);
        let mut platform = Platform::new(level, Switches::new(level), 1, now);
        let own = platform.external_workspace("own");
        let peer = platform.poll_peer("peer");
        Self { platform, now, own, peer }
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now = self.now.plus(span);
        self.platform.tick(self.now);
    }

    pub(crate) fn reply(&mut self, request: &Request) -> Reply {
        self.platform.handle(request, self.now)
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Response {
        self.reply(request).answer().expect("a complete answer")
    }

    /// Status and body of a call with our own token.
    pub(crate) fn get(&mut self, suffix: &str) -> (u16, Value) {
        self.call("GET", suffix, &Value::Null)
    }

    pub(crate) fn post(&mut self, suffix: &str, body: &Value) -> (u16, Value) {
        self.call("POST", suffix, body)
    }

    fn call(&mut self, method: &str, suffix: &str, body: &Value) -> (u16, Value) {
        let path = format!("/workspaces/{}{suffix}", self.own.id);
        let request = Request::new(method, &path).bearer(&self.own.token).json(body);
        let response = self.answer(&request);
        (response.status, response.body_json())
    }

    /// Beats, with these fields besides the id.
    pub(crate) fn beat(&mut self, fields: &Value) -> (u16, Value) {
        let mut body = json!({ "workspace_id": self.own.id.to_string() });
        for (name, value) in fields.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let response =
            self.answer(&Request::new("POST", "/registry/heartbeat").bearer(&self.own.token).json(&body));
        (response.status, response.body_json())
    }

    pub(crate) fn register(&mut self, card: &Value) -> (u16, Value) {
        let body = json!({ "id": self.own.id.to_string(), "agent_card": card, "delivery_mode": "poll" });
        let response =
            self.answer(&Request::new("POST", "/registry/register").bearer(&self.own.token).json(&body));
        (response.status, response.body_json())
    }

    pub(crate) fn inbox(&mut self, query: &str) -> Vec<Value> {
        let (status, rows) = self.get(&format!("/activity?type=a2a_receive&{query}"));
        assert_eq!(status, 200, "{rows}");
        rows.as_array().cloned().unwrap_or_default()
    }
}

/// The texts of inbox rows.
pub(crate) fn texts(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row.pointer("/request_body/params/message/parts/0/text")?.as_str()).collect()
}

pub(crate) fn id_of(row: &Value) -> Uuid {
    row["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_default()
}
