//! Creating, reading, changing and removing workspaces.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::{self, Fields, Malformed};
use crate::model::{Mode, Status, Workspace};
use crate::platform::Platform;
use crate::switches::Level;
use crate::tokens::Kind;
use crate::url_safety::{self, Allowed};

/// Suffixes ` (2)` to ` (21)` are tried before a name counts as taken.
const LAST_SUFFIX: u32 = 21;
const FORBIDDEN: [char; 11] = ['{', '}', '[', ']', '>', '*', '&', '!', '|', '\r', '\n'];

/// What a create request asks for.
struct Wanted {
    name: String,
    role: Option<String>,
    external: bool,
    runtime: Option<String>,
    url: Option<String>,
    mode: Option<String>,
    template: Option<String>,
    tier: i64,
    parent: Option<String>,
    max_concurrent_tasks: i64,
    budget_limit: Option<i64>,
}

impl Platform {
    pub(crate) fn create_workspace(&mut self, call: &Call) -> Answer {
        self.admin_gate(call)?;
        let wanted = wanted(call).map_err(|Malformed| Response::error(400, "invalid workspace payload"))?;
        let mode = self.check_wanted(&wanted)?;
        let parent = self.parent_of(&wanted)?;
        let name = self.free_name(&wanted.name, parent)?;
        let now = self.activity.instant(call.now);
        let id = self.ids.uuid();
        let online = wanted.external && wanted.url.is_some();
        self.workspaces.insert(Workspace {
            budget_limit: wanted.budget_limit,
            delivery_mode: mode,
            max_concurrent_tasks: wanted.max_concurrent_tasks.max(1),
            parent,
            role: wanted.role,
            runtime: self.stored_runtime(wanted.external, wanted.runtime),
            status: created_status(wanted.external, online),
            tier: self.stored_tier(wanted.tier),
            url: wanted.url,
            ..Workspace::new(id, &name, now)
        });
        Ok(Response::json(201, self.created(call, id, wanted.external, online)))
    }

    fn created(&mut self, call: &Call, id: Uuid, external: bool, online: bool) -> Value {
        match (external, online) {
            (false, _) => json!({
                "awareness_namespace": format!("workspace:{id}"),
                "id": id.to_string(),
                "status": "provisioning",
                "workspace_access": "none",
            }),
            (true, true) => json!({ "external": true, "id": id.to_string(), "status": "online" }),
            (true, false) => {
                let token = self.mint(id, Kind::Instance, call.now);
                json!({
                    "connection": self.connection(call, id, &token),
                    "external": true,
                    "id": id.to_string(),
                    "status": "awaiting_agent",
                })
            }
        }
    }

    fn check_wanted(&self, wanted: &Wanted) -> Result<Mode, Response> {
        let refuse = |error: &str| Err(Response::error(400, error));
        let bad_text = |text: &str, length: usize| text.len() > length || text.contains(FORBIDDEN);
        if bad_text(&wanted.name, 255) || wanted.role.as_deref().is_some_and(|role| bad_text(role, 1000)) {
            return refuse("invalid workspace fields");
        }
        let Some(mode) = wanted.mode.as_deref().map_or(Some(Mode::Push), Mode::parse) else {
            return refuse("delivery_mode must be 'push' or 'poll'");
        };
        if self.level == Level::Baseline {
            return Ok(mode);
        }
        if let Some(url) = wanted.url.as_deref().filter(|_| wanted.external) {
            url_safety::check(url, self.registration_urls())
                .map_err(|reason| Response::error(400, format!("unsafe workspace URL: {reason}")))?;
        }
        match &wanted.template {
            Some(template) if wanted.runtime.is_none() && !wanted.external => Err(unresolved(template)),
            Some(_) | None if !wanted.external && self.level >= Level::Newest => {
                Err(model_required(wanted.runtime.as_deref().unwrap_or(self.default_runtime())))
            }
            Some(_) | None => Ok(mode),
        }
    }

    /// Hosted tenants may use private addresses.
    pub(crate) fn registration_urls(&self) -> Allowed {
        Allowed { localhost_name: true, loopback: false, private: self.switches.org_id.is_some() }
    }

    fn parent_of(&self, wanted: &Wanted) -> Result<Option<Uuid>, Response> {
        let failed = || Response::error(500, "failed to create workspace");
        if wanted.name.contains('\0') || wanted.role.as_deref().is_some_and(|role| role.contains('\0')) {
            return Err(failed());
        }
        let found = |parent| self.workspaces.find(parent).map(|workspace| workspace.id).ok_or_else(failed);
        Ok(wanted.parent.as_deref().map(found).transpose()?.or_else(|| self.default_parent()))
    }

    /// At the newest level the only root there is becomes the parent of whoever names none.
    pub(crate) fn default_parent(&self) -> Option<Uuid> {
        let present = self.workspaces.present();
        let mut roots = present.iter().filter(|workspace| workspace.parent.is_none());
        let only = roots.next().filter(|_| roots.next().is_none() && self.level >= Level::Newest);
        only.map(|root| root.id)
    }

    pub(crate) fn default_runtime(&self) -> &'static str {
        if self.level < Level::Newest { "langgraph" } else { "claude-code" }
    }

    /// Later, a name that is taken below the same parent gets a number.
    fn free_name(&self, name: &str, parent: Option<Uuid>) -> Result<String, Response> {
        let present = self.workspaces.present();
        let taken = |name: &str| present.iter().any(|other| other.parent == parent && other.name == name);
        let numbered = (2..=LAST_SUFFIX).map(|number| format!("{name} ({number})"));
        let mut candidates = std::iter::once(name.to_owned()).chain(numbered);
        let free = candidates.find(|candidate| self.level == Level::Baseline || !taken(candidate));
        free.ok_or_else(|| {
            Response::error(409, "workspace name already in use; please pick a different name")
        })
    }

    fn stored_runtime(&self, external: bool, runtime: Option<String>) -> String {
        match self.level {
            Level::Baseline if external => "external".to_owned(),
            Level::Newest if external => runtime.unwrap_or_else(|| "external".to_owned()),
            Level::Baseline | Level::Later | Level::Newest => {
                runtime.unwrap_or_else(|| self.default_runtime().to_owned())
            }
        }
    }

    fn stored_tier(&self, tier: i64) -> i64 {
        match (self.level, &self.switches.org_id, tier) {
            (Level::Later | Level::Newest, Some(_), _) => 4,
            (_, _, 0) => 3,
            (_, _, tier) => tier,
        }
    }

    pub(crate) fn read_workspace(&self, call: &Call, id: &str) -> Answer {
        let id = workspace_id(id)?;
        let workspace = self.workspaces.get(id).ok_or_else(not_found)?;
        let wanted_anyway = call.query("include_removed") == Some("true");
        if self.level >= Level::Later && workspace.is_removed() && !wanted_anyway {
            let body = json!({
                "error": "workspace removed",
                "hint": "Regenerate workspace + token from the canvas → Tokens tab",
                "id": id.to_string(),
                "removed_at": workspace.removed_at.map(|at| at.rfc3339()),
            });
            return Err(Response::json(410, body));
        }
        let mut fields = self.public_fields(workspace);
        fields
            .insert("last_outbound_at".to_owned(), json!(workspace.last_outbound_at.map(|at| at.rfc3339())));
        if self.level >= Level::Newest {
            let beat = json!(workspace.last_heartbeat_at.map(|at| at.rfc3339()));
            fields.insert("last_heartbeat_at".to_owned(), beat);
            fields.insert("wedged".to_owned(), json!(workspace.beat.runtime_state == "wedged"));
        }
        Ok(Response::json(200, Value::Object(fields)))
    }

    fn public_fields(&self, workspace: &Workspace) -> Map<String, Value> {
        let (x, y) = workspace.position;
        let mut fields = json!({
            "active_tasks": workspace.beat.active_tasks,
            "agent_card": workspace.agent_card,
            "collapsed": workspace.collapsed,
            "id": workspace.id.to_string(),
            "last_error_rate": workspace.beat.error_rate,
            "max_concurrent_tasks": workspace.max_concurrent_tasks,
            "name": workspace.name,
            "parent_id": workspace.parent.map(|id| id.to_string()),
            "role": workspace.role,
            "runtime": workspace.runtime,
            "status": workspace.status.as_str(),
            "tier": workspace.tier,
            "uptime_seconds": workspace.beat.uptime_seconds,
            "url": workspace.url.clone().unwrap_or_default(),
            "x": x,
            "y": y,
        });
        if self.level >= Level::Later {
            json::put(&mut fields, "broadcast_enabled", json!(workspace.broadcast_enabled));
            json::put(&mut fields, "talk_to_user_enabled", json!(workspace.talk_to_user_enabled));
        }
        if self.level >= Level::Newest {
            json::put(&mut fields, "compute", json!({}));
            json::put(&mut fields, "kind", json!("workspace"));
            json::put(&mut fields, "loaded_mcp_tools", json!(workspace.loaded_mcp_tools));
        }
        fields.as_object().cloned().unwrap_or_default()
    }

    pub(crate) fn list_workspaces(&mut self, call: &Call) -> Answer {
        self.admin_gate(call)?;
        let items = self.workspaces.present().into_iter().map(|workspace| {
            let mut fields = self.public_fields(workspace);
            let operator = [
                ("budget_limit", json!(workspace.budget_limit)),
                ("current_task", json!(workspace.beat.current_task)),
                ("last_sample_error", json!(workspace.beat.sample_error)),
                ("monthly_spend", json!(workspace.monthly_spend)),
                ("workspace_dir", json!(workspace.workspace_dir)),
            ];
            fields.extend(operator.map(|(name, value)| (name.to_owned(), value)));
            Value::Object(fields)
        });
        Ok(Response::json(200, items.collect()))
    }

    pub(crate) fn read_state(&mut self, call: &Call, id: &str) -> Answer {
        self.require_token_of(call, id)?;
        let deleted = || Response::json(404, json!({ "deleted": true, "workspace_id": id }));
        let workspace = self.workspaces.find(id).ok_or_else(deleted)?;
        let body = json!({
            "deleted": false,
            "paused": workspace.status == Status::Paused,
            "status": workspace.status.as_str(),
            "workspace_id": id,
        });
        Ok(Response::json(200, body))
    }

    /// Types are not checked, and what is unknown is ignored.
    pub(crate) fn update_workspace(&mut self, call: &Call, id: &str) -> Answer {
        let id = workspace_id(id)?;
        let fields = call.fields().map_err(|Malformed| Response::error(400, "invalid request body"))?;
        let text =
            |name| fields.value(name).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        if text("name").is_some_and(|name| name.contains(FORBIDDEN)) {
            return Err(Response::error(400, "name contains invalid characters"));
        }
        let parent = text("parent_id").and_then(|parent| database_uuid(&parent));
        let workspace = self.workspaces.get_mut(id).ok_or_else(not_found)?;
        workspace.name = text("name").unwrap_or_else(|| workspace.name.clone());
        workspace.role = text("role").or_else(|| workspace.role.clone());
        workspace.runtime = text("runtime").unwrap_or_else(|| workspace.runtime.clone());
        workspace.workspace_dir = text("workspace_dir").or_else(|| workspace.workspace_dir.clone());
        workspace.tier = fields.integer("tier").ok().flatten().unwrap_or(workspace.tier);
        workspace.collapsed = fields.flag("collapsed").ok().flatten().unwrap_or(workspace.collapsed);
        workspace.parent = if fields.any("parent_id").is_some() { parent } else { workspace.parent };
        if let (Ok(Some(x)), Ok(Some(y))) = (fields.float("x"), fields.float("y")) {
            workspace.position = (x, y);
        }
        let mut body = json!({ "status": "updated" });
        if fields.value("workspace_dir").is_some() {
            json::put(&mut body, "needs_restart", json!(true));
        }
        Ok(Response::json(200, body))
    }

    pub(crate) fn restart(&self, id: &str) -> Answer {
        let workspace = self.workspaces.find(id).ok_or_else(not_found)?;
        let local = if self.level >= Level::Later { "agent" } else { "poller" };
        let message = format!(
            "external workspaces are operator-driven — restart your local {local}; platform has nothing to restart"
        );
        Ok(Response::json(200, json!({ "message": message, "runtime": workspace.runtime, "status": "noop" })))
    }

    pub(crate) fn set_abilities(&mut self, call: &Call, id: &str) -> Answer {
        self.admin_gate(call)?;
        let id = workspace_id(id)?;
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let broadcast = fields.flag("broadcast_enabled").map_err(bad_body)?;
        let talk = fields.flag("talk_to_user_enabled").map_err(bad_body)?;
        if broadcast.or(talk).is_none() {
            return Err(Response::error(400, "at least one ability field required"));
        }
        let workspace = self.workspaces.get_mut(id).filter(|workspace| !workspace.is_removed());
        let workspace = workspace.ok_or_else(not_found)?;
        workspace.broadcast_enabled = broadcast.unwrap_or(workspace.broadcast_enabled);
        workspace.talk_to_user_enabled = talk.unwrap_or(workspace.talk_to_user_enabled);
        Ok(Response::json(200, json!({ "status": "updated" })))
    }
}

pub(crate) fn not_found() -> Response {
    Response::error(404, "workspace not found")
}

pub(crate) fn workspace_id(text: &str) -> Result<Uuid, Response> {
    database_uuid(text).ok_or_else(|| Response::error(400, "invalid workspace ID"))
}

fn created_status(external: bool, online: bool) -> Status {
    match (external, online) {
        (false, _) => Status::Provisioning,
        (true, false) => Status::AwaitingAgent,
        (true, true) => Status::Online,
    }
}

fn wanted(call: &Call) -> Result<Wanted, Malformed> {
    let fields: Fields = call.fields()?;
    let text = |name| fields.filled(name).map(|text| text.map(str::to_owned));
    let runtime = text("runtime")?;
    let external_runtime =
        runtime.as_deref().is_some_and(|runtime| ["external", "kimi", "kimi-cli"].contains(&runtime));
    Ok(Wanted {
        name: fields.required("name")?.to_owned(),
        role: text("role")?,
        external: fields.flag("external")?.unwrap_or(false) || external_runtime,
        runtime,
        url: text("url")?,
        mode: text("delivery_mode")?,
        template: text("template")?,
        tier: fields.integer("tier")?.unwrap_or(0),
        parent: text("parent_id")?,
        max_concurrent_tasks: fields.integer("max_concurrent_tasks")?.unwrap_or(1),
        budget_limit: fields.integer("budget_limit")?,
    })
}

fn model_required(runtime: &str) -> Response {
    let error = "a model is required to create a workspace of this runtime";
    let body = json!({ "code": "MODEL_REQUIRED", "error": error, "runtime": runtime, "template": "" });
    Response::json(422, body)
}

fn unresolved(template: &str) -> Response {
    let error = "runtime could not be resolved from the requested template; refusing to silently provision \
                 langgraph. Pass an explicit \"runtime\", or use a template whose config.yaml declares one.";
    Response::json(422, json!({ "code": "RUNTIME_UNRESOLVED", "error": error, "template": template }))
}
