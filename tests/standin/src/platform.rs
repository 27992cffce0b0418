//! The platform as one value, and the way of a request through it.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::activity::Activity;
use crate::agenda::{Agenda, Job};
use crate::call::Call;
use crate::delegation::Delegations;
use crate::dispatch::{Dispatch, Flights};
use crate::events::Events;
use crate::faults::{Effect, Faults};
use crate::files::PendingUploads;
use crate::hooks;
use crate::http::{Headers, Reply, Request, Response};
use crate::ids::Ids;
use crate::layers::with_headers;
use crate::ledger::Ledger;
use crate::memory::Memories;
use crate::memory_plugin::no_plugin;
use crate::model::Workspaces;
use crate::now::Now;
use crate::queue::BusyQueue;
use crate::ratelimit::RateLimit;
use crate::registry::Phantoms;
use crate::routes::{self, Own, Route, Segments};
use crate::script::Script;
use crate::switches::{Level, Switches};
use crate::tokens::Tokens;
use crate::world::RequestLog;

/// A platform: data in memory, requests in, replies out.
pub struct Platform {
    pub(crate) level: Level,
    pub(crate) switches: Switches,
    pub(crate) ids: Ids,
    /// The latest moment that was heard of.
    pub(crate) now: Now,
    pub(crate) activity: Activity,
    pub(crate) agenda: Agenda,
    /// Calls to agents that nobody waits for, until the shell fetches them.
    pub(crate) background: Vec<Dispatch>,
    pub(crate) delegations: Delegations,
    pub(crate) events: Events,
    pub(crate) faults: Faults,
    pub(crate) flights: Flights,
    pub(crate) ledger: Ledger,
    pub(crate) log: RequestLog,
    pub(crate) memories: Memories,
    pub(crate) phantoms: Phantoms,
    pub(crate) queue: BusyQueue,
    pub(crate) rate_limit: RateLimit,
    pub(crate) scripts: BTreeMap<Uuid, Script>,
    pub(crate) tokens: Tokens,
    pub(crate) uploads: PendingUploads,
    pub(crate) workspaces: Workspaces,
}

impl Platform {
    /// An empty platform. The same seed and the same requests give the same run.
    #[must_use]
    pub fn new(level: Level, switches: Switches, seed: u64, now: Now) -> Self {
        let mut agenda = Agenda::default();
        agenda.add(now.plus(switches.sweep_interval), Job::Sweep);
        Self {
            level,
            switches,
            ids: Ids::new(seed),
            now,
            activity: Activity::default(),
            agenda,
            background: Vec::new(),
            delegations: Delegations::default(),
            events: Events::default(),
            faults: Faults::default(),
            flights: Flights::default(),
            ledger: Ledger::default(),
            log: RequestLog::default(),
            memories: Memories::default(),
            phantoms: Phantoms::default(),
            queue: BusyQueue::default(),
            rate_limit: RateLimit::default(),
            scripts: BTreeMap::new(),
            tokens: Tokens::default(),
            uploads: PendingUploads::default(),
            workspaces: Workspaces::new(level),
        }
    }

    /// Handles a request that has arrived completely.
    ///
    /// After it, look at [`Platform::take_dispatches`] and [`Platform::next_due`].
    pub fn handle(&mut self, request: &Request, now: Now) -> Reply {
        self.tick(now);
        let call = Call::new(request, now);
        let path = Segments::of(&request.path);
        if let Some(hook) = path.as_text().strip_prefix(hooks::PREFIX) {
            return Reply::Answer(self.hook(hook, &call));
        }
        let entry = self.log.add(request, now);
        let reply = match self.faults.take(&request.method, &request.path) {
            None => self.serve(&call, &path),
            Some(Effect::Answer(response)) => Reply::Answer(response),
            Some(Effect::CloseAfterReading | Effect::CloseBeforeReading) => Reply::Close,
            Some(Effect::Delay(span)) => Reply::Delay(span, Box::new(self.serve(&call, &path))),
            Some(Effect::LoseAnswer) => {
                self.serve(&call, &path);
                Reply::Close
            }
            Some(Effect::SilentStream) => self.silent_stream(),
        };
        self.log.answered(entry, &reply);
        reply
    }

    /// The calls to agents that nobody waits for; carry them out and report to [`Platform::dispatched`].
    #[must_use]
    pub fn take_dispatches(&mut self) -> Vec<Dispatch> {
        std::mem::take(&mut self.background)
    }

    fn serve(&mut self, call: &Call, path: &Segments) -> Reply {
        let headers = match self.layers(call, path) {
            Ok(headers) => headers,
            Err(response) => return Reply::Answer(response),
        };
        let reply = match routes::route(self.level, &call.request.method, path) {
            Some(route) => self.route(call, &route, &headers),
            None => Reply::Answer(self.no_route()),
        };
        match reply {
            Reply::Answer(response) => Reply::Answer(with_headers(response, &headers)),
            Reply::Events(response, stream) => Reply::Events(with_headers(response, &headers), stream),
            other @ (Reply::Close | Reply::Delay(..) | Reply::Dispatch(_) | Reply::Upgrade(_)) => other,
        }
    }

    pub(crate) fn no_route(&self) -> Response {
        if self.switches.ui_proxy {
            return Response::new(200, "text/html; charset=utf-8", "<!DOCTYPE html><title>canvas</title>");
        }
        Response::new(404, "text/plain", "404 page not found")
    }

    fn route(&mut self, call: &Call, route: &Route, headers: &Headers) -> Reply {
        let answer = match *route {
            Route::Abilities(id) => self.set_abilities(call, id),
            Route::BuildInfo => Ok(Response::json(200, serde_json::json!({ "git_sha": "dev" }))),
            Route::CheckAccess => self.check_access(call),
            Route::Create => self.create_workspace(call),
            Route::Delete(id) => self.delete_workspace(call, id),
            Route::Discover(id) => self.discover(call, id),
            Route::Health => Ok(Response::json(200, serde_json::json!({ "status": "ok" }))),
            Route::Heartbeat => self.heartbeat(call),
            Route::List => self.list_workspaces(call),
            Route::Identity => Ok(identity(&self.switches)),
            Route::Metrics => Ok(metrics()),
            Route::MintToken(id) => self.mint_token_as_operator(call, id),
            Route::Own(id, ref own) => return self.route_own(call, id, own, headers),
            Route::Peers(id) => self.peers(call, id),
            Route::QueueStatus(entry) => self.queue_status(call, entry),
            Route::Read(id) => self.read_workspace(call, id),
            Route::Register => self.register(call),
            Route::Send(id) => return self.send(call, id, headers),
            Route::TestToken(id) => self.test_token(call, id),
            Route::UpdateCard => self.update_card(call),
            Route::UploadLimits => Ok(Self::upload_limits()),
            Route::WebSocket => return self.open_web_socket(call),
        };
        Reply::from(answer)
    }

    fn route_own(&mut self, call: &Call, id: &str, own: &Own, headers: &Headers) -> Reply {
        if let Err(refusal) = self.workspace_gate(call, id) {
            return Reply::Answer(refusal);
        }
        let answer = match *own {
            Own::Acknowledge(file) => self.acknowledge_upload(id, file),
            Own::Activity => self.read_activity(call, id),
            Own::AmendMemory(memory) => self.amend_memory(call, id, memory),
            Own::Broadcast => self.broadcast(call, id),
            Own::ChatHistory => self.chat_history(call, id),
            Own::Connection => self.read_connection(call, id),
            Own::Content(file) => self.upload_content(id, file),
            Own::Delegate => self.delegate(call, id),
            Own::Delegations => self.list_delegations(id),
            Own::Download => return self.download(call, id, headers),
            Own::ForgetMemory(memory) => self.forget_memory(id, memory),
            Own::ForgetPluginMemory(memory) => self.forget_plugin_memory(id, memory),
            Own::MemoryPlugin => Err(no_plugin()),
            Own::MintToken => self.mint_token(call, id),
            Own::Namespaces => self.plugin_namespaces(id),
            Own::Notify => self.notify(call, id),
            Own::PluginMemories => self.plugin_memories(call, id),
            Own::RecallMemories => self.recall_memories(call, id),
            Own::RecordDelegation => self.record_delegation(call, id),
            Own::RememberMemory => self.remember_memory(call, id),
            Own::Report => self.report_activity(call, id),
            Own::Restart => self.restart(id),
            Own::RevokeToken(token) => self.revoke_token(id, token),
            Own::Rotate => self.rotate(call, id),
            Own::Search => self.session_search(call, id),
            Own::State => self.read_state(call, id),
            Own::Stream => return self.open_stream(id),
            Own::Tokens => self.list_tokens(call, id),
            Own::Update => self.update_workspace(call, id),
            Own::UpdateDelegation(delegation) => self.update_delegation(call, id, delegation),
            Own::Upload => return self.upload(call, id, headers),
        };
        Reply::from(answer)
    }
}

fn identity(switches: &Switches) -> Response {
    let org = switches.org_id.as_deref().unwrap_or_default();
    let body =
        serde_json::json!({ "name": "", "org_id": org, "platform_managed_available": false, "slug": "" });
    Response::json(200, body)
}

fn metrics() -> Response {
    let text = "# HELP molecule_http_requests_total Total HTTP requests served.\n\
                # TYPE molecule_http_requests_total counter\n";
    Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text)
}
