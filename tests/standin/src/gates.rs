//! Who may call what. Refused credentials are always a 401.

use serde_json::json;
use uuid::Uuid;

use crate::call::Call;
use crate::http::Response;
use crate::platform::Platform;
use crate::switches::Level;
use crate::tokens::LookupFailed;

impl Platform {
    /// Register, heartbeat, card: an id without live tokens, or with an unreadable store, is let in.
    pub(crate) fn bootstrap_gate(&mut self, call: &Call, workspace: &str) -> Result<(), Response> {
        self.own_token(call, workspace, "workspace")
    }

    /// Discovery and peers.
    pub(crate) fn discovery_gate(&mut self, call: &Call, workspace: &str) -> Result<(), Response> {
        if self.switches.gates_open(self.level) {
            return Ok(());
        }
        self.own_token(call, workspace, "workspace")
    }

    /// A2A as another workspace than the target.
    pub(crate) fn caller_gate(&mut self, call: &Call, caller: &str) -> Result<(), Response> {
        self.own_token(call, caller, "caller")
    }

    /// Everything below `/workspaces/:id/`. Strict: no live token means nobody gets in.
    pub(crate) fn workspace_gate(&mut self, call: &Call, workspace: &str) -> Result<(), Response> {
        let Some(token) = call.bearer() else {
            let trusted = self.switches.ui_proxy && self.level < Level::Newest && call.is_same_origin();
            let open = self.switches.gates_open(self.level) || trusted;
            return if open { Ok(()) } else { Err(Response::error(401, "missing workspace auth token")) };
        };
        if self.is_operator(token) {
            return Ok(());
        }
        self.require_token_of(call, workspace)
    }

    /// Passes only a live token of this very workspace, not the operator's.
    pub(crate) fn require_token_of(&mut self, call: &Call, workspace: &str) -> Result<(), Response> {
        match call.bearer() {
            None => Err(Response::error(401, "missing workspace auth token")),
            Some(token) if self.owns(token, workspace, call) => Ok(()),
            Some(_) => Err(Response::error(401, "invalid workspace auth token")),
        }
    }

    pub(crate) fn admin_gate(&mut self, call: &Call) -> Result<(), Response> {
        let is_new = !self.tokens.any_live().map_err(|LookupFailed| unavailable())?;
        if (is_new && self.switches.admin_token.is_none() && self.level < Level::Newest)
            || self.switches.gates_open(self.level)
        {
            return Ok(());
        }
        let token = call.bearer().ok_or_else(|| Response::error(401, "admin auth required"))?;
        let passes = match &self.switches.admin_token {
            Some(operator) => operator == token,
            None => self.token_owner(token, call).is_some(),
        };
        if passes { Ok(()) } else { Err(Response::error(401, "invalid admin auth token")) }
    }

    /// The workspace that a bearer belongs to.
    pub(crate) fn token_owner(&mut self, token: &str, call: &Call) -> Option<Uuid> {
        let owner = self.tokens.used(token, call.now)?.workspace;
        self.workspaces.get(owner).filter(|workspace| !workspace.is_removed()).map(|workspace| workspace.id)
    }

    pub(crate) fn is_operator(&self, token: &str) -> bool {
        self.switches.admin_token.as_deref() == Some(token)
    }

    fn own_token(&mut self, call: &Call, workspace: &str, whose: &str) -> Result<(), Response> {
        match self.tokens.has_live(workspace) {
            Err(LookupFailed) | Ok(false) => return Ok(()),
            Ok(true) => {}
        }
        match call.bearer() {
            None => Err(Response::error(401, format!("missing {whose} auth token"))),
            Some(token) if self.owns(token, workspace, call) => Ok(()),
            Some(_) => Err(Response::error(401, format!("invalid {whose} auth token"))),
        }
    }

    /// The binding compares texts, so the right id in upper case is a wrong one.
    fn owns(&mut self, token: &str, workspace: &str, call: &Call) -> bool {
        self.token_owner(token, call).is_some_and(|owner| owner.to_string() == workspace)
    }
}

/// A store that cannot answer.
pub(crate) fn unavailable() -> Response {
    let error = "platform datastore unavailable — retry shortly";
    Response::json(503, json!({ "code": "platform_unavailable", "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::testing::Stage;
    use crate::world::Store;

    fn activity(stage: &Stage) -> Request {
        Request::new("GET", &format!("/workspaces/{}/activity", stage.own.id)).header("Host", "here")
    }

    #[test]
    fn scheme_and_id_are_compared_to_the_letter() {
        let mut stage = Stage::new(Level::Later);
        let token = stage.own.token.clone();
        let shouting =
            Request::new("GET", &format!("/workspaces/{}/activity", stage.own.id.to_string().to_uppercase()));

        assert_eq!(stage.answer(&activity(&stage).bearer(&token)).status, 200);
        assert_eq!(stage.answer(&shouting.bearer(&token)).status, 401);
        let lower = activity(&stage).header("Authorization", &format!("bearer {token}"));
        assert_eq!(stage.answer(&lower).body_json()["error"], "missing workspace auth token");
    }

    #[test]
    fn a_token_that_cannot_be_looked_up_is_a_401_although_beats_pass() {
        let mut stage = Stage::new(Level::Later);
        let token = stage.own.token.clone();
        stage.platform.outage(Store::Tokens, true);

        assert_eq!(stage.answer(&activity(&stage).bearer(&token)).status, 401);
        assert_eq!(stage.beat(&json!({})).0, 200);
        assert_eq!(stage.answer(&Request::new("GET", "/workspaces").bearer(&token)).status, 503);
    }

    #[test]
    fn behind_a_web_ui_a_missing_bearer_is_not_noticed() {
        let mut stage = Stage::new(Level::Later);
        stage.platform.switches_mut().ui_proxy = true;
        let same_origin = activity(&stage).header("Origin", "http://here");

        assert_eq!(stage.answer(&same_origin).status, 200);
        assert_eq!(stage.answer(&same_origin.bearer("wrong")).status, 401);
        assert_eq!(stage.answer(&activity(&stage)).status, 401);
    }
}
