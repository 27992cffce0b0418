//! What the platform tells those who listen. No replay, and silent loss beyond a full buffer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::activity::{Row, body_message_id};
use crate::call::Call;
use crate::http::{Reply, Response};
use crate::ids::database_uuid;
use crate::json;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::{EventStreams, Level};
use crate::tokens::LookupFailed;
use crate::workspaces::not_found;

/// Events that a stream holds while its reader is away.
const STREAM_BUFFER: usize = 64;
const WEB_SOCKET_BUFFER: usize = 256;
const ERROR_DETAIL_MAX: usize = 4096;

/// Names a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId(u64);

/// Something that happened to a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was sent.
    pub at: Now,
    /// In capitals, such as `ACTIVITY_LOGGED`.
    pub kind: &'static str,
    /// Whose event it is.
    pub workspace: Uuid,
    /// Its content.
    pub data: Value,
}

impl Event {
    /// The event as one line of a server-sent stream, with the empty line behind it.
    #[must_use]
    pub fn to_sse(&self) -> String {
        let body = json!({ "type": self.kind, "timestamp": self.at.micros() / 1000, "data": self.data });
        format!("data: {}\n\n", json::encode(&body))
    }

    /// The event as a WebSocket text frame has it.
    #[must_use]
    pub fn to_frame(&self) -> String {
        let body = json!({
            "event": self.kind,
            "workspace_id": self.workspace.to_string(),
            "timestamp": self.at.rfc3339(),
            "payload": self.data,
        });
        json::encode(&body)
    }
}

#[derive(Debug)]
enum Audience {
    Everybody,
    /// A workspace and all it may talk to.
    Related(Uuid),
    Single(Uuid),
}

#[derive(Debug)]
struct Stream {
    audience: Audience,
    waiting: VecDeque<Event>,
    capacity: usize,
    /// Accepted, but never says a word.
    silent: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Events {
    streams: BTreeMap<StreamId, Stream>,
    opened: u64,
    /// The streams that have something new since they were last looked for.
    stirred: BTreeSet<StreamId>,
    last: BTreeMap<Uuid, Now>,
}

impl Events {
    fn open(&mut self, audience: Audience, capacity: usize, silent: bool) -> StreamId {
        self.opened += 1;
        let id = StreamId(self.opened);
        self.streams.insert(id, Stream { audience, waiting: VecDeque::new(), capacity, silent });
        id
    }

    /// When the last event about a workspace was sent.
    pub(crate) fn last_of(&self, workspace: Uuid) -> Option<Now> {
        self.last.get(&workspace).copied()
    }

    pub(crate) fn close_all(&mut self) {
        self.stirred.extend(self.streams.keys());
        self.streams.clear();
    }
}

impl Platform {
    /// Listens to the events of one workspace, from here on.
    pub fn subscribe(&mut self, workspace: Uuid) -> StreamId {
        self.events.open(Audience::Single(workspace), STREAM_BUFFER, false)
    }

    /// Takes the events that wait on a stream; nothing if the stream is closed.
    pub fn drain(&mut self, stream: StreamId) -> Option<Vec<Event>> {
        self.events.streams.get_mut(&stream).map(|stream| stream.waiting.drain(..).collect())
    }

    /// The streams that have got events, or were closed, since this was last asked.
    pub fn take_stirred(&mut self) -> BTreeSet<StreamId> {
        std::mem::take(&mut self.events.stirred)
    }

    /// Whether a stream never shows its opening comment.
    #[must_use]
    pub fn is_silent(&self, stream: StreamId) -> bool {
        self.events.streams.get(&stream).is_some_and(|stream| stream.silent)
    }

    /// Stops listening.
    pub fn unsubscribe(&mut self, stream: StreamId) {
        self.events.streams.remove(&stream);
    }

    /// Lets nothing come through the streams that are open, as if their connections had died without a sign.
    pub fn silence_streams(&mut self) {
        for stream in self.events.streams.values_mut() {
            stream.silent = true;
            stream.waiting.clear();
        }
    }

    /// Closes every stream, as a restart of the platform would.
    pub fn close_streams(&mut self) {
        self.events.close_all();
    }

    /// How many streams are open.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.events.streams.len()
    }

    pub(crate) fn emit(&mut self, workspace: Uuid, kind: &'static str, data: Value, now: Now) {
        self.events.last.insert(workspace, now);
        let event = Event { at: now, kind, workspace, data };
        let workspaces = &self.workspaces;
        for (id, stream) in &mut self.events.streams {
            let listens = match stream.audience {
                Audience::Everybody => true,
                Audience::Related(own) => workspaces.may_talk(&own.to_string(), &workspace.to_string()),
                Audience::Single(own) => own == workspace,
            };
            if listens && !stream.silent && stream.waiting.len() < stream.capacity {
                stream.waiting.push_back(event.clone());
                self.events.stirred.insert(*id);
            }
        }
    }

    /// A stored row as its event has it: no ids of the row, no body that is not there.
    pub(crate) fn announce_row(&mut self, row: &Row, now: Now) {
        let data = self.row_data(row);
        self.emit(row.workspace, "ACTIVITY_LOGGED", data, now);
    }

    pub(crate) fn row_data(&self, row: &Row) -> Value {
        let mut data = Map::new();
        data.insert("activity_type".to_owned(), json!(row.activity_type));
        data.insert("duration_ms".to_owned(), json!(row.duration_ms));
        if let Some(detail) = row.error_detail.as_deref().filter(|_| self.level >= Level::Later) {
            let end = detail.floor_char_boundary(ERROR_DETAIL_MAX);
            data.insert("error_detail".to_owned(), json!(detail.get(..end)));
        }
        let message = row.request_body.as_ref().filter(|_| self.level >= Level::Newest);
        if let Some(id) = message.and_then(body_message_id) {
            data.insert("message_id".to_owned(), json!(id));
        }
        data.insert("method".to_owned(), json!(row.method));
        row.insert_bodies(&mut data);
        data.insert("source_id".to_owned(), json!(row.source.map(|id| id.to_string())));
        data.insert("status".to_owned(), json!(row.status));
        data.insert("summary".to_owned(), json!(row.summary));
        data.insert("target_id".to_owned(), json!(row.target.map(|id| id.to_string())));
        Value::Object(data)
    }

    pub(crate) fn open_stream(&mut self, id: &str) -> Reply {
        let Some(workspace) = database_uuid(id) else {
            return Reply::Answer(Response::error(500, "failed to verify workspace"));
        };
        if self.workspaces.get(workspace).is_none() {
            return Reply::Answer(not_found());
        }
        match self.switches.event_streams {
            EventStreams::On => {}
            EventStreams::Refused => return Reply::Answer(self.no_route()),
            EventStreams::Silent => return self.silent_stream(),
        }
        let stream = self.subscribe(workspace);
        Reply::Events(stream_head(), stream)
    }

    pub(crate) fn silent_stream(&mut self) -> Reply {
        Reply::Events(stream_head(), self.events.open(Audience::Everybody, 0, true))
    }

    /// Without a name no credentials are asked for, and every event is delivered.
    pub(crate) fn open_web_socket(&mut self, call: &Call) -> Reply {
        let upgrade = call.header("Upgrade").is_some_and(|wanted| wanted.eq_ignore_ascii_case("websocket"));
        if !upgrade {
            return Reply::Answer(Response::new(400, "text/plain; charset=utf-8", "Bad Request\n"));
        }
        let Some(caller) = call.caller() else {
            return Reply::Upgrade(self.events.open(Audience::Everybody, WEB_SOCKET_BUFFER, false));
        };
        if let Err(LookupFailed) = self.tokens.has_live(caller) {
            return Reply::Answer(Response::error(500, "auth check failed"));
        }
        if let Err(refusal) = self.bootstrap_gate(call, caller) {
            return Reply::Answer(refusal);
        }
        let own = database_uuid(caller).unwrap_or_default();
        Reply::Upgrade(self.events.open(Audience::Related(own), WEB_SOCKET_BUFFER, false))
    }
}

fn stream_head() -> Response {
    Response::empty(200)
        .with("Content-Type", "text/event-stream")
        .with("Cache-Control", "no-cache")
        .with("X-Accel-Buffering", "no")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::Request;
    use crate::script::Script;
    use crate::testing::Stage;

    const LEVELS: [Level; 2] = [Level::Baseline, Level::Later];

    fn kinds(stage: &mut Stage, stream: StreamId) -> Vec<&'static str> {
        stage.platform.drain(stream).unwrap().iter().map(|event| event.kind).collect()
    }

    #[test]
    fn a_row_is_there_when_its_event_comes() {
        let mut stage = Stage::new(Level::Later);
        let own = stage.own.id;
        let stream = stage.platform.subscribe(own);
        stage.platform.user_sends(own, "hi");

        let event = stage.platform.drain(stream).unwrap().remove(0);

        assert_eq!((event.kind, event.workspace), ("ACTIVITY_LOGGED", own));
        assert_eq!((event.data.get("id"), event.data.get("created_at")), (None, None));
        assert_eq!(stage.inbox("").len(), 1);
    }

    #[test]
    fn every_cause_of_a_row_has_its_events_and_the_others_have_none() {
        let message = json!({ "message": "done" });
        let report = json!({ "activity_type": "agent_log", "summary": "s" });
        let envelope = json!({ "method": "message/send", "params": { "message": { "parts": [] } } });
        for level in LEVELS {
            let mut stage = Stage::new(level);
            let (own, peer) = (stage.own.id, stage.peer.id);
            let stream = stage.platform.subscribe(own);
            let elsewhere = format!("/workspaces/{peer}/a2a");
            let (id, token) = (own.to_string(), stage.own.token.clone());
            let send = Request::new("POST", &elsewhere).bearer(&token).header("X-Workspace-ID", &id);

            stage.platform.user_sends(own, "hi");
            stage.wait(Duration::from_secs(1));
            assert_eq!(kinds(&mut stage, stream), ["ACTIVITY_LOGGED"], "{level:?}");
            stage.platform.peer_sends(peer, own, "hi");
            stage.wait(Duration::from_secs(1));
            assert_eq!(kinds(&mut stage, stream), ["ACTIVITY_LOGGED"], "{level:?}");
            stage.platform.user_sends(own, "a\0b");
            stage.wait(Duration::from_secs(1));
            assert_eq!(kinds(&mut stage, stream), [""; 0], "{level:?}: a row that is refused");
            assert_eq!(stage.post("/activity", &report).0, 200);
            assert_eq!(kinds(&mut stage, stream), ["ACTIVITY_LOGGED"], "{level:?}");
            assert_eq!(stage.post("/notify", &message).0, 200);
            assert_eq!(kinds(&mut stage, stream), ["AGENT_MESSAGE"], "{level:?}");

            assert_eq!(stage.answer(&send.json(&envelope)).status, 200);
            stage.get("/activity");
            stage.post("/memories", &json!({ "content": "c", "scope": "LOCAL" }));
            stage.post("/tokens", &json!({}));
            stage.platform.user_sends(peer, "hi");
            stage.wait(Duration::from_secs(1));
            assert_eq!(
                kinds(&mut stage, stream),
                [""; 0],
                "{level:?}: outgoing, reads, and others' messages"
            );
        }
    }

    #[test]
    fn a_broadcast_has_an_event_of_its_own() {
        let mut stage = Stage::new(Level::Later);
        let (root, child) = (stage.own.id, stage.peer.id);
        stage.platform.alter(child, |workspace| workspace.parent = Some(root));
        stage.platform.alter(root, |workspace| workspace.broadcast_enabled = true);
        let stream = stage.platform.subscribe(child);

        stage.post("/broadcast", &json!({ "message": "y".repeat(130) }));

        let events = stage.platform.drain(stream).unwrap();
        assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), ["BROADCAST_MESSAGE"]);
        assert_eq!(events[0].data["message"], "y".repeat(130));
    }

    #[test]
    fn the_row_of_a_result_comes_after_its_event_and_has_none() {
        let mut stage = Stage::new(Level::Later);
        stage.platform.switches.inbox_push = true;
        let (own, echo) = (stage.own.id, stage.platform.push_peer("echo", Script::Echo).id);
        let stream = stage.platform.subscribe(own);

        stage.post("/delegate", &json!({ "target_id": echo.to_string(), "task": "t" }));
        stage.wait(Duration::from_millis(20));
        let told = kinds(&mut stage, stream);
        let rows = stage.inbox("").len();
        stage.wait(Duration::from_millis(80));

        assert_eq!(told, ["DELEGATION_SENT", "DELEGATION_STATUS", "DELEGATION_COMPLETE"]);
        assert_eq!((rows, stage.inbox("").len()), (0, 1));
        assert_eq!(kinds(&mut stage, stream), [""; 0]);
    }

    #[test]
    fn a_row_that_was_held_back_is_told_of_when_it_is_there() {
        let mut stage = Stage::new(Level::Later);
        let stream = stage.platform.subscribe(stage.own.id);
        let row = json!({ "workspace_id": stage.own.id.to_string(), "activity_type": "a2a_receive" });
        let hook = |name: &str| Request::new("POST", &format!("/_test/activity/{name}"));
        let held = stage.answer(&hook("hold").json(&json!({ "row": row }))).body_json();
        assert_eq!(kinds(&mut stage, stream), [""; 0]);

        stage.answer(&hook("release").json(&held));

        assert_eq!(kinds(&mut stage, stream), ["ACTIVITY_LOGGED"]);
        assert_eq!(stage.inbox("").len(), 1);
    }

    #[test]
    fn a_stream_can_be_refused_silent_from_the_start_or_silent_from_now_on() {
        let mut stage = Stage::new(Level::Later);
        let own = stage.own.id;
        let path = format!("/workspaces/{own}/events/stream");
        let open = Request::new("GET", &path).bearer(&stage.own.token);
        stage.platform.switches.event_streams = EventStreams::Refused;
        assert_eq!(stage.answer(&open).status, 404);
        stage.platform.switches.event_streams = EventStreams::Silent;
        let Reply::Events(_, dumb) = stage.reply(&open) else { panic!("no stream") };
        stage.platform.switches.event_streams = EventStreams::On;
        let Reply::Events(_, stream) = stage.reply(&open) else { panic!("no stream") };
        assert_eq!((stage.platform.is_silent(dumb), stage.platform.is_silent(stream)), (true, false));

        stage.platform.user_sends(own, "one");
        assert_eq!((kinds(&mut stage, dumb).len(), kinds(&mut stage, stream).len()), (0, 1));
        stage.answer(&Request::new("POST", "/_test/streams/silence").json(&json!({})));
        stage.platform.user_sends(own, "two");

        assert!(kinds(&mut stage, stream).is_empty(), "it is open, and nothing comes");
    }

    #[test]
    fn a_reader_that_falls_behind_loses_events_in_silence() {
        let mut stage = Stage::new(Level::Later);
        let own = stage.own.id;
        let stream = stage.platform.subscribe(own);
        for _ in 0..100 {
            stage.platform.user_sends(own, "x");
        }

        assert_eq!(kinds(&mut stage, stream).len(), STREAM_BUFFER);
        assert!(kinds(&mut stage, stream).is_empty());
    }

    #[test]
    fn a_beat_says_so_and_names_a_task_that_changed() {
        let mut stage = Stage::new(Level::Later);
        stage.register(&json!({}));
        let stream = stage.platform.subscribe(stage.own.id);

        stage.beat(&json!({ "current_task": "t" }));
        stage.beat(&json!({ "current_task": "t" }));

        assert_eq!(kinds(&mut stage, stream), ["TASK_UPDATED", "WORKSPACE_HEARTBEAT", "WORKSPACE_HEARTBEAT"]);
    }

    #[test]
    fn a_stream_asks_for_the_token_once() {
        let mut stage = Stage::new(Level::Later);
        let path = format!("/workspaces/{}/events/stream", stage.own.id);
        let open = Request::new("GET", &path).bearer(&stage.own.token);
        let Reply::Events(_, stream) = stage.reply(&open) else { panic!("no stream") };
        stage.platform.revoke_tokens(stage.own.id);

        stage.platform.user_sends(stage.own.id, "hi");

        assert_eq!(kinds(&mut stage, stream), ["ACTIVITY_LOGGED"]);
        assert_eq!(stage.answer(&open).status, 401);
        stage.platform.close_streams();
        assert_eq!(stage.platform.drain(stream), None);
    }
}
