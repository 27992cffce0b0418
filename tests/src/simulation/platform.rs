//! The stand-in behind a bad line, and the people who write to the agent.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use standin::{
    Level, Now, Request, Response, Switches,
    world::{Credentials, Store},
};

use super::{
    chance::Chance,
    plan::{Kind, Plan},
    wire::{Method, Outcome, PlatformRequest, PlatformResponse, Unreachable},
};
use crate::target::target;

/// The platform's clock at the beginning: 2026-05-01T00:00:00Z, in microseconds.
pub(super) const BEGINNING: i64 = 1_777_593_600_000_000;

/// Peers that write; the user is one more.
pub(super) const PEERS: usize = 6;

/// Microseconds since the beginning.
pub(super) type Time = u64;

/// How far the platform's clock is ahead of the simulation's at first.
const AHEAD: Time = 100_000_000_000;

/// What becomes of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// The database fails to read rows.
    Database,
    /// Something in front of the platform answers in its place.
    Front,
    /// The platform takes a request, and hangs up.
    HangsUp,
    /// Nobody listens.
    Refused,
    /// Answers take very long.
    Slow,
    /// This status.
    Status(u16),
}

/// What the simulation knows of a row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Who wrote it: a peer, or the last number for the user.
    pub(super) from: usize,
    /// In microseconds since the beginning.
    pub(super) created_at: Time,
    /// From when on it can be read.
    pub(super) visible_at: Option<Time>,
    /// When it became visible there was a younger one, or one of the same instant.
    pub(super) late: bool,
    /// Nothing that the agent should see.
    pub(super) filtered: bool,
    /// It tells of a file, and a message that names the file may take its place.
    pub(super) may_fold: bool,
    /// When it was deleted.
    pub(super) gone_at: Option<Time>,
}

/// What somebody writes.
#[derive(Debug, Clone)]
pub(super) struct Writing {
    /// A peer, or [`PEERS`] for the user.
    pub(super) from: usize,
    /// How many bytes the text has at least.
    pub(super) size: usize,
    /// When its transaction began.
    pub(super) created_at: Time,
    /// It stays invisible until it is released.
    pub(super) held: bool,
    /// It comes with a file.
    pub(super) file: bool,
    /// It is no message, but something else that is logged.
    pub(super) echo: Option<Echo>,
}

/// Rows that are no messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    /// A message that was answered at once.
    Answered,
    /// The agent's own words to the user.
    Notify,
    /// A row of the agent's own making.
    Own,
}

/// The platform, and all that is written on it.
pub(super) struct Platform {
    standin: standin::Platform,
    me: Credentials,
    peers: Vec<Credentials>,
    /// All rows ever, by their ids.
    pub(super) rows: BTreeMap<String, Row>,
    /// What goes wrong for a while.
    pub(super) outage: Option<Outage>,
    /// Answers carry the time.
    tells_time: bool,
    /// How far its clock is ahead of the simulation's.
    ahead: Time,
    /// The agent's side has been told the time since the clock was set.
    is_heard: bool,
    has_files: bool,
    /// The youngest row that can be read, and since when.
    youngest: (Time, Time),
    written: u64,
    chance: Chance,
}

impl Platform {
    /// A platform with the agent's workspace and its peers.
    pub(super) fn new(plan: &Plan, mut chance: Chance) -> Self {
        let mut switches = Switches::new(plan.level);
        // What is deleted, and when, is planned.
        switches.retention = Duration::from_secs(31_536_000);
        // A clock that is set back keeps the limit from ending.
        let clock_steps = plan.incidents.iter().any(|(_, kind)| *kind == Kind::Clock);
        switches.rate_limit = if clock_steps { 1_000_000 } else { chance.within(120..=600) };
        let mut standin = standin::Platform::new(plan.level, switches, chance.any(), at(AHEAD));
        let me = standin.external_workspace("agent");
        let peers = (0..PEERS).map(|peer| standin.poll_peer(&format!("peer {peer}"))).collect();
        Self {
            standin,
            me,
            peers,
            rows: BTreeMap::new(),
            outage: None,
            tells_time: plan.tells_time,
            // So that it can be set back at any time.
            ahead: AHEAD,
            is_heard: false,
            has_files: plan.level != Level::Baseline,
            youngest: (0, 0),
            written: 0,
            chance,
        }
    }

    /// The id of the agent's workspace.
    pub(super) fn workspace(&self) -> String {
        self.me.id.to_string()
    }

    /// Somebody writes; the id of the row.
    pub(super) fn write(&mut self, writing: &Writing, now: Time) -> Option<String> {
        self.written += 1;
        let row = self.fields(writing, None);
        let (path, body) = if writing.held {
            ("/_test/activity/hold", json!({ "row": row }))
        } else {
            ("/_test/activity", json!({ "rows": [row] }))
        };
        let answer =
            self.standin.handle(&Request::new("POST", path).json(&body), self.at(now)).answer()?.body_json();
        let id = answer.get("hold").or_else(|| answer.pointer("/ids/0"))?.as_str()?.to_owned();
        let row = Row {
            from: writing.from,
            created_at: writing.created_at,
            visible_at: None,
            late: false,
            filtered: writing.echo.is_some(),
            may_fold: false,
            gone_at: None,
        };
        self.rows.insert(id.clone(), row);
        if !writing.held {
            self.becomes_visible(&id, now);
        }
        Some(id)
    }

    /// Whether the user can send files.
    pub(super) fn takes_files(&self) -> bool {
        self.has_files
    }

    /// The user sends a file, and, if `says`, something with it: the id of the file, and the rows that name it.
    pub(super) fn send_file(
        &mut self,
        writing: &Writing,
        says: bool,
        now: Time,
    ) -> Option<(String, Vec<String>)> {
        self.written += 1;
        let content = content_of(self.written);
        let part = format!(
            "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.bin\"\r\n\r\n{content}\r\n--b--\r\n"
        );
        let mut request = Request::new("POST", &format!("/workspaces/{}/chat/uploads", self.me.id))
            .bearer(&self.me.token)
            .header("Content-Type", "multipart/form-data; boundary=b");
        request.body = part.into();
        let answer = self.standin.handle(&request, self.at(now)).answer()?.body_json();
        let uri = answer.pointer("/files/0/uri")?.as_str()?.to_owned();
        let file = uri.rsplit('/').next()?.to_owned();
        let told = |row: &&standin::Row| {
            let body = row.request_body.as_ref();
            body.and_then(|body| body.get("uri")).and_then(Value::as_str) == Some(uri.as_str())
        };
        let (id, created_at) = {
            let row = self.standin.rows(self.me.id).into_iter().find(told)?;
            (row.id.to_string(), row.created_at)
        };
        let created_at = u64::try_from(created_at.micros().saturating_sub(BEGINNING)).unwrap_or(0);
        self.notes(&id, created_at, says, now);
        let mut rows = vec![id];
        if says {
            let writing = Writing { created_at: created_at + 1, ..writing.clone() };
            let body = json!({ "rows": [self.fields(&writing, Some(&uri))] });
            let request = Request::new("POST", "/_test/activity").json(&body);
            let answer = self.standin.handle(&request, self.at(now)).answer()?.body_json();
            let id = answer.pointer("/ids/0")?.as_str()?.to_owned();
            self.notes(&id, writing.created_at, false, now);
            rows.push(id);
        }
        Some((file, rows))
    }

    fn notes(&mut self, id: &str, created_at: Time, may_fold: bool, now: Time) {
        let row = Row {
            from: PEERS,
            created_at,
            visible_at: None,
            late: false,
            filtered: false,
            may_fold,
            gone_at: None,
        };
        self.rows.insert(id.to_owned(), row);
        self.becomes_visible(id, now);
    }

    /// A row that was held becomes visible.
    pub(super) fn release(&mut self, id: &str, now: Time) {
        let body = json!({ "hold": id });
        drop(self.standin.handle(&Request::new("POST", "/_test/activity/release").json(&body), self.at(now)));
        self.becomes_visible(id, now);
    }

    /// A row is deleted.
    pub(super) fn delete(&mut self, id: &str, now: Time) {
        if let Ok(uuid) = id.parse()
            && self.standin.delete_row(uuid)
            && let Some(row) = self.rows.get_mut(id)
        {
            row.gone_at = Some(now);
        }
    }

    /// What its clock says.
    pub(super) const fn time(&self, now: Time) -> Time {
        now + self.ahead
    }

    fn at(&self, now: Time) -> Now {
        at(self.time(now))
    }

    /// Whether the agent's side can have noticed how the clock was set last.
    pub(super) const fn clock_is_heard(&self) -> bool {
        self.is_heard
    }

    /// Its clock is set.
    pub(super) fn set_clock(&mut self, step: i64) {
        self.ahead = self.ahead.saturating_add_signed(step);
        self.is_heard = false;
    }

    /// What another implementation gets: so many rows after a known one, oldest first, or else the newest of the
    /// last ten minutes, turned round; nothing if the platform does not know the row.
    pub(super) fn rows_for_another(&mut self, cursor: Option<&str>, now: Time) -> Option<Vec<String>> {
        let query = match cursor {
            Some(id) => [("type", "a2a_receive"), ("limit", "100"), ("since_id", id)],
            None => [("type", "a2a_receive"), ("limit", "100"), ("since_secs", "600")],
        };
        let query = query.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let path = ["workspaces".to_owned(), self.workspace(), "activity".to_owned()];
        let request = Request::new("GET", &target(&path, &query)).bearer(&self.me.token);
        let answer = self.standin.handle(&request, self.at(now)).answer()?;
        if answer.status != 200 {
            return None;
        }
        let rows = answer.body_json();
        let ids = rows.as_array()?.iter().filter_map(|row| Some(row.get("id")?.as_str()?.to_owned()));
        let mut ids: Vec<String> = ids.collect();
        if cursor.is_none() {
            ids.reverse();
        }
        Some(ids)
    }

    /// Changes what goes wrong.
    pub(super) fn turn_bad(&mut self, outage: Option<Outage>) {
        self.standin.outage(Store::Activity, outage == Some(Outage::Database));
        self.outage = outage;
    }

    /// What a request comes to, and after how many microseconds.
    pub(super) fn handle(&mut self, request: &PlatformRequest, now: Time) -> (Outcome, Time) {
        let latency = self.chance.mostly_small(500..=200_000);
        self.is_heard |= matches!(self.outage, None | Some(Outage::Database));
        let (outcome, latency) = match self.outage {
            None | Some(Outage::Database) => (self.answer(request, now), latency),
            Some(Outage::Refused) => (unreachable("connection refused", false), latency),
            Some(Outage::HangsUp) => {
                drop(self.answer(request, now));
                (unreachable("the connection was closed", true), latency)
            }
            Some(Outage::Slow) => (self.answer(request, now), self.chance.within(1_000_000..=90_000_000)),
            Some(Outage::Front) => (self.front(), latency),
            Some(Outage::Status(status)) => (refusal(status, &mut self.chance), latency),
        };
        let limit = Time::from(request.limits.total_ms) * 1_000;
        if latency > limit { (unreachable("no answer in time", true), limit) } else { (outcome, latency) }
    }

    /// What the page of a proxy looks like.
    fn front(&mut self) -> Outcome {
        let status = if self.chance.percent(50) { 200 } else { 410 };
        Outcome::Responded(PlatformResponse {
            status,
            json: false,
            retry_after_ms: None,
            server_time_ms: None,
            body: b"<html>please log in</html>".to_vec(),
        })
    }

    fn answer(&mut self, asked: &PlatformRequest, now: Time) -> Outcome {
        let method = match asked.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut request = Request::new(method, &target(&asked.path, &asked.query)).bearer(&self.me.token);
        if let Some(body) = &asked.body {
            request.body = body.clone().into();
        }
        let Some(response) = self.standin.handle(&request, self.at(now)).answer() else {
            return unreachable("the connection was closed", true);
        };
        if response.body.len() > usize::try_from(asked.limits.body_bytes).unwrap_or(usize::MAX) {
            return Outcome::Overflowed;
        }
        Outcome::Responded(self.response(&response, now))
    }

    fn response(&self, response: &Response, now: Time) -> PlatformResponse {
        let header = |name| response.headers.get(name);
        let retry_after = header("Retry-After").and_then(|secs| secs.parse::<u64>().ok());
        // A header has whole seconds.
        let server_time = u64::try_from(self.at(now).micros() / 1_000_000).unwrap_or(0) * 1_000;
        PlatformResponse {
            status: response.status,
            json: header("Content-Type").is_some_and(|kind| kind.starts_with("application/json")),
            retry_after_ms: retry_after.map(|secs| secs.clamp(1, 300) * 1_000),
            server_time_ms: self.tells_time.then_some(server_time),
            body: response.body.to_vec(),
        }
    }

    fn becomes_visible(&mut self, id: &str, now: Time) {
        let Some(row) = self.rows.get_mut(id) else { return };
        row.visible_at = Some(now);
        // A row that shares its instant with one that could be read before it is late, too.
        let (instant, since) = self.youngest;
        row.late = row.created_at < instant || (row.created_at == instant && since < now);
        if !row.late {
            self.youngest = (row.created_at, now);
        }
    }

    fn fields(&self, writing: &Writing, file: Option<&str>) -> Value {
        let me = self.workspace();
        let number = self.written;
        let text = format!("{number} {}", "x".repeat(writing.size));
        let mut parts = vec![json!({ "kind": "text", "text": text })];
        parts.extend(file.map(|uri| json!({ "kind": "file", "file": { "name": "a.bin", "uri": uri } })));
        let envelope = json!({ "jsonrpc": "2.0", "id": number.to_string(), "method": "message/send",
            "params": { "message": { "role": "user", "parts": parts } } });
        let source = self.peers.get(writing.from).map(|peer| peer.id.to_string());
        let mut row = json!({ "workspace_id": me, "activity_type": "a2a_receive", "target_id": me,
            "source_id": source, "method": "message/send", "request_body": envelope,
            "created_at": at(writing.created_at).rfc3339() });
        let changes = match writing.echo {
            None => json!({}),
            Some(Echo::Answered) => json!({ "response_body": { "result": "done" } }),
            Some(Echo::Notify) => json!({ "source_id": null, "target_id": null, "method": "notify",
                "request_body": null, "response_body": { "result": text } }),
            Some(Echo::Own) => json!({ "source_id": me }),
        };
        if let (Some(row), Some(changes)) = (row.as_object_mut(), changes.as_object()) {
            row.extend(changes.clone());
            row.retain(|_, value| !value.is_null());
        }
        row
    }
}

/// What is in a file. The end tells whether it is whole.
fn content_of(number: u64) -> String {
    format!("{number}:{}.", "x".repeat(usize::try_from(number % 3_000).unwrap_or(0)))
}

/// A moment on the platform's clock.
fn at(time: Time) -> Now {
    Now::from_micros(BEGINNING).plus(Duration::from_micros(time))
}

fn unreachable(reason: &str, maybe_sent: bool) -> Outcome {
    Outcome::Unreachable(Unreachable { reason: reason.to_owned(), maybe_sent })
}

fn refusal(status: u16, chance: &mut Chance) -> Outcome {
    let retry_after_ms = (status == 429).then(|| chance.within(1..=40) * 1_000);
    let body = json!({ "error": "not now" }).to_string().into_bytes();
    Outcome::Responded(PlatformResponse { status, json: true, retry_after_ms, server_time_ms: None, body })
}
