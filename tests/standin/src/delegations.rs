//! The list of delegations, and those that agents carry out themselves.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::activity::{NewRow, Row};
use crate::call::Call;
use crate::delegation::PREVIEW;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::{self, Malformed};
use crate::ledger::Entry;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;

/// Rows, so about half as many delegations.
const LISTED: usize = 50;

impl Platform {
    /// Every row that looks like a delegation, whoever wrote it.
    pub(crate) fn list_delegations(&self, id: &str) -> Answer {
        let workspace = database_uuid(id).filter(|_| !self.activity.down);
        let Some(workspace) = workspace else {
            return match self.level {
                Level::Baseline => Err(Response::error(500, "query failed")),
                Level::Later | Level::Newest => Ok(Response::json(200, json!([]))),
            };
        };
        let entries: Vec<Value> = self
            .ledger
            .of(workspace, self.level)
            .map(|entry| self.directed(self.entry_json(entry), workspace))
            .collect();
        if !entries.is_empty() {
            return Ok(Response::json(200, Value::Array(entries)));
        }
        let rows = self.activity.newest_first(workspace).into_iter();
        let rows = rows.filter(|row| matches!(row.method.as_deref(), Some("delegate" | "delegate_result")));
        Ok(Response::json(
            200,
            rows.take(LISTED).map(|row| self.directed(self.listed(row), workspace)).collect(),
        ))
    }

    /// At the newest level an item says whether it is ours.
    fn directed(&self, mut item: Value, own: Uuid) -> Value {
        if self.level >= Level::Newest {
            let sent = item.get("source_id") == Some(&json!(own.to_string()));
            json::put(&mut item, "direction", json!(if sent { "sent" } else { "received" }));
        }
        item
    }

    fn entry_json(&self, entry: &Entry) -> Value {
        entry.to_json(|text| self.preview(text, PREVIEW))
    }

    fn listed(&self, row: &Row) -> Value {
        let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let mut item = json!({
            "created_at": row.created_at.rfc3339(),
            "id": row.id.to_string(),
            "source_id": id(row.source),
            "status": row.status,
            "summary": row.summary.clone().unwrap_or_default(),
            "target_id": id(row.target),
            "type": row.activity_type,
        });
        let bodies = [&row.request_body, &row.response_body];
        let named = bodies.into_iter().flatten().find_map(|body| body.get("delegation_id"));
        let named = named.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let text = row.response_body.as_ref().map(|body| match body.get("text").and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => json::database_text(body),
        });
        let optional = [
            ("delegation_id", named),
            ("error", row.error_detail.clone()),
            ("response_preview", text.map(|text| self.preview(&text, PREVIEW))),
        ];
        for (name, value) in optional {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                json::put(&mut item, name, json!(value));
            }
        }
        item
    }

    /// Writes down a delegation that the agent carries out itself.
    pub(crate) fn record_delegation(&mut self, call: &Call, id: &str) -> Answer {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let target = fields.required("target_id").map_err(bad_body)?.to_owned();
        let task = fields.required("task").map_err(bad_body)?.to_owned();
        let delegation = fields.required("delegation_id").map_err(bad_body)?.to_owned();
        database_uuid(&target).ok_or_else(|| Response::error(400, "target_id must be a valid UUID"))?;
        let failed = || Response::error(500, "failed to record delegation");
        let source = database_uuid(id).ok_or_else(failed)?;
        let row = self.delegate_row(source, &target, &task, &delegation);
        let row = NewRow { status: Some("dispatched".to_owned()), ..row };
        self.activity.insert(row, call.now).map_err(|_| failed())?;
        self.announce_delegation(source, &delegation, &target, &task, call.now);
        Ok(Response::json(202, json!({ "delegation_id": delegation, "status": "recorded" })))
    }

    pub(crate) fn update_delegation(&mut self, call: &Call, id: &str, delegation: &str) -> Answer {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let status = fields.required("status").map_err(bad_body)?;
        let error = fields.text("error").map_err(bad_body)?.unwrap_or_default();
        let text = fields.text("response_preview").map_err(bad_body)?.unwrap_or_default();
        let source = database_uuid(id).ok_or_else(|| Response::error(500, "query failed"))?;
        match status {
            "completed" => self.recorded_completed(source, delegation, text, call.now),
            "failed" => self.recorded_failed(source, delegation, error, call.now),
            _ => return Err(Response::error(400, "status must be 'completed' or 'failed'")),
        }
        Ok(Response::json(200, json!({ "delegation_id": delegation, "status": status })))
    }

    fn recorded_completed(&mut self, source: Uuid, delegation: &str, text: &str, now: Now) {
        self.set_recorded(source, delegation, "completed", None);
        if let Ok(summary) = self.result_summary(text) {
            let row = NewRow {
                source: Some(source.to_string()),
                method: Some("delegate_result".to_owned()),
                summary: Some(summary),
                status: Some("completed".to_owned()),
                response_body: Some(json!({ "text": text, "delegation_id": delegation })),
                ..self.new_row(source, "delegation")
            };
            drop(self.activity.insert(row, now));
        }
        let data = json!({ "delegation_id": delegation, "response_preview": self.preview(text, PREVIEW) });
        self.emit(source, "DELEGATION_COMPLETE", data, now);
        self.push_result_to(source, delegation, Some(text), None, now);
    }

    fn recorded_failed(&mut self, source: Uuid, delegation: &str, error: &str, now: Now) {
        self.set_recorded(source, delegation, "failed", Some(error));
        let data = json!({ "delegation_id": delegation, "error": error });
        self.emit(source, "DELEGATION_FAILED", data, now);
        self.push_result_to(source, delegation, None, Some(error), now);
    }

    fn set_recorded(&mut self, source: Uuid, delegation: &str, status: &str, error: Option<&str>) {
        let named = |row: &Row| {
            row.method.as_deref() == Some("delegate")
                && row.request_body.as_ref().and_then(|body| body.get("delegation_id"))
                    == Some(&json!(delegation))
        };
        for row in self.activity.of_mut(source).filter(|row| named(row)) {
            row.status = status.to_owned();
            row.error_detail = error.map(str::to_owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::script::Script;
    use crate::testing::Stage;

    const ENVELOPE: &str = r#"{"delivery_mode":"poll","method":"message/send","status":"queued"}"#;

    fn delegate(stage: &mut Stage, target: Uuid) -> String {
        let body = json!({ "target_id": target.to_string(), "task": "do it" });
        let (status, answer) = stage.post("/delegate", &body);
        assert_eq!(status, 202, "{answer}");
        answer["delegation_id"].as_str().unwrap().to_owned()
    }

    fn statuses(stage: &mut Stage) -> Vec<(String, String)> {
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let rows = stage.get("/activity?type=delegation").1;
        rows.as_array().unwrap().iter().map(|row| (text(row, "method"), text(row, "status"))).collect()
    }

    fn pairs(pairs: [(&str, &str); 2]) -> Vec<(String, String)> {
        pairs.into_iter().map(|(method, status)| (method.to_owned(), status.to_owned())).collect()
    }

    #[test]
    fn a_peer_that_polls_completes_at_once_with_the_envelope() {
        let mut stage = Stage::new(Level::Later);
        let peer = stage.peer.id;
        let id = delegate(&mut stage, peer);

        let list = stage.get("/delegations").1;

        assert_eq!(list[0]["response_preview"], ENVELOPE);
        assert_eq!(list[1]["response_preview"], format!(r#"{{"delegation_id": "{id}"}}"#));
        assert_eq!((&list[0]["status"], &list[1]["status"]), (&json!("completed"), &json!("completed")));
        assert_eq!(stage.platform.rows(peer).len(), 1);
    }

    #[test]
    fn a_delegation_through_the_busy_queue_stays_queued_although_its_result_arrives() {
        let mut stage = Stage::new(Level::Later);
        let busy = stage.platform.push_peer("busy", Script::HangUp);
        delegate(&mut stage, busy.id);
        assert_eq!(statuses(&mut stage), pairs([("delegate_result", "queued"), ("delegate", "queued")]));

        stage.platform.rescript(busy.id, Script::text("pong"));
        let body = json!({ "workspace_id": busy.id.to_string() });
        stage.answer(&crate::Request::new("POST", "/registry/heartbeat").bearer(&busy.token).json(&body));

        assert_eq!(statuses(&mut stage), pairs([("delegate_result", "completed"), ("delegate", "queued")]));
    }

    #[test]
    fn an_unreachable_peer_is_tried_once_more_after_eight_seconds() {
        let mut stage = Stage::new(Level::Later);
        let gone = stage.platform.push_peer("gone", Script::Refuse);
        delegate(&mut stage, gone.id);
        stage.wait(Duration::from_secs(7));
        assert_eq!(stage.get("/delegations").1[0]["status"], "dispatched");

        stage.wait(Duration::from_secs(1));

        let list = stage.get("/delegations").1;
        assert_eq!(list[0]["error"], "failed to reach workspace agent");
        assert_eq!((list[0].get("delegation_id"), &list[1]["status"]), (None, &json!("failed")));
    }

    #[test]
    fn a_key_is_known_until_its_delegation_has_failed() {
        let mut stage = Stage::new(Level::Later);
        let with_key =
            |target: Uuid| json!({ "target_id": target.to_string(), "task": "x", "idempotency_key": "k" });
        let failing = stage.platform.push_peer("failing", Script::Answer(500, r#"{"error":"boom"}"#.into()));
        assert_eq!(stage.post("/delegate", &with_key(failing.id)).0, 202);

        let (status, fresh) = stage.post("/delegate", &with_key(stage.peer.id));
        let (again, hit) = stage.post("/delegate", &with_key(failing.id));

        assert_eq!((status, again), (202, 200));
        assert_eq!((&hit["delegation_id"], &hit["idempotent_hit"]), (&fresh["delegation_id"], &json!(true)));
    }

    #[test]
    fn previews_are_cut_and_full_texts_kept() {
        for (level, preview) in [
            (Level::Baseline, format!("{}...", "y".repeat(300))),
            (Level::Later, format!("{}…", "y".repeat(297))),
        ] {
            let mut stage = Stage::new(level);
            let talker = stage.platform.push_peer("talker", Script::text(&"y".repeat(1000)));
            delegate(&mut stage, talker.id);

            assert_eq!(stage.get("/delegations").1[0]["response_preview"], preview);
            let rows = stage.get("/activity?type=delegation").1;
            assert_eq!(rows[0]["response_body"]["text"], "y".repeat(1000));
        }
    }

    #[test]
    fn anybody_can_forge_an_entry_of_the_list() {
        let mut stage = Stage::new(Level::Later);
        let forged = json!({ "jsonrpc": "2.0", "method": "delegate", "delegation_id": "forged" });
        stage.platform.sends(None, stage.own.id, &forged);

        let list = stage.get("/delegations").1;

        assert_eq!((&list[0]["type"], &list[0]["delegation_id"]), (&json!("a2a_receive"), &json!("forged")));
    }
}
