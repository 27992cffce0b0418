//! Register, heartbeat and card: how an agent says that it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::{self, Fields, Malformed};
use crate::model::{Beat, Mode, Status, Workspace};
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;
use crate::tokens::Kind;
use crate::url_safety;

const SPEND_MAX: i64 = 1_000_000_000_000;
const DEGRADED_FROM: f64 = 0.5;
const RECOVERED_BELOW: f64 = 0.1;
pub(crate) const URL_CACHE: Duration = Duration::from_secs(300);
const PHANTOM_KEPT: Duration = Duration::from_secs(300);

/// Secrets made up for ids that have no row; remembered for a while at the later level.
pub(crate) type Phantoms = BTreeMap<Uuid, (String, Now)>;

struct Registration {
    id: String,
    card: Value,
    mode: Option<Mode>,
    url: Option<String>,
}

impl Platform {
    pub(crate) fn register(&mut self, call: &Call) -> Answer {
        let registration = self.registration(call)?;
        self.bootstrap_gate(call, &registration.id)?;
        let failed = || Response::error(500, "registration failed");
        let id = database_uuid(&registration.id).ok_or_else(failed)?;
        let stored_mode = self.workspaces.get(id).map_or(Mode::Push, |workspace| workspace.delivery_mode);
        let mode = registration.mode.unwrap_or(stored_mode);
        if mode == Mode::Push {
            let url = registration.url.as_deref();
            let url = url.ok_or_else(|| Response::error(400, "url is required for push-mode workspaces"))?;
            url_safety::check(url, self.registration_urls())
                .map_err(|reason| Response::error(400, reason))?;
        }
        if json::has_nul(&registration.card) {
            return Err(failed());
        }
        let url = registration.url.clone().unwrap_or_default();
        let card = self.store_registration(id, registration, mode, call.now);
        let online = json!({ "agent_card": card, "delivery_mode": mode.as_str(), "url": url });
        self.emit(id, "WORKSPACE_ONLINE", online, call.now);
        let mut body = json!({ "delivery_mode": mode.as_str(), "status": "registered" });
        if self.wants_token(id) {
            json::put(&mut body, "auth_token", json!(self.mint(id, Kind::Instance, call.now)));
        }
        json::put(&mut body, "platform_inbound_secret", json!(self.inbound_secret(id, call.now)));
        Ok(Response::json(200, body))
    }

    /// At the newest level tokens of the Tokens tab do not count.
    fn wants_token(&self, id: Uuid) -> bool {
        let has = match self.level {
            Level::Baseline | Level::Later => self.tokens.has_live(&id.to_string()),
            Level::Newest => self.tokens.has_kind(id, Kind::Instance),
        };
        matches!(has, Ok(false))
    }

    fn registration(&self, call: &Call) -> Result<Registration, Response> {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let id = fields.required("id").map_err(bad_body)?.to_owned();
        let card = fields.any("agent_card").cloned().ok_or(Malformed).map_err(bad_body)?;
        let url = fields.filled("url").map_err(bad_body)?.map(str::to_owned);
        let mode = match fields.filled("delivery_mode").map_err(bad_body)? {
            None => None,
            Some(text) => {
                let mode = Mode::parse(text);
                Some(mode.ok_or_else(|| Response::error(400, "delivery_mode must be 'push' or 'poll'"))?)
            }
        };
        Ok(Registration { id, card, mode, url })
    }

    /// Creates the row if there is none, lifts any status but `removed`, and gives the card as stored.
    fn store_registration(&mut self, id: Uuid, registration: Registration, mode: Mode, now: Now) -> Value {
        let known = self.workspaces.get(id).is_some();
        if !known {
            let created_at = self.activity.instant(now);
            let runtime = self.default_runtime().to_owned();
            self.workspaces.insert(Workspace { runtime, ..Workspace::new(id, &id.to_string(), created_at) });
        }
        let filled = self.level >= Level::Later && known;
        let Some(workspace) = self.workspaces.get_mut(id) else { return registration.card };
        let card = if filled { reconciled(registration.card, workspace) } else { registration.card };
        let card = json::stored(&card);
        workspace.agent_card = Some(card.clone());
        workspace.delivery_mode = mode;
        workspace.last_heartbeat_at = Some(now);
        if !workspace.is_removed() {
            workspace.status = Status::Online;
        }
        if !workspace.url.as_deref().is_some_and(|url| url.starts_with("http://127.0.0.1")) {
            workspace.url = registration.url;
        }
        workspace.cached_url = workspace.url.clone().map(|url| (url, now.plus(URL_CACHE)));
        card
    }

    /// The stored secret, minted if there is none; for an unknown id an invented one.
    pub(crate) fn inbound_secret(&mut self, id: Uuid, now: Now) -> String {
        let fresh = self.ids.token();
        if let Some(workspace) = self.workspaces.get_mut(id) {
            return workspace.inbound_secret.get_or_insert(fresh).clone();
        }
        let remembered =
            self.phantoms.get(&id).filter(|(_, until)| *until > now && self.level >= Level::Later);
        if let Some((secret, _)) = remembered {
            return secret.clone();
        }
        self.phantoms.insert(id, (fresh.clone(), now.plus(PHANTOM_KEPT)));
        fresh
    }

    pub(crate) fn update_card(&mut self, call: &Call) -> Answer {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let id = fields.required("workspace_id").map_err(bad_body)?.to_owned();
        let card = fields.any("agent_card").ok_or(Malformed).map_err(bad_body)?;
        self.bootstrap_gate(call, &id)?;
        let id = database_uuid(&id).filter(|_| !json::has_nul(card));
        let id = id.ok_or_else(|| Response::error(500, "failed to update card"))?;
        let card = json::stored(card);
        if let Some(workspace) = self.workspaces.get_mut(id) {
            workspace.agent_card = Some(card.clone());
        }
        self.emit(id, "AGENT_CARD_UPDATED", json!({ "agent_card": card }), call.now);
        Ok(Response::json(200, json!({ "status": "updated" })))
    }

    pub(crate) fn heartbeat(&mut self, call: &Call) -> Answer {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let id = fields.required("workspace_id").map_err(bad_body)?.to_owned();
        let beat = beat(&fields).map_err(bad_body)?;
        let spend = fields.integer("monthly_spend").map_err(bad_body)?.unwrap_or(0);
        let metadata = fields.value("runtime_metadata").map(Metadata::parse).transpose().map_err(bad_body)?;
        let tools = fields.value("loaded_mcp_tools").map(texts).transpose().map_err(bad_body)?;
        self.bootstrap_gate(call, &id)?;
        let id = database_uuid(&id).filter(|_| beat.is_storable());
        let id = id.ok_or_else(|| Response::error(500, "failed to update"))?;
        self.take_beat(id, beat, spend, call.now);
        if let Some(workspace) = self.workspaces.get_mut(id) {
            let metadata = metadata.unwrap_or_default();
            workspace.capabilities = metadata.capabilities;
            workspace.idle_timeout = metadata.idle_timeout;
            workspace.loaded_mcp_tools = tools.unwrap_or_else(|| workspace.loaded_mcp_tools.clone());
        }
        self.drain_queue(id, call.now);
        let secret = self.inbound_secret(id, call.now);
        Ok(Response::json(200, json!({ "platform_inbound_secret": secret, "status": "ok" })))
    }

    /// Overwrites the stored beat, moves the status, and tells whoever listens.
    fn take_beat(&mut self, id: Uuid, beat: Beat, spend: i64, now: Now) {
        let level = self.level;
        let Some(workspace) = self.workspaces.get_mut(id) else { return };
        let task_changed = workspace.beat.current_task != beat.current_task;
        if !workspace.is_removed() {
            workspace.beat = beat.clone();
            workspace.last_heartbeat_at = Some(now);
            if spend > 0 {
                workspace.monthly_spend = spend.min(SPEND_MAX);
            }
        }
        if let Some((status, event, data)) = transition(workspace, &beat, level) {
            workspace.status = status;
            self.emit(id, event, data, now);
        }
        if task_changed {
            let data = json!({ "active_tasks": beat.active_tasks, "current_task": beat.current_task });
            self.emit(id, "TASK_UPDATED", data, now);
        }
        let data = json!({ "active_tasks": beat.active_tasks, "uptime_seconds": beat.uptime_seconds });
        self.emit(id, "WORKSPACE_HEARTBEAT", data, now);
    }

    /// External workspaces that have been silent for too long await their agent again.
    pub(crate) fn sweep(&mut self, now: Now) {
        let oldest = now.minus(self.switches.stale_after);
        let mut stale = Vec::new();
        for workspace in self.workspaces.all_mut() {
            let alive = matches!(workspace.status, Status::Online | Status::Degraded);
            let last_sign = workspace.last_heartbeat_at.unwrap_or(workspace.created_at);
            if workspace.runtime == "external" && alive && last_sign < oldest {
                workspace.status = Status::AwaitingAgent;
                workspace.cached_url = None;
                stale.push(workspace.id);
            }
        }
        for id in stale {
            self.emit(id, "WORKSPACE_OFFLINE", json!({}), now);
        }
    }
}

#[derive(Default)]
struct Metadata {
    capabilities: BTreeMap<String, bool>,
    idle_timeout: Option<Duration>,
}

impl Metadata {
    fn parse(value: &Value) -> Result<Self, Malformed> {
        let fields = Fields::from_value(value)?;
        let mut capabilities = BTreeMap::new();
        if let Some(declared) = fields.value("capabilities") {
            for (name, on) in declared.as_object().ok_or(Malformed)? {
                capabilities.insert(name.clone(), on.as_bool().ok_or(Malformed)?);
            }
        }
        let seconds = fields.integer("idle_timeout_seconds")?.and_then(|seconds| u64::try_from(seconds).ok());
        Ok(Self {
            capabilities,
            idle_timeout: seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs),
        })
    }
}

fn texts(value: &Value) -> Result<Vec<String>, Malformed> {
    let items = value.as_array().ok_or(Malformed)?.iter();
    items.map(|item| item.as_str().map(str::to_owned).ok_or(Malformed)).collect()
}

/// A field that is left out is a field at its default.
fn beat(fields: &Fields) -> Result<Beat, Malformed> {
    let text = |name| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
    Ok(Beat {
        active_tasks: fields.integer("active_tasks")?.unwrap_or(0),
        current_task: text("current_task")?,
        error_rate: fields.float("error_rate")?.unwrap_or(0.0),
        runtime_state: text("runtime_state")?,
        sample_error: text("sample_error")?,
        uptime_seconds: fields.integer("uptime_seconds")?.unwrap_or(0),
    })
}

impl Beat {
    fn is_storable(&self) -> bool {
        let numbers = [self.active_tasks, self.uptime_seconds];
        let texts = [&self.current_task, &self.sample_error];
        numbers.into_iter().all(|number| i32::try_from(number).is_ok())
            && !texts.iter().any(|text| text.contains('\0'))
    }
}

/// What a beat makes of the status, and the event that says so.
fn transition(workspace: &Workspace, beat: &Beat, level: Level) -> Option<(Status, &'static str, Value)> {
    let self_managed = workspace.has_capability("status_mgmt");
    match workspace.status {
        Status::Online if beat.runtime_state == "wedged" => {
            let data = json!({ "runtime_state": "wedged", "sample_error": beat.sample_error });
            Some((Status::Degraded, "WORKSPACE_DEGRADED", data))
        }
        Status::Online if beat.error_rate >= DEGRADED_FROM && !self_managed => {
            let data = json!({ "error_rate": beat.error_rate, "sample_error": beat.sample_error });
            Some((Status::Degraded, "WORKSPACE_DEGRADED", data))
        }
        Status::Degraded
            if beat.error_rate < RECOVERED_BELOW && beat.runtime_state.is_empty() && !self_managed =>
        {
            Some((Status::Online, "WORKSPACE_ONLINE", json!({})))
        }
        Status::Offline => Some((Status::Online, "WORKSPACE_ONLINE", json!({}))),
        Status::Provisioning | Status::AwaitingAgent => Some(recovered(workspace)),
        Status::Failed if level >= Level::Newest => Some(recovered(workspace)),
        Status::Degraded
        | Status::Failed
        | Status::Hibernated
        | Status::Hibernating
        | Status::Online
        | Status::Paused
        | Status::Removed => None,
    }
}

fn recovered(workspace: &Workspace) -> (Status, &'static str, Value) {
    (Status::Online, "WORKSPACE_ONLINE", json!({ "recovered_from": workspace.status.as_str() }))
}

/// Fills the gaps of a card from the row: name, description and role, each on its own.
fn reconciled(card: Value, workspace: &Workspace) -> Value {
    let Value::Object(mut fields) = card else { return card };
    let id = workspace.id.to_string();
    let given = |fields: &serde_json::Map<String, Value>, key: &str| {
        fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let own_name = given(&fields, "name").filter(|name| *name != id);
    let row_name = Some(workspace.name.clone()).filter(|name| *name != id);
    if let (None, Some(name)) = (own_name, row_name) {
        fields.insert("name".to_owned(), json!(name));
    }
    let missing = |fields: &serde_json::Map<String, Value>, key: &str| {
        fields.get(key).is_none_or(|value| value.as_str() == Some("") || value.is_null())
    };
    if let (true, Some(name)) = (missing(&fields, "description"), given(&fields, "name")) {
        fields.insert("description".to_owned(), json!(name));
    }
    if let (true, Some(role)) = (missing(&fields, "role"), &workspace.role) {
        fields.insert("role".to_owned(), json!(role));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::testing::Stage;

    fn status(stage: &Stage) -> &'static str {
        stage.platform.workspace(stage.own.id).unwrap().status.as_str()
    }

    #[test]
    fn register_gives_a_token_only_to_those_who_have_none() {
        let mut stage = Stage::new(Level::Later);
        assert_eq!(stage.register(&json!({})).1.get("auth_token"), None);

        stage.platform.revoke_tokens(stage.own.id);
        let token = stage.register(&json!({})).1["auth_token"].as_str().unwrap().to_owned();

        assert_eq!(stage.get("/activity").0, 401);
        stage.own.token = token;
        assert_eq!(stage.get("/activity").0, 200);
    }

    #[test]
    fn at_the_newest_level_a_token_of_the_tokens_tab_does_not_count_at_register() {
        let mut stage = Stage::new(Level::Newest);
        let own = stage.own.id;
        stage.platform.revoke_tokens(own);
        stage.own.token = stage.platform.mint_for(own);

        let first = stage.register(&json!({})).1["auth_token"].as_str().map(str::to_owned);

        assert!(first.is_some());
        assert_eq!(stage.register(&json!({})).1.get("auth_token"), None);
        assert_eq!(stage.get("/activity").0, 200, "the token in hand stays good");
        stage.own.token = first.unwrap_or_default();
        assert_eq!(stage.get("/activity").0, 200);
    }

    #[test]
    fn an_unknown_id_gets_a_secret_that_means_nothing() {
        for (level, stable) in [(Level::Baseline, false), (Level::Later, true)] {
            let mut stage = Stage::new(level);
            let body = json!({ "workspace_id": Uuid::from_u128(1).to_string() });
            let beat = Request::new("POST", "/registry/heartbeat").json(&body);

            let first = stage.answer(&beat).body_json();
            let second = stage.answer(&beat).body_json();

            assert_eq!(first["status"], "ok");
            assert_eq!(first == second, stable, "{level:?}");
            assert!(stage.platform.workspace(Uuid::from_u128(1)).is_none());
        }
    }

    #[test]
    fn every_beat_delivers_the_secret_that_register_gave() {
        let mut stage = Stage::new(Level::Later);
        let secret = stage.register(&json!({})).1["platform_inbound_secret"].clone();

        assert_eq!(stage.beat(&json!({})).1, json!({ "platform_inbound_secret": secret, "status": "ok" }));
    }

    #[test]
    fn errors_degrade_and_only_calm_recovers() {
        let mut stage = Stage::new(Level::Later);
        let rates =
            [(0.49, "online"), (0.5, "degraded"), (0.2, "degraded"), (0.1, "degraded"), (0.09, "online")];
        for (rate, expected) in rates {
            stage.beat(&json!({ "error_rate": rate }));
            assert_eq!(status(&stage), expected, "{rate}");
        }

        stage.beat(&json!({ "runtime_state": "wedged" }));
        assert_eq!(status(&stage), "degraded");
    }

    #[test]
    fn a_field_that_is_left_out_is_reset() {
        let mut stage = Stage::new(Level::Later);
        stage.beat(&json!({ "current_task": "x", "active_tasks": 2, "monthly_spend": 7 }));

        stage.beat(&json!({}));

        let own = stage.platform.workspace(stage.own.id).unwrap();
        assert_eq!((own.beat.clone(), own.monthly_spend), (Beat::default(), 7));
    }

    #[test]
    fn integers_are_written_as_such_and_fit_their_column() {
        let mut stage = Stage::new(Level::Later);

        assert_eq!(stage.beat(&json!({ "uptime_seconds": 12.0 })).0, 400);
        assert_eq!(stage.beat(&json!({ "uptime_seconds": 2_147_483_648_i64 })).0, 500);
        assert_eq!(stage.beat(&json!({ "error_rate": 0 })).0, 200);
    }

    #[test]
    fn silence_makes_a_workspace_await_its_agent_until_the_next_beat() {
        let mut stage = Stage::new(Level::Later);
        stage.register(&json!({}));

        stage.wait(Duration::from_secs(90));
        assert_eq!(status(&stage), "online");
        stage.wait(Duration::from_secs(15));
        assert_eq!(status(&stage), "awaiting_agent");

        stage.beat(&json!({}));
        assert_eq!(status(&stage), "online");
    }

    #[test]
    fn later_the_gaps_of_a_card_are_filled() {
        for (level, stored) in [
            (Level::Baseline, json!({ "name": "" })),
            (Level::Later, json!({ "name": "own", "description": "own" })),
        ] {
            let mut stage = Stage::new(level);
            stage.register(&json!({ "name": "" }));
            assert_eq!(stage.platform.card(stage.own.id), Some(&stored), "{level:?}");
        }
    }

    #[test]
    fn a_removed_workspace_looks_alive_to_its_agent() {
        let mut stage = Stage::new(Level::Later);
        let path = format!("/workspaces/{}", stage.own.id);
        let peer = stage.peer.token.clone();
        assert_eq!(stage.answer(&Request::new("DELETE", &path).bearer(&peer)).status, 200);

        assert_eq!(stage.beat(&json!({})).0, 200);
        assert_eq!(stage.get("/activity").0, 401);
        assert_eq!(stage.answer(&Request::new("GET", &path)).status, 410);
        stage.own.token = stage.register(&json!({})).1["auth_token"].as_str().unwrap().to_owned();
        assert_eq!((stage.get("/activity").0, stage.beat(&json!({})).0), (401, 401));
    }
}
