//! The environments that operators have, and what each of them leads to.

mod choices;
mod directories;
mod every_variable;
mod network;
mod problems;
mod token;
mod wake;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

use super::*;
use molecule_runtime::{account::TokenSource, network::Trust};

const UUID: &str = "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3";
/// Stands in every test where a secret could be, and never in a report.
const CANARY: &str = "canary-c0ffee-0123456789abcdef";

#[test]
fn three_settings_are_enough() {
    let settings = good(&[]);

    assert_eq!(settings.accounts[0].id, UUID);
    assert_eq!(settings.accounts[0].platform.as_str(), "https://acme.example/");
    assert_eq!(settings.accounts[0].credentials.token().reveal(), CANARY);
    assert_eq!(settings.accounts[0].card.name, "molecule-mcp-6f9c2a31");
    assert_eq!(settings.accounts[0].card.description, None);
    assert_eq!(settings.accounts[0].card.skills, [""; 0]);
    assert!(settings.heartbeat && settings.inbox);
    assert!(
        !settings.log.verbose
            && !settings.tools.structured
            && !settings.tools.bare_peer_text
            && !settings.tools.delegate_durably
    );
    assert_eq!((settings.tools.durable_budget_secs, settings.tools.poll_timeout_secs), (300, 2));
    assert_eq!(
        (settings.tools.permissions.roles, settings.tools.permissions.tier),
        (vec!["operator".to_owned()], 1)
    );
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn values_are_cleaned_once() {
    let settings = good(&[
        ("WORKSPACE_ID", " 6F9C2A31-8B4E-4F0A-9C11-5D2E7A90B1C3\n"),
        ("PLATFORM_URL", "\thttps://acme.example/api// "),
        ("MOLECULE_WORKSPACE_TOKEN", " tok-1\n"),
    ]);

    assert_eq!(settings.accounts[0].id, UUID);
    assert_eq!(settings.accounts[0].platform.as_str(), "https://acme.example/api");
    assert_eq!(settings.accounts[0].credentials.token().reveal(), "tok-1");
}

#[test]
fn a_list_of_one_workspace_takes_the_place_of_the_three() {
    let list = format!(r#"[{{"id": "w-1", "token": "{CANARY}", "platform_url": "http://localhost:8080/"}}]"#);

    let settings =
        good(&[("MOLECULE_WORKSPACES", &list), ("WORKSPACE_ID", ""), ("MOLECULE_WORKSPACE_TOKEN", "other")]);

    assert_eq!(
        (settings.accounts[0].id.as_str(), settings.accounts[0].platform.as_str()),
        ("w-1", "http://localhost:8080/")
    );
    assert_eq!(settings.accounts[0].credentials.token().reveal(), CANARY);
    assert_eq!(settings.accounts[0].credentials.source(), &TokenSource::setting("MOLECULE_WORKSPACES"));
}

fn good(changes: &[(&str, &str)]) -> Settings {
    from(changes).unwrap_or_else(|problems| panic!("{problems}"))
}

fn bad(changes: &[(&str, &str)]) -> String {
    match from(changes) {
        Ok(settings) => panic!("accepted: {settings:?}"),
        Err(problems) => problems.to_string(),
    }
}

/// Settings from an environment that suffices, with `changes`.
fn from(changes: &[(&str, &str)]) -> Result<Settings, Problems> {
    let mut variables = sufficient();
    variables.extend(changes.iter().copied());
    Settings::from_env(|name| variables.get(name).map(OsString::from))
}

/// An environment that suffices.
fn sufficient() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("WORKSPACE_ID", UUID),
        ("PLATFORM_URL", "https://acme.example"),
        ("MOLECULE_WORKSPACE_TOKEN", CANARY),
        ("CONFIGS_DIR", "/tmp/molecule-mcp-tests-never-made"),
        ("WORKSPACE_CONFIG_PATH", concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
    ])
}

pub(super) fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
