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
use crate::model::Mode;
use crate::normalise::{method, normalise};
use crate::now::Now;
use crate::platform::Platform;
use crate::workspaces::not_found;

const FORGED: [&str; 4] = ["channel:", "system:", "test:", "webhook:"];
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
            return Err(Response::error(402, "workspace budget limit exceeded"));
        }
        let envelope = normalise(body, &mut self.ids)?;
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

    /// Puts a message into the inbox of a poll-mode agent, after the delay that is configured.
    pub(crate) fn store_inbound(
        &mut self,
        target: Uuid,
        caller: Option<String>,
        envelope: Value,
        now: Now,
    ) -> Uuid {
        let name = self.workspaces.get(target).map(|workspace| workspace.name.clone()).unwrap_or_default();
        let summary = format!("{} → {name} (queued for poll)", method(&envelope));
        let row = NewRow { summary: Some(summary), ..self.inbound_row(target, caller, envelope) };
        let id = row.id;
        let delay = self.switches.insert_delay;
        // A message that comes while the log is down is lost, however soon it is up again.
        if delay.is_zero() || self.activity.down {
            self.receive(row, now);
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
    Response::new(status, "application/json", crate::json::encode(&crate::json::alphabetical(body.clone())))
}
