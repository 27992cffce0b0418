//! Delegations: a task for another agent, carried out in the background, with rows in the own log.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::a2a::{NO_DELEGATION, Passage};
use crate::activity::{NewRow, Refused};
use crate::agenda::Job;
use crate::call::Call;
use crate::dispatch::{Launched, Purpose};
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::{self, Malformed};
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;

const RETRY_AFTER: Duration = Duration::from_secs(8);
/// How long after its event a result is in the inbox.
const ROW_AFTER_EVENT: Duration = Duration::from_millis(50);
pub(crate) const PREVIEW: usize = 300;
const SUMMARY: usize = 80;

#[derive(Clone, Debug)]
pub(crate) struct Delegation {
    source: Uuid,
    target: String,
    task: String,
    /// The `delegate` row, if it could be written.
    row: Option<Uuid>,
    result_row: Option<Uuid>,
    retried: bool,
}

pub(crate) type Delegations = BTreeMap<Uuid, Delegation>;

impl Platform {
    pub(crate) fn delegate(&mut self, call: &Call, id: &str) -> Answer {
        let invalid = |Malformed| Response::error(400, "invalid delegation request");
        let fields = call.fields().map_err(invalid)?;
        let target = fields.required("target_id").map_err(invalid)?.to_owned();
        let task = fields.required("task").map_err(invalid)?.to_owned();
        let key = fields.filled("idempotency_key").map_err(invalid)?.map(str::to_owned);
        database_uuid(&target).ok_or_else(|| Response::error(400, "target_id must be a valid UUID"))?;
        if target == id {
            return Err(self.no_self_delegation());
        }
        let source = database_uuid(id).ok_or_else(|| Response::error(500, "query failed"))?;
        if self.workspaces.get(source).is_some_and(|workspace| !workspace.can_delegate) {
            return Err(Response::error(403, NO_DELEGATION));
        }
        if let Some(hit) = key.as_deref().and_then(|key| self.known_key(source, key)) {
            return Ok(hit);
        }
        let delegation = self.ids.uuid();
        let row = self.delegate_row(source, &target, &task, &delegation.to_string());
        let row = NewRow { status: Some("pending".to_owned()), idempotency_key: key, ..row };
        let row = self.activity.insert(row, call.now).ok().map(|row| row.id);
        let mut body =
            json!({ "delegation_id": delegation.to_string(), "status": "delegated", "target_id": target });
        if row.is_none() {
            json::put(&mut body, "warning", json!("delegation dispatched but status tracking unavailable"));
        } else {
            self.announce_delegation(source, &delegation.to_string(), &target, &task, call.now);
        }
        self.open_entry(delegation, source, &target, &task, call.now);
        let state = Delegation { source, target, task, row, result_row: None, retried: false };
        self.delegations.insert(delegation, state);
        self.agenda.add(call.now, Job::Delegate(delegation));
        Ok(Response::json(202, body))
    }

    fn no_self_delegation(&self) -> Response {
        let mut body = json!({ "error": "self-delegation not permitted" });
        if self.level >= Level::Newest {
            json::put(&mut body, "hint", json!("delegate to another workspace, or do the work yourself"));
            json::put(&mut body, "reason", json!("self_delegation"));
        }
        Response::json(400, body)
    }

    /// The answer for a key that was used before; a failed delegation makes way for another.
    fn known_key(&mut self, source: Uuid, key: &str) -> Option<Response> {
        let row = self.activity.of(source).find(|row| row.idempotency_key.as_deref() == Some(key))?;
        let id = row.id;
        if row.status == "failed" {
            self.activity.remove(id);
            return None;
        }
        let delegation = row.request_body.as_ref().and_then(|body| body.get("delegation_id")).cloned();
        let body = json!({
            "delegation_id": delegation,
            "idempotent_hit": true,
            "status": row.status,
            "target_id": row.target.map(|id| id.to_string()),
        });
        Some(Response::json(200, body))
    }

    pub(crate) fn delegate_row(
        &mut self,
        source: Uuid,
        target: &str,
        task: &str,
        delegation: &str,
    ) -> NewRow {
        let later = self.level >= Level::Later;
        NewRow {
            source: Some(source.to_string()),
            target: Some(target.to_owned()),
            method: Some("delegate".to_owned()),
            summary: Some(format!("Delegating to {target}")),
            request_body: Some(json!({ "task": task, "delegation_id": delegation })),
            response_body: later.then(|| json!({ "delegation_id": delegation })),
            ..self.new_row(source, "delegation")
        }
    }

    pub(crate) fn announce_delegation(
        &mut self,
        source: Uuid,
        delegation: &str,
        target: &str,
        task: &str,
        now: Now,
    ) {
        let preview = self.preview(task, 100);
        let data = json!({ "delegation_id": delegation, "target_id": target, "task_preview": preview });
        self.emit(source, "DELEGATION_SENT", data, now);
    }

    /// Sends the task, for the first or the second time.
    pub(crate) fn run_delegation(&mut self, id: Uuid, now: Now) {
        let Some(delegation) = self.delegations.get(&id).cloned() else { return };
        if !delegation.retried {
            self.set_delegation_status(id, "dispatched", None, now);
            let data = json!({ "delegation_id": id.to_string(), "status": "dispatched", "target_id": delegation.target });
            self.emit(delegation.source, "DELEGATION_STATUS", data, now);
        }
        let body = json!({
            "method": "message/send",
            "params": { "message": {
                "role": "user",
                "messageId": id.to_string(),
                "parts": [{ "type": "text", "text": delegation.task }],
                "metadata": { "delegation_id": id.to_string() },
            } },
        });
        let caller = delegation.source.to_string();
        let passed = self.pass(Some(&caller), &delegation.target, body.to_string().as_bytes(), now);
        let answer = match passed {
            Ok(Passage::Queued(answer)) | Err(answer) => answer,
            Ok(Passage::Push(message)) => match self.launch(message, Purpose::Delegation(id), now) {
                Launched::Done(answer) => answer,
                Launched::Away(dispatch) => return self.background.push(dispatch),
            },
        };
        self.delegation_answered(id, &answer, now);
    }

    /// Takes what the target said: a result, a reason to try again, or a failure.
    pub(crate) fn delegation_answered(&mut self, id: Uuid, answer: &Response, now: Now) {
        let Some(delegation) = self.delegations.get_mut(&id) else { return };
        let body = answer.body_json();
        let flag = |name: &str| body.get(name) == Some(&json!(true));
        let error = body.get("error").and_then(Value::as_str).map(str::to_owned);
        let passing = answer.status == 502 || (answer.status == 503 && flag("restarting"));
        if passing && !delegation.retried {
            delegation.retried = true;
            self.agenda.add(now.plus(RETRY_AFTER), Job::Delegate(id));
            return;
        }
        let empty = error.as_deref() == Some("agent returned empty response body");
        if answer.status == 202 && flag("queued") {
            self.delegation_waits(id, now);
        } else if answer.status >= 300 || (empty && self.level >= Level::Later) {
            self.delegation_failed(id, &error.unwrap_or_else(|| format!("HTTP {}", answer.status)), now);
        } else {
            self.delegation_completed(id, &reply_text(answer), now);
        }
    }

    fn delegation_waits(&mut self, id: Uuid, now: Now) {
        let row = NewRow {
            summary: Some("Delegation queued — target at capacity".to_owned()),
            status: Some("queued".to_owned()),
            response_body: Some(json!({ "delegation_id": id.to_string(), "queued": true })),
            ..self.result_row(id)
        };
        let stored = self.activity.insert(row, now).ok().map(|row| row.id);
        self.delegations.entry(id).and_modify(|delegation| delegation.result_row = stored);
        self.set_row_status(id, "queued", None);
    }

    fn delegation_completed(&mut self, id: Uuid, text: &str, now: Now) {
        let stored = self.result_summary(text).and_then(|summary| {
            let row = NewRow {
                summary: Some(summary),
                status: Some("completed".to_owned()),
                response_body: Some(json!({ "text": text, "delegation_id": id.to_string() })),
                ..self.result_row(id)
            };
            self.activity.insert(row, now)
        });
        self.set_delegation_status(id, "completed", None, now);
        if text.contains('\0') {
            return;
        }
        drop(stored);
        self.close_entry(id, "completed", Some(text), None, now);
        self.announce_result(id, text, false, now);
        self.push_result(id, Some(text), None, now);
    }

    fn delegation_failed(&mut self, id: Uuid, error: &str, now: Now) {
        let row = NewRow {
            summary: Some("Delegation failed".to_owned()),
            status: Some("failed".to_owned()),
            error_detail: Some(error.to_owned()),
            ..self.result_row(id)
        };
        drop(self.activity.insert(row, now));
        self.set_delegation_status(id, "failed", Some(error), now);
        self.close_entry(id, "failed", None, Some(error), now);
        let Some(delegation) = self.delegations.get(&id) else { return };
        let data = json!({ "delegation_id": id.to_string(), "error": error, "target_id": delegation.target });
        self.emit(delegation.source, "DELEGATION_FAILED", data, now);
        self.push_result(id, None, Some(error), now);
    }

    /// A message from the busy queue was answered. The result row changes in place, the other one does not.
    pub(crate) fn delegation_drained(&mut self, id: Uuid, answer: &Response, now: Now) -> String {
        let text = reply_text(answer);
        let summary = self.result_summary(&text).unwrap_or_default();
        let row = self.delegations.get(&id).and_then(|delegation| delegation.result_row);
        if let Some(row) = row.and_then(|row| self.activity.find_mut(row)) {
            row.status = "completed".to_owned();
            row.summary = Some(summary);
            row.response_body = Some(json::stored(&json!({ "text": text, "delegation_id": id.to_string() })));
        }
        self.announce_result(id, &text, true, now);
        text
    }

    fn announce_result(&mut self, id: Uuid, text: &str, drained: bool, now: Now) {
        let Some(delegation) = self.delegations.get(&id).cloned() else { return };
        let mut data = json!({
            "delegation_id": id.to_string(),
            "response_preview": self.preview(text, PREVIEW),
            "target_id": delegation.target,
        });
        if drained {
            json::put(&mut data, "via", json!("queue_drain"));
        }
        self.emit(delegation.source, "DELEGATION_COMPLETE", data, now);
    }

    /// With the switch for it on, a result is also put into the inbox, after its event.
    fn push_result(&mut self, id: Uuid, text: Option<&str>, error: Option<&str>, now: Now) {
        if let Some(delegation) = self.delegations.get(&id) {
            self.push_result_to(delegation.source, &id.to_string(), text, error, now);
        }
    }

    pub(crate) fn push_result_to(
        &mut self,
        source: Uuid,
        id: &str,
        text: Option<&str>,
        error: Option<&str>,
        now: Now,
    ) {
        if !self.switches.inbox_push || self.level == Level::Baseline {
            return;
        }
        let summary = if error.is_some() { "Delegation failed" } else { "Delegation result delivered" };
        let row = NewRow {
            source: Some(source.to_string()),
            method: Some("delegate_result".to_owned()),
            summary: Some(summary.to_owned()),
            status: Some(if error.is_some() { "error" } else { "ok" }.to_owned()),
            error_detail: error.map(str::to_owned),
            request_body: Some(json!({ "delegation_id": id })),
            response_body: Some(json!({ "text": text.unwrap_or_default(), "delegation_id": id })),
            ..self.new_row(source, "a2a_receive")
        };
        self.agenda.add(now.plus(ROW_AFTER_EVENT), Job::Store(Box::new(row)));
    }

    fn result_row(&mut self, id: Uuid) -> NewRow {
        let delegation = self.delegations.get(&id).cloned();
        let (source, target) = delegation.map(|known| (known.source, known.target)).unwrap_or_default();
        NewRow {
            source: Some(source.to_string()),
            target: Some(target),
            method: Some("delegate_result".to_owned()),
            ..self.new_row(source, "delegation")
        }
    }

    fn set_delegation_status(&mut self, id: Uuid, status: &str, error: Option<&str>, now: Now) {
        self.set_row_status(id, status, error);
        if status == "dispatched" {
            self.close_entry(id, status, None, None, now);
        }
    }

    /// Changes the `delegate` row in place; its instant stays.
    fn set_row_status(&mut self, id: Uuid, status: &str, error: Option<&str>) {
        let row = self.delegations.get(&id).and_then(|delegation| delegation.row);
        if let Some(row) = row.and_then(|row| self.activity.find_mut(row)) {
            row.status = status.to_owned();
            row.error_detail = error.map(str::to_owned);
        }
    }

    /// At most so many bytes: at the baseline plus three dots and maybe half a character.
    pub(crate) fn preview(&self, text: &str, length: usize) -> String {
        if text.len() <= length {
            return text.to_owned();
        }
        match self.level {
            Level::Baseline => {
                let start = text.as_bytes().get(..length).unwrap_or_default();
                format!("{}...", String::from_utf8_lossy(start))
            }
            Level::Later | Level::Newest => {
                let end = text.floor_char_boundary(length - '…'.len_utf8());
                format!("{}…", text.get(..end).unwrap_or_default())
            }
        }
    }

    /// The start of a result. At the baseline a cut through a character spoils the row.
    pub(crate) fn result_summary(&self, text: &str) -> Result<String, Refused> {
        if self.level == Level::Baseline && !text.is_char_boundary(SUMMARY.min(text.len())) {
            return Err(Refused);
        }
        Ok(format!("Delegation completed ({})", self.preview(text, SUMMARY)))
    }
}

/// The first text part that says `kind`; else the whole body as it came.
fn reply_text(answer: &Response) -> String {
    let body = answer.body_json();
    let parts = |pointer: &str| body.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let artifacts = parts("/result/artifacts").into_iter();
    let in_artifacts = artifacts.filter_map(|artifact| artifact.get("parts")?.as_array().cloned()).flatten();
    let mut all = parts("/result/parts").into_iter().chain(in_artifacts);
    let text = all.find(|part| part.get("kind") == Some(&json!("text")));
    let text = text.and_then(|part| part.get("text")?.as_str().map(str::to_owned));
    text.unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned())
}
