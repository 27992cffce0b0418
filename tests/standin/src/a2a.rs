//! A message from one agent, or from the user, to another agent.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::activity::NewRow;
use crate::agenda::Job;
use crate::call::Call;
use crate::dispatch::{Launched, Purpose};
use crate::http::{Headers, Reply, Response};
use crate::ids::database_uuid;
use crate::json;
use crate::model::Mode;
use crate::normalise::{method, normalise};
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;
use crate::workspaces::not_found;

const FORGED: [&str; 4] = ["channel:", "system:", "test:", "webhook:"];
pub(crate) const NO_DELEGATION: &str = "tool call failed";
const HIERARCHY: &str = "access denied: workspaces cannot communicate per hierarchy rules";

/// A message on its way to a push-mode agent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) target: Uuid,
    /// None for the user.
    pub(crate) caller: Option<String>,
    pub(crate) body: Value,
    /// After this long the sender no longer counts as waiting.
    pub(crate) patience: Option<Duration>,
}

/// What became of a message that may be delivered.
pub(crate) enum Passage {
    /// Stored for a poll-mode agent; this is the answer.
    Queued(Response),
    /// Has to be dispatched.
    Push(Message),
}

impl Platform {
    pub(crate) fn send(&mut self, call: &Call, target: &str, headers: &Headers) -> Reply {
        let sent = self
            .authorise(call, target)
            .and_then(|caller| self.pass(caller.as_deref(), target, &call.request.body, call.now));
        let mut message = match sent {
            Ok(Passage::Push(message)) => message,
            Ok(Passage::Queued(response)) | Err(response) => return Reply::Answer(response),
        };
        let seconds = call.header("X-Timeout").and_then(|text| text.parse::<u64>().ok());
        message.patience = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        match self.launch(message, Purpose::Answer(headers.clone()), call.now) {
            Launched::Done(response) => Reply::Answer(response),
            Launched::Away(dispatch) => Reply::Dispatch(dispatch),
        }
    }

    /// Who is calling: the header says it, else the bearer; nobody is the user.
    fn authorise(&mut self, call: &Call, target: &str) -> Result<Option<String>, Response> {
        let named = call.caller().map(str::to_owned);
        let owner = || call.bearer().and_then(|token| self.token_owner(token, call)).map(|id| id.to_string());
        let Some(caller) = named.or_else(owner) else { return Ok(None) };
        if FORGED.iter().any(|prefix| caller.starts_with(prefix)) {
            return Err(Response::error(403, "invalid caller ID"));
        }
        // Whoever names the target itself is not asked for a token.
        if caller != target {
            self.caller_gate(call, &caller)?;
        }
        Ok(Some(caller))
    }

    /// Checks a message and stores it, if the target polls.
    pub(crate) fn pass(
        &mut self,
        caller: Option<&str>,
        target: &str,
        body: &[u8],
        now: Now,
    ) -> Result<Passage, Response> {
        if caller.is_some_and(|caller| !self.workspaces.may_talk(caller, target)) {
            return Err(Response::error(403, HIERARCHY));
        }
        let spent = |limit: i64, spend: i64| spend >= limit;
        let found = self.workspaces.find(target);
        if found
            .is_some_and(|found| found.budget_limit.is_some_and(|limit| spent(limit, found.monthly_spend)))
        {
            return Err(self.over_budget());
        }
        let envelope = normalise(body, self.level, &mut self.ids)?;
        let may_send = |caller: &str| self.workspaces.find(caller).is_none_or(|caller| caller.can_delegate);
        if method(&envelope) == "message/send" && !caller.is_none_or(|from| from == target || may_send(from))
        {
            return Err(Response::error(403, NO_DELEGATION));
        }
        let id = database_uuid(target).ok_or_else(|| Response::error(500, "lookup failed"))?;
        let mode = self.workspaces.get(id).ok_or_else(not_found)?.delivery_mode;
        let caller = caller.map(str::to_owned);
        if mode == Mode::Push {
            return Ok(Passage::Push(Message { target: id, caller, body: envelope, patience: None }));
        }
        let answer = queued(&envelope);
        self.store_inbound(id, caller, envelope, now);
        Ok(Passage::Queued(answer))
    }

    fn over_budget(&self) -> Response {
        let mut body = json!({ "error": "workspace budget limit exceeded" });
        if self.level >= Level::Newest {
            json::put(&mut body, "exceeded_periods", json!(["monthly"]));
        }
        Response::json(402, body)
    }

    /// Puts a message into the inbox of a poll-mode agent, after the delay that is configured.
    pub(crate) fn store_inbound(
        &mut self,
        target: Uuid,
        caller: Option<String>,
        envelope: Value,
        now: Now,
    ) -> Uuid {
        let name = self.workspaces.get(target).map(|workspace| workspace.name.clone()).unwrap_or_default();
        let summary = self.inbound_summary(&envelope, &name);
        let row = NewRow { summary: Some(summary), ..self.inbound_row(target, caller, envelope) };
        let id = row.id;
        let delay = self.switches.insert_delay;
        // A message that comes while the log is down is lost, however soon it is up again.
        if delay.is_zero() || self.activity.down {
            self.receive_message(row, now);
        } else {
            self.agenda.add(now.plus(delay), Job::Receive(Box::new(row)));
        }
        id
    }

    pub(crate) fn inbound_row(&mut self, target: Uuid, caller: Option<String>, envelope: Value) -> NewRow {
        NewRow {
            source: caller,
            target: Some(target.to_string()),
            method: Some(method(&envelope).to_owned()),
            request_body: Some(envelope),
            ..self.new_row(target, "a2a_receive")
        }
    }
}

fn queued(envelope: &Value) -> Response {
    plain_json(200, &json!({ "delivery_mode": "poll", "method": method(envelope), "status": "queued" }))
}

/// A2A successes carry no charset.
pub(crate) fn plain_json(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json", json::encode(&json::alphabetical(body.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::script::Script;
    use crate::testing::{Stage, texts};

    fn send(stage: &mut Stage, target: Uuid, text: &str) -> Request {
        let parts = json!([{ "kind": "text", "text": text }]);
        let body = json!({ "method": "message/send", "params": { "message": { "parts": parts } } });
        let own = stage.own.clone();
        let request = Request::new("POST", &format!("/workspaces/{target}/a2a")).json(&body);
        request.bearer(&own.token).header("X-Workspace-ID", &own.id.to_string())
    }

    fn anonymous(target: Uuid, text: &str) -> Request {
        let body = json!({ "method": "message/send", "params": { "message": { "content": text } } });
        Request::new("POST", &format!("/workspaces/{target}/a2a")).json(&body)
    }

    #[test]
    fn a_peer_that_polls_gets_a_row_and_the_sender_an_envelope() {
        let mut stage = Stage::new(Level::Later);
        let peer = stage.peer.id;
        let request = send(&mut stage, peer, "hi");

        let answer = stage.answer(&request);

        let envelope = json!({ "delivery_mode": "poll", "method": "message/send", "status": "queued" });
        assert_eq!((answer.status, answer.body_json()), (200, envelope));
        assert_eq!(answer.headers.get("Content-Type"), Some("application/json"));
        let row = stage.platform.rows(peer)[0];
        assert_eq!(
            (row.source, row.summary.as_deref()),
            (Some(stage.own.id), Some("message/send → peer (queued for poll)"))
        );
    }

    #[test]
    fn at_the_baseline_the_row_comes_after_the_answer() {
        let mut stage = Stage::new(Level::Baseline);
        let request = anonymous(stage.own.id, "hi");
        assert_eq!(stage.answer(&request).status, 200);
        assert!(stage.inbox("").is_empty());

        stage.wait(Duration::from_millis(20));

        assert_eq!(stage.inbox("").len(), 1);
    }

    #[test]
    fn whoever_gives_no_name_is_the_user_and_whoever_names_the_target_is_believed() {
        let mut stage = Stage::new(Level::Later);
        let own = stage.own.id;
        stage.answer(&anonymous(own, "no bearer"));
        stage.answer(&anonymous(own, "wrong bearer").bearer("wrong"));
        stage.answer(&anonymous(own, "self").bearer("wrong").header("X-Workspace-ID", &own.to_string()));

        let sources: Vec<_> = stage.platform.rows(own).iter().map(|row| row.source).collect();

        assert_eq!(sources, [None, None, Some(own)]);
    }

    #[test]
    fn the_token_has_to_be_the_callers() {
        let mut stage = Stage::new(Level::Later);
        let (own, peer) = (stage.own.clone(), stage.peer.clone());
        let named = |request: Request| request.header("X-Workspace-ID", &own.id.to_string());

        assert_eq!(stage.answer(&named(anonymous(peer.id, "x"))).status, 401);
        assert_eq!(stage.answer(&named(anonymous(peer.id, "x")).bearer(&peer.token)).status, 401);
        assert_eq!(stage.answer(&anonymous(peer.id, "x").header("X-Workspace-ID", "system:x")).status, 403);
    }

    #[test]
    fn a_message_with_a_nul_is_answered_and_lost() {
        let mut stage = Stage::new(Level::Later);
        let own = stage.own.id;

        assert_eq!(stage.answer(&anonymous(own, "a\0b")).status, 200);
        stage.answer(&anonymous(own, "plain"));

        assert_eq!(texts(&stage.inbox("")), ["plain"]);
    }

    #[test]
    fn a_scripted_peer_answers_at_once_and_its_error_keeps_only_the_text() {
        let mut stage = Stage::new(Level::Later);
        let echo = stage.platform.push_peer("echo", Script::Echo);
        let request = send(&mut stage, echo.id, "hi");
        let reply = stage.answer(&request).body_json();
        assert_eq!(reply["result"]["parts"][0]["text"], "You said: hi");

        stage.platform.rescript(echo.id, Script::Answer(500, r#"{"error":"boom","detail":1}"#.into()));

        let refused = stage.answer(&request);
        assert_eq!((refused.status, refused.body_json()), (500, json!({ "error": "boom" })));
    }

    #[test]
    fn a_busy_peer_queues_once_for_each_message_id() {
        let mut stage = Stage::new(Level::Later);
        let busy = stage.platform.push_peer("busy", Script::HangUp);
        let body = json!({ "jsonrpc": "2.0", "params": { "message": { "messageId": "m", "parts": [] } } });

        let first = stage.platform.sends(None, busy.id, &body).unwrap();
        let again = stage.platform.sends(None, busy.id, &body).unwrap();

        assert_eq!((first.status, first.body_json()["queue_depth"].clone()), (202, json!(1)));
        assert_eq!(first, again);
    }
}
