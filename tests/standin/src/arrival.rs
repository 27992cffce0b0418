//! What becomes of an inbound message: a row, and the events that tell of it.
//!
//! ```text
//! before:  row ── ACTIVITY_LOGGED
//! newest:  row ── ACTIVITY_LOGGED (ingest) ── gap ── USER_MESSAGE ── gap ── ACTIVITY_LOGGED (queued for poll)
//!           └── once for its message id: a repetition raises the events again, with the new text
//! ```

use serde_json::{Value, json};
use uuid::Uuid;

use crate::a2a::Message;
use crate::activity::{NewRow, Row, body_message_id};
use crate::agenda::Job;
use crate::json;
use crate::normalise::method;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;

impl Platform {
    /// The summary of a message to a poll-mode agent called `name`.
    pub(crate) fn inbound_summary(&self, envelope: &Value, name: &str) -> String {
        let ingested = self.level >= Level::Newest && is_sent_message(envelope);
        let how = if ingested { "ingest" } else { "queued for poll" };
        format!("{} → {name} ({how})", method(envelope))
    }

    /// Stores a message for a poll-mode agent, and tells whoever listens.
    pub(crate) fn receive_message(&mut self, new: NewRow, now: Now) {
        if self.level < Level::Newest {
            return self.receive(new, now);
        }
        let stored = self.activity.of_message(&new).is_some();
        let row = if stored { self.activity.row(new, now) } else { self.activity.insert(new, now) };
        if let Ok(row) = row {
            self.announce_message(&row, now);
        }
    }

    /// Tells of a message to a poll-mode agent.
    pub(crate) fn announce_message(&mut self, row: &Row, now: Now) {
        self.announce_row(row, now);
        let sent = row.request_body.as_ref().filter(|body| is_sent_message(body));
        let Some(body) = sent.filter(|_| self.level >= Level::Newest) else { return };
        let gap = self.switches.event_gap;
        if let Some(data) = user_message(row.workspace, body) {
            self.emit_at(now.plus(gap), row.workspace, "USER_MESSAGE", data, now);
        }
        let mut again = self.row_data(row);
        let summary = format!("{} → {} (queued for poll)", method(body), self.name_of(row.workspace));
        json::put(&mut again, "summary", json!(summary));
        self.emit_at(now.plus(gap).plus(gap), row.workspace, "ACTIVITY_LOGGED", again, now);
    }

    fn emit_at(&mut self, due: Now, workspace: Uuid, kind: &'static str, data: Value, now: Now) {
        if due <= now {
            self.emit(workspace, kind, data, now);
        } else {
            self.agenda.add(due, Job::Emit(workspace, kind, data));
        }
    }

    /// At the newest level a message to a push-mode agent has its row before it is dispatched.
    pub(crate) fn receive_pushed(&mut self, message: &Message, now: Now) {
        if !is_sent_message(&message.body) {
            return;
        }
        let summary = self.inbound_summary(&message.body, &self.name_of(message.target));
        let row = self.inbound_row(message.target, message.caller.clone(), message.body.clone());
        let row = NewRow { summary: Some(summary), ..row };
        if self.activity.of_message(&row).is_none() {
            self.receive(row, now);
        }
    }

    /// Writes down how the dispatch of a message ended: into its row, if it has one already.
    pub(crate) fn receive_outcome(&mut self, new: NewRow, now: Now) {
        let known = if self.level >= Level::Newest { self.activity.of_message(&new) } else { None };
        let Some(row) = known else { return self.receive(new, now) };
        let is_open = row.response_body.is_none();
        row.status = new.status.unwrap_or_else(|| "ok".to_owned());
        row.duration_ms = new.duration_ms;
        row.error_detail = new.error_detail;
        row.response_body =
            new.response_body.filter(|body| !body.is_null() && is_open).or(row.response_body.take());
        let row = row.clone();
        self.announce_row(&row, now);
    }
}

/// Whether the newest level treats this as a message: other methods, and oddities, are only passed on.
fn is_sent_message(envelope: &Value) -> bool {
    method(envelope) == "message/send" && envelope.pointer("/params/message").is_some_and(Value::is_object)
}

/// The content of `USER_MESSAGE`; peers cause it too. Nothing if there is neither text nor file.
fn user_message(workspace: Uuid, envelope: &Value) -> Option<Value> {
    let parts = envelope.pointer("/params/message/parts").and_then(Value::as_array).map(Vec::as_slice);
    let parts = parts.unwrap_or_default();
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
    let files: Vec<Value> = parts.iter().filter_map(|part| Some(attachment(part.get("file")?))).collect();
    let content = texts.join("\n");
    if content.is_empty() && files.is_empty() {
        return None;
    }
    let mut data = json!({
        "content": content,
        "message_id": body_message_id(envelope),
        "workspace_id": workspace.to_string(),
    });
    if !files.is_empty() {
        json::put(&mut data, "attachments", json!(files));
    }
    Some(data)
}

fn attachment(file: &Value) -> Value {
    let keys = ["uri", "name", "mimeType", "size"].into_iter();
    keys.filter_map(|key| Some((key.to_owned(), file.get(key)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::StreamId;
    use crate::script::Script;
    use crate::testing::{Stage, texts};

    fn message(id: &str, text: &str) -> Value {
        let message = json!({ "messageId": id, "parts": [{ "kind": "text", "text": text }] });
        json!({ "jsonrpc": "2.0", "method": "message/send", "params": { "message": message } })
    }

    fn heard(stage: &mut Stage, stream: StreamId) -> Vec<String> {
        let events = stage.platform.drain(stream).unwrap_or_default();
        let told = events.iter().map(|event| {
            let summary = event.data["summary"].as_str().or(event.data["content"].as_str());
            format!("{} {}", event.kind, summary.unwrap_or_default())
        });
        told.collect()
    }

    #[test]
    fn at_the_newest_level_a_message_is_one_row_and_three_events() {
        let mut stage = Stage::new(Level::Newest);
        let own = stage.own.id;
        let stream = stage.platform.subscribe(own);

        stage.platform.sends(Some(stage.peer.id), own, &message("m", "hi"));
        assert_eq!(heard(&mut stage, stream), ["ACTIVITY_LOGGED message/send → own (ingest)"]);
        stage.wait(Duration::from_millis(4));

        let later = ["USER_MESSAGE hi", "ACTIVITY_LOGGED message/send → own (queued for poll)"];
        assert_eq!(heard(&mut stage, stream), later);
        let rows = stage.inbox("");
        assert_eq!((rows.len(), rows[0]["summary"].as_str()), (1, Some("message/send → own (ingest)")));
    }

    #[test]
    fn at_the_newest_level_a_message_id_is_stored_once_and_told_again() {
        let mut stage = Stage::new(Level::Newest);
        let (own, peer) = (stage.own.id, stage.peer.id);
        stage.platform.sends(None, own, &message("m", "first"));
        stage.wait(Duration::from_millis(4));
        let stream = stage.platform.subscribe(own);

        let again = stage.platform.sends(Some(peer), own, &message("m", "second")).unwrap();
        stage.wait(Duration::from_millis(4));

        assert_eq!(again.body_json()["status"], "queued");
        assert_eq!(texts(&stage.inbox("")), ["first"]);
        assert!(heard(&mut stage, stream).contains(&"USER_MESSAGE second".to_owned()));
        stage.platform.sends(Some(own), peer, &message("m", "to another"));
        assert_eq!(stage.platform.rows(peer).len(), 1);
    }

    #[test]
    fn before_the_newest_level_a_repetition_is_another_row_and_each_has_one_event() {
        let mut stage = Stage::new(Level::Later);
        let own = stage.own.id;
        let stream = stage.platform.subscribe(own);

        stage.platform.sends(None, own, &message("m", "first"));
        stage.platform.sends(None, own, &message("m", "second"));
        stage.wait(Duration::from_millis(4));

        assert_eq!(texts(&stage.inbox("")), ["second", "first"]);
        assert_eq!(heard(&mut stage, stream).len(), 2);
    }

    #[test]
    fn at_the_newest_level_an_answer_is_written_into_the_row_of_its_message() {
        let mut stage = Stage::new(Level::Newest);
        let echo = stage.platform.push_peer("echo", Script::Echo);

        stage.platform.sends(Some(stage.own.id), echo.id, &message("m", "hi"));

        let rows = stage.platform.rows(echo.id);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].response_body.is_some());
        assert_eq!(rows[0].summary.as_deref(), Some("message/send → echo (ingest)"));
    }

    #[test]
    fn at_the_newest_level_rows_of_one_instant_are_told_apart() {
        for (level, seen) in [(Level::Later, vec!["later"]), (Level::Newest, vec!["twin", "later"])] {
            let mut stage = Stage::new(level);
            let (own, instant) = (stage.own.id, stage.now);
            let cursor = stage.platform.user_sent(own, "one", instant);
            stage.platform.user_sent(own, "twin", instant);
            stage.platform.user_sent(own, "later", instant.plus(Duration::from_micros(1)));

            assert_eq!(texts(&stage.inbox(&format!("since_id={cursor}"))), seen, "{level:?}");
        }
    }
}
