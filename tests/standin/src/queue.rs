//! Messages for push-mode agents that were busy. One is tried again on each beat of its target.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::a2a::{Message, plain_json};
use crate::call::Call;
use crate::dispatch::{Launched, Purpose};
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::model::Mode;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;

const ATTEMPTS: u32 = 5;
const PRIORITY: i64 = 50;
const QUEUED: &str = "workspace agent busy — request queued, will dispatch when capacity available";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Completed,
    Dispatched,
    Failed,
    Queued,
}

#[derive(Debug)]
pub(crate) struct Entry {
    id: Uuid,
    message: Message,
    state: State,
    attempts: u32,
    enqueued_at: Now,
    dispatched_at: Option<Now>,
    completed_at: Option<Now>,
    expires_at: Option<Now>,
    last_error: Option<String>,
    /// The delegation that the message carries, and the text that came back.
    delegation: Option<Uuid>,
    result: Option<String>,
    /// What the target answered in the end.
    answer: Option<Value>,
}

/// In the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct BusyQueue(Vec<Entry>);

impl BusyQueue {
    fn find_mut(&mut self, id: Uuid) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.id == id)
    }

    fn waiting(&self, message: &Message) -> Option<Uuid> {
        let wanted = message_id(&message.body)?;
        let same = |entry: &&Entry| {
            entry.message.target == message.target
                && matches!(entry.state, State::Dispatched | State::Queued)
                && message_id(&entry.message.body) == Some(wanted)
        };
        self.0.iter().find(same).map(|entry| entry.id)
    }

    fn depth(&self, target: Uuid) -> usize {
        self.0.iter().filter(|entry| entry.message.target == target && entry.state == State::Queued).count()
    }
}

impl Platform {
    /// Stores a message for a busy agent. A message that waits already is not stored twice.
    pub(crate) fn enqueue(&mut self, message: &Message, purpose: &Purpose, now: Now) -> Response {
        let (fresh, delegation) = match purpose {
            Purpose::Answer(_) => (true, None),
            Purpose::Delegation(id) => (true, Some(*id)),
            // An entry that is busy again collides with itself, and is lost.
            Purpose::Drain(_) => (false, None),
        };
        let id = self.queue.waiting(message).unwrap_or_else(|| self.ids.uuid());
        if fresh && self.queue.find_mut(id).is_none() {
            let seconds = message.body.pointer("/params/expires_in_seconds").and_then(Value::as_i64);
            let enqueued_at = self.activity.instant(now);
            self.queue.0.push(Entry {
                id,
                message: message.clone(),
                state: State::Queued,
                attempts: 0,
                enqueued_at,
                dispatched_at: None,
                completed_at: None,
                expires_at: seconds.map(|seconds| Now::from_micros(now.micros() + seconds * 1_000_000)),
                last_error: None,
                delegation,
                result: None,
                answer: None,
            });
        }
        let depth = self.queue.depth(message.target);
        plain_json(
            202,
            &json!({ "message": QUEUED, "queue_depth": depth, "queue_id": id.to_string(), "queued": true }),
        )
    }

    /// Dispatches the oldest entry for an agent that has capacity.
    pub(crate) fn drain_queue(&mut self, target: Uuid, now: Now) {
        let Some(workspace) = self.workspaces.get(target) else { return };
        let mode = workspace.delivery_mode;
        if workspace.beat.active_tasks >= workspace.max_concurrent_tasks {
            return;
        }
        let due = |entry: &&mut Entry| {
            entry.message.target == target
                && entry.state == State::Queued
                && entry.expires_at.is_none_or(|expires| expires > now)
        };
        let Some(entry) = self.queue.0.iter_mut().find(due) else { return };
        entry.state = State::Dispatched;
        entry.attempts += 1;
        entry.dispatched_at = Some(now);
        let (id, message) = (entry.id, entry.message.clone());
        if mode == Mode::Poll {
            self.finish(id, State::Completed, None, now);
            return;
        }
        match self.launch(message, Purpose::Drain(id), now) {
            Launched::Away(dispatch) => self.background.push(dispatch),
            Launched::Done(answer) => self.drained(id, &answer, now),
        }
    }

    /// Takes the answer to a drained entry. One that is busy again counts as completed.
    pub(crate) fn drained(&mut self, id: Uuid, answer: &Response, now: Now) {
        let Some(entry) = self.queue.find_mut(id) else { return };
        let busy = answer.status == 202 && answer.body_json().get("queued") == Some(&json!(true));
        if answer.status < 300 {
            let delegation = entry.delegation.filter(|_| !busy);
            entry.answer = Some(answer.body_json()).filter(|_| !busy);
            self.finish(id, State::Completed, None, now);
            if let Some(delegation) = delegation {
                let text = self.delegation_drained(delegation, answer, now);
                self.queue.find_mut(id).into_iter().for_each(|entry| entry.result = Some(text.clone()));
            }
            return;
        }
        let error = answer.body_json().get("error").and_then(Value::as_str).map(str::to_owned);
        let state = if entry.attempts >= ATTEMPTS { State::Failed } else { State::Queued };
        self.finish(id, state, error, now);
    }

    fn finish(&mut self, id: Uuid, state: State, error: Option<String>, now: Now) {
        if let Some(entry) = self.queue.find_mut(id) {
            entry.state = state;
            entry.completed_at = (state == State::Completed).then_some(now);
            entry.last_error = error.or_else(|| entry.last_error.take());
        }
    }

    /// Readable by sender and target, whoever the path names.
    pub(crate) fn queue_status(&mut self, call: &Call, entry: &str) -> Answer {
        let newest = self.level >= Level::Newest;
        let gone = || match newest {
            false => Response::error(404, "queue item not found"),
            true => Response::json(404, json!({ "error": "queue item not found", "retryable": true })),
        };
        let id = database_uuid(entry).ok_or_else(|| Response::error(500, "lookup failed"))?;
        let named = call.caller().map(str::to_owned);
        let caller = named.or_else(|| Some(self.token_owner(call.bearer()?, call)?.to_string()));
        let unnamed = || if newest { Response::error(401, "caller identity required") } else { gone() };
        let caller = caller.ok_or_else(unnamed)?;
        let entry = self.queue.0.iter().find(|known| known.id == id).ok_or_else(gone)?;
        let theirs =
            entry.message.target.to_string() == caller || entry.message.caller.as_ref() == Some(&caller);
        let denied = || if newest { Response::error(403, "access denied") } else { gone() };
        if theirs { Ok(Response::json_as_is(200, &entry.to_json(newest))) } else { Err(denied()) }
    }
}

impl Entry {
    fn to_json(&self, newest: bool) -> Value {
        let state = match self.state {
            State::Completed => "completed",
            State::Dispatched => "dispatched",
            State::Failed => "failed",
            State::Queued => "queued",
        };
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("queue_id", json!(self.id.to_string()));
        put("workspace_id", json!(self.message.target.to_string()));
        put("status", json!(state));
        put("priority", json!(PRIORITY));
        put("attempts", json!(self.attempts));
        if let Some(error) = &self.last_error {
            put("last_error", json!(error));
        }
        put("enqueued_at", json!(self.enqueued_at.database_text()));
        let times = [
            ("dispatched_at", self.dispatched_at),
            ("completed_at", self.completed_at),
            ("expires_at", self.expires_at),
        ];
        for (name, time) in times {
            time.into_iter().for_each(|time| {
                put(name, json!(time.database_text()));
            });
        }
        if let Some(answer) = self.answer.as_ref().filter(|_| newest) {
            put("response_body", answer.clone());
        } else if let Some((delegation, text)) = self.delegation.zip(self.result.as_ref()) {
            let document = json!({ "text": text, "delegation_id": delegation.to_string() });
            put("response_body", json!(STANDARD.encode(document.to_string())));
        }
        Value::Object(fields)
    }
}

fn message_id(body: &Value) -> Option<&Value> {
    body.pointer("/params/message/messageId")
}
