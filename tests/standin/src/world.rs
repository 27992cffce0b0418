//! The actors of a test: workspaces, the user, peers; and what was seen of the client.

use std::collections::VecDeque;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::a2a::{Message, Passage};
use crate::activity::{NewRow, Row};
use crate::dispatch::{Launched, Purpose};
use crate::http::{Headers, Reply, Request, Response};
use crate::model::{Mode, Status, Workspace};
use crate::now::Now;
use crate::platform::Platform;
use crate::script::Script;
use crate::switches::Switches;
use crate::tokens::Kind;

/// Requests that are remembered.
const LOG_LENGTH: usize = 20_000;

/// A workspace and the token that opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The workspace.
    pub id: Uuid,
    /// Its token.
    pub token: String,
}

/// A part of the database that can fail on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Activity rows, those of delegations included.
    Activity,
    /// Memories.
    Memories,
    /// Workspace tokens.
    Tokens,
}

/// A request that was handled.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Counts from 1.
    pub number: u64,
    /// When it came.
    pub at: Now,
    /// As it came.
    pub request: Request,
    /// The status of the answer, if there was one at once.
    pub status: Option<u16>,
}

/// The latest requests in their order.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: VecDeque<Logged>,
    count: u64,
}

impl RequestLog {
    pub(crate) fn add(&mut self, request: &Request, at: Now) -> u64 {
        self.count += 1;
        self.entries.push_back(Logged { number: self.count, at, request: request.clone(), status: None });
        if self.entries.len() > LOG_LENGTH {
            self.entries.pop_front();
        }
        self.count
    }

    pub(crate) fn answered(&mut self, number: u64, reply: &Reply) {
        let status = match reply {
            Reply::Answer(response) | Reply::Events(response, _) => Some(response.status),
            Reply::Delay(_, reply) => reply.clone().answer().map(|response| response.status),
            Reply::Close | Reply::Dispatch(_) => None,
            Reply::Upgrade(_) => Some(101),
        };
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.number == number) {
            entry.status = status;
        }
    }
}

impl Platform {
    /// Makes an external workspace that polls, with a token. It has not registered yet.
    pub fn external_workspace(&mut self, name: &str) -> Credentials {
        self.make(name, |workspace| workspace.delivery_mode = Mode::Poll)
    }

    /// Makes a peer that polls and is online. All workspaces made like this may talk to each other.
    pub fn poll_peer(&mut self, name: &str) -> Credentials {
        let now = self.now;
        self.make(name, |workspace| {
            workspace.delivery_mode = Mode::Poll;
            workspace.status = Status::Online;
            workspace.last_heartbeat_at = Some(now);
            // Never swept: nobody beats for it.
            workspace.runtime = "kimi".to_owned();
        })
    }

    /// Makes a peer that is pushed to, and that answers as the script says.
    pub fn push_peer(&mut self, name: &str, script: Script) -> Credentials {
        let peer = self.poll_peer(name);
        self.alter(peer.id, |workspace| workspace.delivery_mode = Mode::Push);
        self.scripts.insert(peer.id, script);
        peer
    }

    /// Changes what a scripted peer does from here on.
    pub fn rescript(&mut self, peer: Uuid, script: Script) {
        self.scripts.insert(peer, script);
    }

    /// Changes a workspace behind the back of the API.
    pub fn alter(&mut self, id: Uuid, change: impl FnOnce(&mut Workspace)) {
        if let Some(workspace) = self.workspaces.get_mut(id) {
            change(workspace);
        }
    }

    /// The user writes to a workspace that polls; the id of the row that is, or will be, there.
    pub fn user_sends(&mut self, workspace: Uuid, text: &str) -> Uuid {
        let envelope = self.text_message(text);
        self.store_inbound(workspace, None, envelope, self.now)
    }

    /// A peer writes to a workspace that polls; the id of the row that is, or will be, there.
    pub fn peer_sends(&mut self, from: Uuid, workspace: Uuid, text: &str) -> Uuid {
        let envelope = self.text_message(text);
        self.store_inbound(workspace, Some(from.to_string()), envelope, self.now)
    }

    /// The user sends a text file to a workspace that polls; its address, unless the platform takes none.
    pub fn user_sends_file(&mut self, to: &Credentials, name: &str, content: &str) -> Option<String> {
        let part = format!(
            "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\nContent-Type: \
             text/plain\r\n\r\n{content}\r\n--b--\r\n"
        );
        let mut request = Request::new("POST", &format!("/workspaces/{}/chat/uploads", to.id))
            .bearer(&to.token)
            .header("Content-Type", "multipart/form-data; boundary=b");
        request.body = part.into();
        let now = self.now;
        let answer = self.handle(&request, now).answer()?.body_json();
        answer.pointer("/files/0/uri")?.as_str().map(str::to_owned)
    }

    /// The user writes to a workspace that polls, with files by their addresses.
    pub fn user_sends_with(&mut self, workspace: Uuid, text: &str, files: &[&str]) {
        let mut parts = vec![json!({ "kind": "text", "text": text })];
        parts.extend(
            files.iter().map(|uri| json!({ "kind": "file", "file": { "name": "plan.txt", "uri": uri } })),
        );
        let message = json!({ "role": "user", "messageId": "m", "parts": parts });
        self.sends(None, workspace, &json!({ "method": "message/send", "params": { "message": message } }));
    }

    /// A message of the user that is visible at once, with a chosen instant.
    pub fn user_sent(&mut self, workspace: Uuid, text: &str, created_at: Now) -> Uuid {
        let row = self.message_row(workspace, text, created_at);
        let id = row.id;
        self.receive_message(row, self.now);
        id
    }

    /// A message of the user whose transaction is open: it has its instant, but nobody sees it yet.
    pub fn hold_message(&mut self, workspace: Uuid, text: &str, created_at: Now) -> Uuid {
        let row = NewRow { held: true, ..self.message_row(workspace, text, created_at) };
        let id = row.id;
        drop(self.activity.insert(row, self.now));
        id
    }

    /// Makes a held row visible. Its instant stays.
    pub fn release_row(&mut self, row: Uuid) {
        let Some(row) = self.activity.find_mut(row) else { return };
        row.visible = true;
        let row = row.clone();
        self.announce_message(&row, self.now);
    }

    /// Deletes a row, as retention does.
    pub fn delete_row(&mut self, row: Uuid) -> bool {
        self.activity.remove(row)
    }

    /// Makes every read and write of a store fail, until it is up again.
    pub fn outage(&mut self, store: Store, down: bool) {
        match store {
            Store::Activity => self.activity.down = down,
            Store::Memories => self.memories.down = down,
            Store::Tokens => self.tokens.down = down,
        }
    }

    /// Mints one more token, as the Tokens tab does.
    pub fn mint_for(&mut self, workspace: Uuid) -> String {
        self.mint(workspace, Kind::Api, self.now)
    }

    /// Revokes every token of a workspace.
    pub fn revoke_tokens(&mut self, workspace: Uuid) {
        self.tokens.revoke_all(workspace);
    }

    /// Changes the configuration of the running platform.
    pub fn switches_mut(&mut self) -> &mut Switches {
        &mut self.switches
    }

    /// Anybody sends any A2A body. None as the sender is the user.
    pub fn sends(&mut self, from: Option<Uuid>, target: Uuid, body: &Value) -> Option<Response> {
        let from = from.map(|from| from.to_string());
        let passed = self.pass(from.as_deref(), &target.to_string(), body.to_string().as_bytes(), self.now);
        let message: Message = match passed {
            Ok(Passage::Push(message)) => message,
            Ok(Passage::Queued(response)) | Err(response) => return Some(response),
        };
        match self.launch(message, Purpose::Answer(Headers::default()), self.now) {
            Launched::Done(response) => Some(response),
            Launched::Away(dispatch) => {
                self.background.push(dispatch);
                None
            }
        }
    }

    /// A workspace as it is stored.
    #[must_use]
    pub fn workspace(&self, id: Uuid) -> Option<&Workspace> {
        self.workspaces.get(id)
    }

    /// The visible rows of a workspace, oldest first.
    #[must_use]
    pub fn rows(&self, workspace: Uuid) -> Vec<&Row> {
        let mut rows: Vec<_> = self.activity.of(workspace).collect();
        rows.sort_by_key(|row| row.created_at);
        rows
    }

    /// The requests with a number above this one, oldest first. Test hooks are not among them.
    #[must_use]
    pub fn requests(&self, since: u64) -> Vec<&Logged> {
        self.log.entries.iter().filter(|entry| entry.number > since).collect()
    }

    /// The JSON bodies of the requests of one kind that were answered with success, oldest first.
    #[must_use]
    pub fn accepted(&self, method: &str, path: &str) -> Vec<Value> {
        let accepted = |entry: &&Logged| {
            let done = entry.status.is_some_and(|status| status < 300);
            done && entry.request.method == method && entry.request.path == path
        };
        let bodies = self.log.entries.iter().filter(accepted);
        bodies.map(|entry| serde_json::from_slice(&entry.request.body).unwrap_or_default()).collect()
    }

    /// What a workspace has told its user, oldest first.
    #[must_use]
    pub fn notifies(&self, workspace: Uuid) -> Vec<Value> {
        self.accepted("POST", &format!("/workspaces/{workspace}/notify"))
    }

    /// The beats of a workspace, oldest first.
    #[must_use]
    pub fn heartbeats(&self, workspace: Uuid) -> Vec<Value> {
        let beats = self.accepted("POST", "/registry/heartbeat").into_iter();
        beats.filter(|beat| beat.get("workspace_id") == Some(&json!(workspace.to_string()))).collect()
    }

    /// The card of a workspace, as stored.
    #[must_use]
    pub fn card(&self, workspace: Uuid) -> Option<&Value> {
        self.workspaces.get(workspace)?.agent_card.as_ref()
    }

    fn make(&mut self, name: &str, change: impl FnOnce(&mut Workspace)) -> Credentials {
        let now = self.activity.instant(self.now);
        let id = self.ids.uuid();
        let mut workspace = Workspace::new(id, name, now);
        workspace.runtime = "external".to_owned();
        workspace.status = Status::AwaitingAgent;
        workspace.tier = 3;
        workspace.parent = self.default_parent();
        change(&mut workspace);
        self.workspaces.insert(workspace);
        Credentials { id, token: self.mint(id, Kind::Instance, now) }
    }

    fn message_row(&mut self, workspace: Uuid, text: &str, created_at: Now) -> NewRow {
        let envelope = self.text_message(text);
        let name = self.name_of(workspace);
        NewRow {
            summary: Some(self.inbound_summary(&envelope, &name)),
            created_at: Some(created_at),
            ..self.inbound_row(workspace, None, envelope)
        }
    }

    fn text_message(&mut self, text: &str) -> Value {
        json!({
            "jsonrpc": "2.0",
            "id": self.ids.uuid().to_string(),
            "method": "message/send",
            "params": { "message": {
                "role": "user",
                "messageId": self.ids.uuid().to_string(),
                "parts": [{ "kind": "text", "text": text }],
            } },
        })
    }
}
