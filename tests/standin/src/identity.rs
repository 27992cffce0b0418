//! Tokens, and the connection block that carries one.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json;
use crate::now::Now;
use crate::platform::Platform;
use crate::switches::Level;
use crate::tokens::{CAP, Kind, Token};
use crate::workspaces::not_found;

const PAGE: usize = 50;
const PAGE_MAX: usize = 200;
const MESSAGE: &str = "Save this token now — it cannot be retrieved again.";
const EXTERNAL: [&str; 3] = ["external", "kimi", "kimi-cli"];
const SNIPPETS: [&str; 4] =
    ["claude_code_channel_snippet", "curl_register_template", "python_snippet", "universal_mcp_snippet"];
const LATER_SNIPPETS: [&str; 4] =
    ["codex_snippet", "hermes_channel_snippet", "kimi_snippet", "openclaw_snippet"];

impl Platform {
    pub(crate) fn mint(&mut self, workspace: Uuid, kind: Kind, now: Now) -> String {
        let secret = self.ids.token();
        let now = self.activity.instant(now);
        self.tokens.mint(self.ids.uuid(), workspace, kind, secret.clone(), now);
        secret
    }

    pub(crate) fn mint_token(&mut self, call: &Call, id: &str) -> Answer {
        let workspace = self.token_workspace(id)?;
        if self.tokens.live(workspace).len() >= CAP {
            return Err(Response::error(429, "maximum 50 active tokens per workspace"));
        }
        let token = self.mint(workspace, Kind::Api, call.now);
        Ok(Response::json(201, json!({ "auth_token": token, "message": MESSAGE, "workspace_id": id })))
    }

    /// The operator mints a token for a workspace, since the test token is gone.
    pub(crate) fn mint_token_as_operator(&mut self, call: &Call, id: &str) -> Answer {
        self.admin_gate(call)?;
        self.workspaces.find(id).ok_or_else(not_found)?;
        self.mint_token(call, id)
    }

    pub(crate) fn list_tokens(&self, call: &Call, id: &str) -> Answer {
        let workspace = self.token_workspace(id)?;
        let number = |name| call.query(name).and_then(|text| text.parse::<usize>().ok());
        let limit = number("limit").filter(|n| (1..=PAGE_MAX).contains(n)).unwrap_or(PAGE);
        let live = self.tokens.live(workspace);
        let page: Vec<_> =
            live.into_iter().skip(number("offset").unwrap_or(0)).take(limit).map(Token::to_json).collect();
        Ok(Response::json_as_is(200, &json!({ "count": page.len(), "tokens": page })))
    }

    pub(crate) fn revoke_token(&mut self, id: &str, token: &str) -> Answer {
        let workspace = self.token_workspace(id)?;
        let token = database_uuid(token).ok_or_else(|| Response::error(500, "failed to revoke token"))?;
        if !self.tokens.revoke(workspace, token) {
            return Err(Response::error(404, "token not found or already revoked"));
        }
        Ok(Response::json(200, json!({ "status": "revoked" })))
    }

    fn token_workspace(&self, id: &str) -> Result<Uuid, Response> {
        database_uuid(id).ok_or_else(|| match self.level {
            Level::Baseline => Response::error(500, "failed to list tokens"),
            Level::Later | Level::Newest => Response::error(400, "invalid workspace id"),
        })
    }

    pub(crate) fn test_token(&mut self, call: &Call, id: &str) -> Answer {
        if !self.switches.test_tokens {
            return Err(Response::error(404, "not found"));
        }
        let operator =
            self.switches.admin_token.is_none() || call.bearer().is_some_and(|token| self.is_operator(token));
        if !operator {
            return Err(Response::error(401, "admin auth required"));
        }
        let workspace = database_uuid(id).ok_or_else(|| Response::error(500, "lookup failed"))?;
        self.workspaces.get(workspace).ok_or_else(not_found)?;
        let token = self.mint(workspace, Kind::Instance, call.now);
        Ok(Response::json(200, json!({ "auth_token": token, "workspace_id": id })))
    }

    /// Kills every token of the workspace and mints one.
    pub(crate) fn rotate(&mut self, call: &Call, id: &str) -> Answer {
        let workspace =
            self.connected(id, "rotate is only valid for external/BYO-compute workspaces", true)?;
        self.tokens.revoke_all(workspace);
        let token = self.mint(workspace, Kind::Instance, call.now);
        self.emit(workspace, "EXTERNAL_CREDENTIALS_ROTATED", json!({ "workspace_id": id }), call.now);
        Ok(Response::json(200, json!({ "connection": self.connection(call, workspace, &token) })))
    }

    pub(crate) fn read_connection(&self, call: &Call, id: &str) -> Answer {
        let complaint = "connection payload is only valid for external/BYO-compute workspaces";
        let workspace = self.connected(id, complaint, false)?;
        Ok(Response::json(200, json!({ "connection": self.connection(call, workspace, "") })))
    }

    fn connected(&self, id: &str, complaint: &str, with_hint: bool) -> Result<Uuid, Response> {
        let workspace = self.workspaces.find(id).ok_or_else(not_found)?;
        if EXTERNAL.contains(&workspace.runtime.as_str()) {
            return Ok(workspace.id);
        }
        let mut body = json!({ "error": complaint, "runtime": workspace.runtime });
        if with_hint {
            json::put(
                &mut body,
                "hint",
                json!("use POST /workspaces/:id/restart for container-backed runtimes"),
            );
        }
        Err(Response::json(400, body))
    }

    /// What an operator needs to connect an agent.
    pub(crate) fn connection(&self, call: &Call, workspace: Uuid, token: &str) -> Value {
        let base = format!("http://{}", call.host());
        let mut block = json!({
            "auth_token": token,
            "heartbeat_endpoint": format!("{base}/registry/heartbeat"),
            "platform_url": base,
            "registry_endpoint": format!("{base}/registry/register"),
            "workspace_id": workspace.to_string(),
        });
        let later = LATER_SNIPPETS.iter().filter(|_| self.level >= Level::Later);
        for name in SNIPPETS.iter().chain(later) {
            json::put(&mut block, name, json!(format!("# {name} for {workspace} at {base}")));
        }
        json::alphabetical(block)
    }
}

impl Token {
    fn to_json(&self) -> Value {
        json!({
            "id": self.id.to_string(),
            "prefix": self.secret.get(..8),
            "created_at": self.created_at.rfc3339(),
            "last_used_at": self.last_used_at.map(Now::rfc3339),
        })
    }
}
