//! The settings: variables of the environment, under the names that the native program has for them.

use molecule_logic::{
    Agent, Card,
    wire::{Permissions, Settings, WorkspaceSettings},
};
use wasip2::{cli::environment::get_environment, random::random::get_random_u64};

use crate::{
    address::Base,
    platform::{Platform, Token},
};

/// A workspace has this tier, and its agent this role, where no file says otherwise.
const TIER: u32 = 1;
const ROLE: &str = "operator";
const DURABLE_BUDGET_SECS: u32 = 300;
const POLL_TIMEOUT_SECS: u32 = 2;

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Environment {
    pub(crate) platform: Platform,
    pub(crate) card: Card,
    /// The directory of state, in the words of the host.
    pub(crate) state: Option<String>,
    pub(crate) verbose: bool,
    /// All that the host grants.
    variables: Vec<(String, String)>,
}

impl Environment {
    /// Reads the variables that the host grants.
    ///
    /// # Errors
    /// All that is missing or unusable, as a text for the agent and its operator; no value of a secret is in it.
    pub fn read() -> Result<Self, String> {
        Self::of(get_environment())
    }

    fn of(variables: Vec<(String, String)>) -> Result<Self, String> {
        let mut problems = Vec::new();
        let base = required(&variables, "PLATFORM_URL", &mut problems, |text| {
            Base::parse(text, value(&variables, "MOLECULE_ALLOW_HTTP") == Some("1"))
        });
        let workspace = required(&variables, "WORKSPACE_ID", &mut problems, |text| {
            let is_id = text.len() <= 128
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            if is_id { Ok(text.to_owned()) } else { Err("is no id of a workspace".to_owned()) }
        });
        let token = required(&variables, "MOLECULE_WORKSPACE_TOKEN", &mut problems, |text| {
            Token::parse(text).map_err(str::to_owned)
        });
        let (Some(base), Some(workspace), Some(token)) = (base, workspace, token) else {
            return Err(format!(
                "Error: this plugin is not configured: {}. Its settings are environment variables that the host of the \
                 plugin grants: PLATFORM_URL, WORKSPACE_ID, MOLECULE_WORKSPACE_TOKEN, and for the inbox MOLECULE_STATE_DIR.",
                problems.join("; ")
            ));
        };
        let text = |name| value(&variables, name).map(str::to_owned);
        let card = Card {
            name: text("MOLECULE_AGENT_NAME")
                .unwrap_or_else(|| format!("molecule-mcp-{}", workspace.chars().take(8).collect::<String>())),
            description: text("MOLECULE_AGENT_DESCRIPTION"),
            skills: value(&variables, "MOLECULE_AGENT_SKILLS").map(skills).unwrap_or_default(),
        };
        let organization = text("MOLECULE_ORG_ID").or_else(|| text("MOLECULE_ORGANIZATION_ID"));
        Ok(Self {
            card,
            state: text("MOLECULE_STATE_DIR"),
            verbose: value(&variables, "MOLECULE_MCP_VERBOSE").is_some(),
            platform: Platform { base, workspace, token, organization },
            variables,
        })
    }

    /// The value of a further variable, for a shell that has settings of its own; blank is not set.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        value(&self.variables, name)
    }

    /// What the logic says of itself in this environment.
    pub fn describe<T>(&self, verb: impl FnOnce(&Agent) -> T) -> T {
        verb(&Agent::start(self.settings(self.state.is_some())))
    }

    /// What the logic is told; its answers also carry their facts as JSON.
    pub(crate) fn settings(&self, inbox: bool) -> Settings {
        let random = || get_random_u64();
        Settings {
            seed: (random(), random(), random(), random()),
            workspaces: vec![WorkspaceSettings {
                id: self.platform.workspace.clone(),
                platform: self.platform.base.shown(),
            }],
            inbox,
            redeliver: false,
            notice: true,
            structured: true,
            bare_peer_text: false,
            delegate_durably: value(&self.variables, "DELEGATION_SYNC_VIA_INBOX") == Some("1"),
            durable_budget_secs: DURABLE_BUDGET_SECS,
            poll_timeout_secs: POLL_TIMEOUT_SECS,
            permissions: Permissions {
                roles: vec![ROLE.to_owned()],
                allowed_actions: Vec::new(),
                tier: TIER,
            },
        }
    }
}

fn required<T>(
    variables: &[(String, String)],
    name: &str,
    problems: &mut Vec<String>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let parsed = match value(variables, name) {
        Some(text) => parse(text),
        None => Err("is not set".to_owned()),
    };
    parsed.map_err(|why| problems.push(format!("{name} {why}"))).ok()
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let (_, value) = variables.iter().find(|(key, _)| key == name)?;
    Some(value.trim()).filter(|value| !value.is_empty())
}

fn skills(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_unusable_is_told_all_at_once_and_without_secrets() {
        let why =
            environment(&[("MOLECULE_WORKSPACE_TOKEN", "can ary"), ("PLATFORM_URL", "http://acme.example")])
                .unwrap_err();

        for part in
            ["PLATFORM_URL is http", "WORKSPACE_ID is not set", "MOLECULE_WORKSPACE_TOKEN is no token"]
        {
            assert!(why.contains(part), "{why}");
        }
        assert!(!why.contains("ary"));
    }

    #[test]
    fn blank_is_not_set_and_the_rest_has_defaults() {
        let read = environment(&[
            ("PLATFORM_URL", "https://acme.example/"),
            ("WORKSPACE_ID", "11111111-1111"),
            ("MOLECULE_WORKSPACE_TOKEN", "canary"),
            ("MOLECULE_STATE_DIR", " "),
            ("MOLECULE_AGENT_SKILLS", "a, ,b"),
        ])
        .unwrap();

        assert_eq!((read.state.as_deref(), read.card.name.as_str()), (None, "molecule-mcp-11111111"));
        assert_eq!(read.card.skills, ["a", "b"]);
        assert!(!format!("{:?}", read.platform).contains("canary"));
    }

    fn environment(pairs: &[(&str, &str)]) -> Result<Environment, String> {
        Environment::of(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }
}
