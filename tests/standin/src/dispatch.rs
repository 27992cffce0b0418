//! Calls to push-mode agents: what is sent, and what the sender hears of the outcome.
//!
//! ```text
//! launch ── no URL, scripted agent ──► Done(answer)
//!    └──── real agent ──► Away(dispatch) ── dispatched(outcome) ──► answer
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::a2a::Message;
use crate::activity::NewRow;
use crate::http::{Headers, Response};
use crate::json;
use crate::layers::with_headers;
use crate::model::Status;
use crate::normalise::method;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;
use crate::url_safety;

/// What is left of an agent's reply is dropped.
const REPLY_MAX: usize = 10 * 1024 * 1024;
/// The longest a workspace waits for another.
const CEILING: Duration = Duration::from_secs(30 * 60);

/// Names a dispatch until its outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DispatchId(u64);

/// An HTTP request to an agent.
#[derive(Clone, Debug)]
pub struct AgentCall {
    /// In upper case.
    pub method: &'static str,
    /// Exactly as registered, for a message.
    pub url: String,
    /// All headers but `Host` and `Content-Length`.
    pub headers: Headers,
    /// The whole body.
    pub body: Bytes,
}

/// A call to carry out. Give up when [`Platform::dispatch_deadline`] has passed, and report either way.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// For [`Platform::dispatched`].
    pub id: DispatchId,
    /// What to send.
    pub call: AgentCall,
}

/// How a call to an agent ended.
#[derive(Clone, Debug)]
pub enum AgentOutcome {
    /// It answered.
    Answered(Response),
    /// It began to answer with this status, but the body broke off.
    Cut(u16),
    /// It took the connection, and closed it without an answer.
    HungUp,
    /// It could not be connected to.
    Refused,
    /// Nothing came in time.
    Silent,
}

/// Who waits for the outcome.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// The sender, on a connection whose answer needs these headers.
    Answer(Headers),
    /// A delegation.
    Delegation(Uuid),
    /// An entry of the busy queue.
    Drain(Uuid),
}

#[derive(Debug)]
enum Flight {
    /// A file request, relayed with these headers.
    Forward(Headers),
    Message {
        message: Message,
        purpose: Purpose,
        url: String,
        started: Now,
    },
}

#[derive(Debug, Default)]
pub(crate) struct Flights {
    flying: BTreeMap<DispatchId, Flight>,
    launched: u64,
}

impl Flights {
    fn add(&mut self, flight: Flight, call: AgentCall) -> Dispatch {
        self.launched += 1;
        let id = DispatchId(self.launched);
        self.flying.insert(id, flight);
        Dispatch { id, call }
    }
}

pub(crate) enum Launched {
    Away(Dispatch),
    Done(Response),
}

impl Platform {
    /// Takes the outcome of a dispatch, and gives the answer if somebody waits for one.
    pub fn dispatched(&mut self, id: DispatchId, outcome: AgentOutcome, now: Now) -> Option<Response> {
        self.tick(now);
        match self.flights.flying.remove(&id)? {
            Flight::Forward(headers) => Some(with_headers(Self::relayed(outcome), &headers)),
            Flight::Message { message, purpose, url, started } => {
                let answer = self.settle(&message, &purpose, &url, outcome, started, now);
                match purpose {
                    Purpose::Answer(headers) => return Some(with_headers(answer, &headers)),
                    Purpose::Delegation(delegation) => self.delegation_answered(delegation, &answer, now),
                    Purpose::Drain(entry) => self.drained(entry, &answer, now),
                }
                None
            }
        }
    }

    /// When a dispatch has taken too long. Events of its target put the moment off, so ask again when it comes.
    ///
    /// `answering` says that the head of the answer has arrived.
    #[must_use]
    pub fn dispatch_deadline(&self, id: DispatchId, answering: bool) -> Option<Now> {
        let Flight::Message { message, started, .. } = self.flights.flying.get(&id)? else { return None };
        let target = self.workspaces.get(message.target)?;
        let idle = target.idle_timeout.unwrap_or(self.switches.idle_timeout);
        let quiet_since = self.events.last_of(message.target).max(Some(*started)).unwrap_or(*started);
        let head_within = match self.level {
            Level::Baseline => Duration::from_secs(60),
            Level::Later | Level::Newest => Duration::from_secs(180),
        };
        let limits = [
            Some(quiet_since.plus(idle)),
            (!answering).then(|| started.plus(head_within)),
            (message.caller.is_some() && message.patience.is_none()).then(|| started.plus(CEILING)),
        ];
        limits.into_iter().flatten().min()
    }

    /// Sends a message to a push-mode agent, as far as that needs no IO.
    pub(crate) fn launch(&mut self, message: Message, purpose: Purpose, now: Now) -> Launched {
        if self.level >= Level::Newest && !matches!(purpose, Purpose::Drain(_)) {
            self.receive_pushed(&message, now);
        }
        if let Some(script) = self.scripts.get(&message.target) {
            let outcome = script.outcome(&message.body);
            return Launched::Done(self.settle(&message, &purpose, "http://scripted", outcome, now, now));
        }
        let url = match self.dispatch_url(message.target) {
            Ok(url) => url,
            Err(refusal) => return Launched::Done(refusal),
        };
        let call = AgentCall {
            method: "POST",
            url: url.clone(),
            headers: [("Content-Type", "application/json")].into_iter().collect(),
            body: Bytes::from(sorted(&message.body).to_string()),
        };
        Launched::Away(self.flights.add(Flight::Message { message, purpose, url, started: now }, call))
    }

    pub(crate) fn forward(&mut self, call: AgentCall, headers: &Headers) -> Dispatch {
        self.flights.add(Flight::Forward(headers.clone()), call)
    }

    fn dispatch_url(&self, target: Uuid) -> Result<String, Response> {
        let workspace = self.workspaces.get(target).ok_or_else(crate::workspaces::not_found)?;
        let Some(url) = workspace.url.clone() else {
            if workspace.status == Status::Hibernated {
                let error = "workspace is waking from hibernation — retry in ~15 seconds";
                let body = json!({ "error": error, "retry_after": 15, "waking": true });
                return Err(Response::json(503, body).with("Retry-After", "15"));
            }
            let body = json!({ "error": "workspace has no URL", "status": workspace.status.as_str() });
            return Err(Response::json(503, body));
        };
        let safe = url_safety::check(&url, self.dispatch_urls());
        safe.map(|()| url).map_err(|_| Response::error(502, "workspace URL is not publicly routable"))
    }

    /// Turns the outcome into the sender's answer, and logs it with the target.
    fn settle(
        &mut self,
        message: &Message,
        purpose: &Purpose,
        url: &str,
        outcome: AgentOutcome,
        started: Now,
        now: Now,
    ) -> Response {
        let logged = !matches!(purpose, Purpose::Drain(_));
        let failed = |why: &str| format!("Post \"{url}\": {why}");
        let took = now.since(started);
        let (answer, failure) = match outcome {
            AgentOutcome::Answered(reply) => {
                if logged {
                    self.log_reply(message, &reply, took, now);
                }
                self.note_outbound(message, &reply, now);
                return self.passed_on(&reply);
            }
            AgentOutcome::Cut(status) => (self.cut_off(status), failed("unexpected EOF")),
            AgentOutcome::HungUp => (self.busy(message, purpose, took, now), failed("EOF")),
            AgentOutcome::Refused => (
                Response::error(502, "failed to reach workspace agent"),
                failed("connect: connection refused"),
            ),
            AgentOutcome::Silent => {
                (self.busy(message, purpose, took, now), failed("timeout awaiting response headers"))
            }
        };
        if logged {
            self.log_failure(message, failure, took, now);
        }
        answer
    }

    /// Of the agent's answer only status and body come back; of an error only its text.
    fn passed_on(&self, reply: &Response) -> Response {
        if reply.status >= 300 {
            let error = reply.body_json().get("error").and_then(Value::as_str).map(str::to_owned);
            return Response::error(reply.status, error.unwrap_or_else(|| reason_phrase(reply.status)));
        }
        if reply.body.is_empty() && self.level >= Level::Later && reply.status != 204 {
            return Response::error(reply.status, "agent returned empty response body");
        }
        let length = reply.body.len().min(REPLY_MAX);
        Response::new(reply.status, "application/json", reply.body.slice(..length))
    }

    fn cut_off(&self, status: u16) -> Response {
        let delivered = status < 400;
        let status = if delivered || self.level == Level::Baseline { 502 } else { status };
        Response::json(
            status,
            json!({ "delivery_confirmed": delivered, "error": "failed to read agent response" }),
        )
    }

    fn busy(&mut self, message: &Message, purpose: &Purpose, took: Duration, now: Now) -> Response {
        let busy = |error: &str| json!({ "busy": true, "error": error, "retry_after": 30 });
        let own_session =
            self.workspaces.get(message.target).is_some_and(|workspace| workspace.has_capability("session"));
        if own_session {
            let mut body = busy("workspace agent busy — adapter handles retry (native_session)");
            json::put(&mut body, "native_session", json!(true));
            return Response::json(503, body).with("Retry-After", "30");
        }
        if message.patience.is_some_and(|patience| took >= patience) {
            let body = busy("workspace agent busy — retry after a short backoff");
            return Response::json(503, body).with("Retry-After", "30");
        }
        self.enqueue(message, purpose, now)
    }

    fn note_outbound(&mut self, message: &Message, reply: &Response, now: Now) {
        let caller =
            message.caller.as_deref().and_then(|caller| self.workspaces.find(caller)).map(|found| found.id);
        if let Some(caller) = caller.filter(|_| reply.status < 400).and_then(|id| self.workspaces.get_mut(id))
        {
            caller.last_outbound_at = Some(now);
        }
    }

    fn log_reply(&mut self, message: &Message, reply: &Response, took: Duration, now: Now) {
        let body = reply.body_json();
        let name = self.name_of(message.target);
        let row = NewRow {
            summary: Some(format!("{} → {name}", method(&message.body))),
            status: Some(if reply.status < 300 { "ok" } else { "error" }.to_owned()),
            duration_ms: i64::try_from(took.as_millis()).ok(),
            response_body: Some(body.clone()),
            ..self.inbound_row(message.target, message.caller.clone(), message.body.clone())
        };
        if message.caller.is_none() {
            let data = json!({
                "duration_ms": row.duration_ms,
                "method": method(&message.body),
                "response_body": body,
            });
            self.emit(message.target, "A2A_RESPONSE", data, now);
        }
        self.receive_outcome(row, now);
    }

    fn log_failure(&mut self, message: &Message, failure: String, took: Duration, now: Now) {
        let name = self.name_of(message.target);
        let row = NewRow {
            summary: Some(format!("A2A request to {name} failed: {failure}")),
            status: Some("error".to_owned()),
            duration_ms: i64::try_from(took.as_millis()).ok(),
            error_detail: Some(failure),
            ..self.inbound_row(message.target, message.caller.clone(), message.body.clone())
        };
        self.receive_outcome(row, now);
    }

    pub(crate) fn name_of(&self, id: Uuid) -> String {
        self.workspaces.get(id).map(|workspace| workspace.name.clone()).unwrap_or_default()
    }
}

/// Keys sorted at every depth, as the message goes out.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
    }
}

fn reason_phrase(status: u16) -> String {
    let known = hyper::StatusCode::from_u16(status).ok();
    known.and_then(|status| status.canonical_reason()).unwrap_or_default().to_owned()
}
