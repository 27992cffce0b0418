//! An activity log with the rules of the platform.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{BEGINNING, answer};
use crate::{
    platform::stamp::Stamp,
    testing::OWN,
    wire::{Outcome, PlatformRequest},
};

/// The activity log of one workspace, with the rules of the real one.
pub(crate) struct Platform {
    pub(super) log: Vec<Entry>,
    pub(super) rows_made: u64,
    /// Microseconds since 1970.
    pub(crate) clock: i64,
    /// Rows are pages back with `before_ts`.
    pub(crate) pages_back: bool,
    /// Answers say what time it is.
    pub(crate) tells_time: bool,
    /// Answers that come before the log is asked.
    pub(crate) script: VecDeque<Outcome>,
    pub(crate) requests: Vec<PlatformRequest>,
    /// What `GET /workspaces/:id` answers.
    pub(crate) record: (u16, Value),
    /// Files that were acknowledged, one after the other.
    pub(crate) acknowledged: Vec<String>,
    pub(crate) ack_status: u16,
}

#[derive(Clone)]
pub(super) struct Entry {
    id: String,
    stamp: i64,
    json: Value,
    /// Bytes that the row has beyond those of `json`.
    bulk: usize,
}

impl Platform {
    pub(super) fn new() -> Self {
        Self {
            log: Vec::new(),
            rows_made: 0,
            clock: BEGINNING,
            pages_back: true,
            tells_time: false,
            script: VecDeque::new(),
            requests: Vec::new(),
            acknowledged: Vec::new(),
            ack_status: 200,
            record: (200, json!({"id": OWN, "status": "online"})),
        }
    }

    /// The user says something, a second after the last row.
    pub(crate) fn say(&mut self, text: &str) -> String {
        self.insert(&json!({"source_id": null, "request_body": said(text)}), 1_000_000, 0)
    }

    /// Another workspace says something.
    pub(crate) fn say_as(&mut self, source: &str, text: &str) -> String {
        self.insert(&json!({"source_id": source, "request_body": said(text)}), 1_000_000, 0)
    }

    /// The user says something in the microsecond of the last row.
    pub(crate) fn say_at_once(&mut self, text: &str) -> String {
        self.insert(&json!({"source_id": null, "request_body": said(text)}), 0, 0)
    }

    /// The user says something that takes so many bytes.
    pub(crate) fn say_at_length(&mut self, text: &str, bulk: usize) -> String {
        self.insert(&json!({"source_id": null, "request_body": said(text)}), 1_000_000, bulk)
    }

    /// The user sends a file of three bytes: the row about it.
    pub(crate) fn send_file(&mut self, file: &str) -> String {
        let body = json!({"file_id": file, "name": "a.png", "mimeType": "image/png", "size": 3,
            "uri": format!("platform-pending:{OWN}/{file}")});
        let row = json!({"source_id": null, "method": "chat_upload_receive", "request_body": body});
        self.insert(&row, 1_000_000, 0)
    }

    /// The user says something with files.
    pub(crate) fn say_with(&mut self, text: &str, files: &[&str]) -> String {
        let mut body = said(text);
        for file in files {
            let part = json!({"kind": "file", "file": {"name": "a.png", "mimeType": "image/png",
                "uri": format!("platform-pending:{OWN}/{file}")}});
            body["params"]["message"]["parts"].as_array_mut().unwrap().push(part);
        }
        self.insert(&json!({"source_id": null, "request_body": body}), 1_000_000, 0)
    }

    /// The agent's own words come back, with a file.
    pub(crate) fn echo_with(&mut self, file: &str) -> String {
        let part = json!({"kind": "file", "file": {"name": "a.png", "uri": format!("platform-pending:{OWN}/{file}")}});
        let row = json!({"source_id": null, "target_id": null, "method": "notify",
            "response_body": {"result": "x", "parts": [part]}});
        self.insert(&row, 1_000_000, 0)
    }

    /// The agent's own words come back.
    pub(crate) fn echo(&mut self) -> String {
        let row = json!({"source_id": null, "target_id": null, "method": "notify", "response_body": {"result": "x"}});
        self.insert(&row, 1_000_000, 0)
    }

    /// Adds a row with these fields, so many microseconds after the last one. Its id is fresh unless it has one.
    pub(crate) fn insert(&mut self, fields: &Value, later_by: i64, bulk: usize) -> String {
        self.rows_made += 1;
        self.clock += later_by;
        // Ids carry no order.
        let scattered = self.rows_made.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let id = format!("{:08x}-0000-4000-8000-{scattered:012x}", self.rows_made % 7);
        let created_at = Stamp::at(self.clock).to_string();
        let mut json = json!({"id": id, "workspace_id": OWN, "activity_type": "a2a_receive", "source_id": null,
            "target_id": OWN, "method": "message/send", "summary": "message/send → ext-1 (queued for poll)",
            "status": "ok", "error_detail": null, "created_at": created_at});
        for (key, value) in fields.as_object().unwrap() {
            json[key] = value.clone();
        }
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        self.log.push(Entry { id: id.clone(), stamp: self.clock, json, bulk });
        id
    }

    /// Adds a message that was made in the past and becomes visible only now.
    pub(crate) fn appear(&mut self, text: &str, made: i64) -> String {
        let now = std::mem::replace(&mut self.clock, made);
        let id = self.insert(&json!({"source_id": null, "request_body": said(text)}), 0, 0);
        self.clock = now;
        id
    }

    /// When a row was made.
    pub(crate) fn stamp_of(&self, id: &str) -> Option<i64> {
        self.log.iter().find(|row| row.id == id).map(|row| row.stamp)
    }

    /// Deletes the oldest rows, as the platform does after a while.
    pub(crate) fn prune(&mut self, rows: usize) {
        self.log.drain(..rows);
    }

    pub(super) fn handle(&mut self, request: &PlatformRequest) -> Outcome {
        self.requests.push(request.clone());
        if request.path.len() == 2 {
            return Outcome::Responded(answer(self.record.0, &self.record.1));
        }
        if let [_, _, _, file, end] = request.path.as_slice()
            && end == "ack"
        {
            self.acknowledged.push(file.clone());
            return Outcome::Responded(answer(self.ack_status, &json!({"acked": true})));
        }
        assert_eq!(request.path, ["workspaces", OWN, "activity"]);
        self.script.pop_front().unwrap_or_else(|| self.page(request))
    }

    /// Deletes a row.
    pub(crate) fn delete(&mut self, id: &str) {
        self.log.retain(|row| row.id != id);
    }

    fn page(&self, request: &PlatformRequest) -> Outcome {
        let asked = |key: &str| query(request, key);
        let kind = asked("type").unwrap();
        let since = match asked("since_id") {
            Some(id) => match self.log.iter().find(|row| row.id == id) {
                Some(row) => row.stamp,
                None => {
                    return Outcome::Responded(answer(410, &json!({"error": "since_id cursor not found"})));
                }
            },
            None => i64::MIN,
        };
        let from = asked("since_secs")
            .map_or(i64::MIN, |secs| self.clock - secs.parse::<i64>().unwrap() * 1_000_000);
        let before = asked("before_ts").map(|text| Stamp::parse(&text).unwrap().microseconds());
        let source = asked("source");
        let mut rows: Vec<&Entry> = self
            .log
            .iter()
            .filter(|row| row.stamp > since && row.stamp >= from)
            .filter(|row| row.json["activity_type"] == *kind)
            .filter(|row| !self.pages_back || before.is_none_or(|before| row.stamp < before))
            .filter(|row| {
                source.as_deref().is_none_or(|source| row.json["source_id"].is_null() == (source == "canvas"))
            })
            .collect();
        rows.sort_by_key(|row| row.stamp);
        if asked("since_id").is_none() {
            rows.reverse();
        }
        rows.truncate(asked("limit").unwrap().parse().unwrap());
        let body = Value::Array(rows.iter().map(|row| row.json.clone()).collect());
        let mut response = answer(200, &body);
        response.server_time_ms = self.tells_time.then(|| u64::try_from(self.clock / 1_000).unwrap());
        let length = response.body.len() + rows.iter().map(|row| row.bulk).sum::<usize>();
        if length > request.limits.body_bytes as usize {
            Outcome::Overflowed
        } else {
            Outcome::Responded(response)
        }
    }
}

fn said(text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": "x", "method": "message/send",
        "params": {"message": {"role": "user", "parts": [{"kind": "text", "text": text}]}}})
}

pub(super) fn query(request: &PlatformRequest, key: &str) -> Option<String> {
    request.query.iter().find(|(asked, _)| asked == key).map(|(_, value)| value.clone())
}

/// The error that the platform answers under a status.
pub(crate) fn error(status: u16, text: &str) -> Outcome {
    Outcome::Responded(answer(status, &json!({ "error": text })))
}
