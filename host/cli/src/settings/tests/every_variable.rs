//! What becomes of values that any variable may have: nothing in them, a home, a directory, nothing there.

use tempfile::TempDir;

use super::*;

/// What the program makes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// It means something here, or nothing at all.
    Fine,
    /// The program does not start, and says which variable it is.
    Refused,
    /// The program starts, and says which variable it is.
    Told,
}
use Becomes::{Fine, Refused, Told};

/// For `~`, an empty directory, and a path where nothing is.
const TABLE: &[(&str, [Becomes; 3])] = &[
    ("WORKSPACE_ID", [Refused, Refused, Refused]),
    ("PLATFORM_URL", [Refused, Refused, Refused]),
    ("MOLECULE_WORKSPACE_TOKEN", [Fine, Told, Told]),
    ("MOLECULE_WORKSPACE_TOKEN_FILE", [Refused, Refused, Refused]),
    ("MOLECULE_WORKSPACES", [Refused, Refused, Refused]),
    ("MOLECULE_WORKSPACES_FILE", [Refused, Refused, Refused]),
    ("MOLECULE_CONFIG", [Refused, Refused, Refused]),
    ("MOLECULE_ORG_ID", [Fine, Fine, Fine]),
    ("MOLECULE_ORGANIZATION_ID", [Fine, Fine, Fine]),
    ("CONFIGS_DIR", [Fine, Fine, Fine]),
    ("MOLECULE_AGENT_NAME", [Fine, Fine, Fine]),
    ("MOLECULE_AGENT_DESCRIPTION", [Fine, Fine, Fine]),
    ("MOLECULE_AGENT_SKILLS", [Fine, Fine, Fine]),
    ("MOLECULE_MCP_DISABLE_HEARTBEAT", [Fine, Fine, Fine]),
    ("MOLECULE_MCP_DISABLE_INBOX", [Fine, Fine, Fine]),
    ("MOLECULE_MCP_VERBOSE", [Fine, Fine, Fine]),
    ("MOLECULE_LOG", [Told, Told, Told]),
    ("MOLECULE_LOG_FORMAT", [Told, Told, Told]),
    ("MOLECULE_MCP_TOOL_NOTICE", [Told, Told, Told]),
    ("MOLECULE_MCP_HANDOVER", [Told, Told, Told]),
    ("MOLECULE_MCP_STRUCTURED", [Told, Told, Told]),
    ("MOLECULE_MCP_BARE_PEER_TEXT", [Told, Told, Told]),
    ("MOLECULE_MCP_POLL_TIMEOUT_SECS", [Told, Told, Told]),
    ("DELEGATION_SYNC_VIA_INBOX", [Told, Told, Told]),
    ("DELEGATION_TIMEOUT", [Told, Told, Told]),
    ("WORKSPACE_CONFIG_PATH", [Fine, Fine, Told]),
    ("WORKSPACE_TIER", [Told, Told, Told]),
    ("MOLECULE_WAKE", [Told, Told, Told]),
    ("MOLECULE_WAKE_FROM", [Refused, Refused, Refused]),
    ("MOLECULE_WAKE_PER_MINUTE", [Told, Told, Told]),
    ("MOLECULE_WAKE_BATCH_SECS", [Told, Told, Told]),
    ("MOLECULE_WAKE_QUIET_HOURS", [Refused, Refused, Refused]),
    ("MOLECULE_MCP_SERVER_NAME", [Told, Told, Told]),
    ("MOLECULE_ATTACH_ROOTS", [Fine, Fine, Told]),
    ("MOLECULE_CHAT_UPLOAD_DIR", [Fine, Fine, Fine]),
    ("MOLECULE_CHAT_UPLOAD_KEEP_DAYS", [Told, Told, Told]),
    ("MOLECULE_CHAT_UPLOAD_MAX_MB", [Told, Told, Told]),
    ("MOLECULE_ALLOW_HTTP", [Told, Told, Told]),
    ("HTTPS_PROXY", [Refused, Refused, Refused]),
    // The platform of these tests is not reached through it.
    ("HTTP_PROXY", [Fine, Fine, Fine]),
    ("ALL_PROXY", [Refused, Refused, Refused]),
    // Without a proxy it means nothing.
    ("NO_PROXY", [Fine, Fine, Fine]),
    ("SSL_CERT_FILE", [Refused, Refused, Refused]),
    ("SSL_CERT_DIR", [Refused, Refused, Refused]),
    ("TMPDIR", [Fine, Fine, Told]),
    ("HOME", [Told, Fine, Fine]),
];

#[test]
fn every_variable_is_in_the_table() {
    let (known, listed): (Vec<_>, Vec<_>) = (
        env::ALL.iter().map(|variable| variable.name).collect(),
        TABLE.iter().map(|(name, _)| *name).collect(),
    );

    assert_eq!(listed, known);
}

#[test]
fn a_path_is_a_value_or_is_told_with_its_variable() {
    let dir = TempDir::new().unwrap();
    let missing = dir.path().join("gone").to_str().unwrap().to_owned();
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    for (name, expected) in TABLE {
        for (value, expected) in ["~", empty, &missing].into_iter().zip(expected) {
            let (becomes, said) = becomes(name, Some(value), empty);

            assert_eq!(becomes, *expected, "{name}={value}: {said}");
        }
    }
}

#[test]
fn blank_counts_as_not_set_everywhere() {
    for (name, _) in TABLE {
        let unset = becomes(name, None, "/home/me");
        for blank in ["", " ", " \t\n "] {
            assert_eq!(becomes(name, Some(blank), "/home/me"), unset, "{name}={blank:?}");
        }
    }
}

#[test]
fn what_nothing_has_replaced_is_refused_with_its_variable() {
    for (name, _) in TABLE {
        for value in ["${VALUE}", "$VALUE", "%VALUE%", "<your value>"] {
            let (becomes, said) = becomes(name, Some(value), "/home/me");

            // Which other programs write in this list.
            let expected = if (*name, value) == ("NO_PROXY", "<your value>") { Fine } else { Refused };
            assert_eq!(becomes, expected, "{name}={value}: {said}");
        }
    }
    for (name, value) in [("http_proxy", "${PROXY}"), ("CONFIGS_DIR", "$HOME/x"), ("CONFIGS_DIR", "~me/x")] {
        assert!(bad(&[(name, value)]).contains(&format!("Not usable: {name} ")), "{name}");
    }
}

#[test]
fn values_with_such_characters_of_their_own_are_kept() {
    for (name, value) in [
        ("CONFIGS_DIR", "/tmp/molecule$tests/a%20b"),
        ("CONFIGS_DIR", "/tmp/cash$"),
        ("PLATFORM_URL", "https://acme.example/a%20b%20c"),
        ("MOLECULE_AGENT_DESCRIPTION", "Counts for $5 an hour, 100% of <b>all</b> ${TEMPLATES} and $NAMES."),
        ("MOLECULE_AGENT_NAME", "A$AP 5%"),
        ("MOLECULE_AGENT_SKILLS", "expand ${NAME}, sell at $USD"),
        ("HTTPS_PROXY", "http://me:pa$word%20@proxy:3128"),
        ("MOLECULE_WORKSPACE_TOKEN", "tok$en-100%-a$b<c"),
    ] {
        good(&[(name, value)]);
    }
}

#[test]
fn a_home_that_is_not_there_is_not_guessed() {
    let report = bad(&[("CONFIGS_DIR", "~/x")]);

    assert!(report.contains("Not usable: CONFIGS_DIR begins with ~, but HOME is not set"), "{report}");
}

/// What becomes of `value` in an environment that suffices, and what is said.
fn becomes(name: &str, value: Option<&str>, home: &str) -> (Becomes, String) {
    let mut variables = sufficient();
    variables.insert("HOME", home);
    if name == "MOLECULE_WORKSPACE_TOKEN_FILE" {
        variables.remove("MOLECULE_WORKSPACE_TOKEN");
    }
    variables.remove(name);
    variables.extend(value.map(|value| (name, value)));
    match Settings::from_env(|name| variables.get(name).map(OsString::from)) {
        Ok(settings) => {
            let named = settings.warnings.iter().any(|warning| warning.contains(name));
            let mut settings = settings;
            settings.accounts[0].network.trust = Trust::System;
            let said = format!("{settings:?}");
            (if named { Told } else { Fine }, said)
        }
        Err(problems) => (Refused, problems.to_string()),
    }
}
