//! The environments that operators have, and what each of them leads to.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use tempfile::TempDir;

use super::*;
use crate::credentials::TokenSource;

const UUID: &str = "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3";
/// Stands in every test where a secret could be, and never in a report.
const CANARY: &str = "canary-c0ffee-0123456789abcdef";

#[test]
fn three_settings_are_enough() {
    let settings = good(&[]);

    assert_eq!(settings.workspace, UUID);
    assert_eq!(settings.platform.as_str(), "https://acme.example/");
    assert_eq!(settings.credentials.token().reveal(), CANARY);
    assert_eq!(settings.card.name, "molecule-mcp-6f9c2a31");
    assert_eq!((settings.card.description, settings.card.skills), (None, vec![]));
    assert!(settings.heartbeat && settings.inbox);
    assert!(
        !settings.verbose && !settings.structured && !settings.bare_peer_text && !settings.delegate_durably
    );
    assert_eq!((settings.durable_budget_secs, settings.poll_timeout_secs), (300, 2));
    assert_eq!((settings.permissions.roles, settings.permissions.tier), (vec!["operator".to_owned()], 1));
    assert_eq!(settings.warnings, Vec::<String>::new());
}

#[test]
fn values_are_cleaned_once() {
    let settings = good(&[
        ("WORKSPACE_ID", " 6F9C2A31-8B4E-4F0A-9C11-5D2E7A90B1C3\n"),
        ("PLATFORM_URL", "\thttps://acme.example/api// "),
        ("MOLECULE_WORKSPACE_TOKEN", " tok-1\n"),
    ]);

    assert_eq!(settings.workspace, UUID);
    assert_eq!(settings.platform.as_str(), "https://acme.example/api");
    assert_eq!(settings.credentials.token().reveal(), "tok-1");
}

#[test]
fn everything_missing_is_told_at_once_with_help() {
    let report = bad(&[("WORKSPACE_ID", ""), ("PLATFORM_URL", "  "), ("MOLECULE_WORKSPACE_TOKEN", "\t")]);

    for content in [
        "Currently missing: WORKSPACE_ID, PLATFORM_URL, MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)\n",
        "Tokens tab",
        "MOLECULE_WORKSPACE_TOKEN_FILE",
    ] {
        assert!(report.contains(content), "{content}");
    }
}

#[test]
fn only_what_is_missing_is_told() {
    for (name, told) in [
        ("WORKSPACE_ID", "Currently missing: WORKSPACE_ID\n"),
        ("PLATFORM_URL", "Currently missing: PLATFORM_URL\n"),
        (
            "MOLECULE_WORKSPACE_TOKEN",
            "Currently missing: MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)\n",
        ),
    ] {
        assert!(bad(&[(name, " ")]).contains(told), "{name}");
    }
}

#[test]
fn what_is_missing_and_what_is_wrong_come_in_one_report() {
    let report = bad(&[
        ("WORKSPACE_ID", "a/b"),
        ("PLATFORM_URL", "ftp://acme.example"),
        ("MOLECULE_WORKSPACE_TOKEN", " "),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", "/nowhere/token"),
    ]);

    let told: Vec<_> = report.lines().filter(|line| line.starts_with("Not usable: ")).collect();
    assert_eq!(told.len(), 3, "{report}");
    assert!(told[0].contains("WORKSPACE_ID contains '/'"));
    assert!(told[1].contains("PLATFORM_URL must begin with https://"));
    assert!(told[2].contains("MOLECULE_WORKSPACE_TOKEN_FILE: /nowhere/token does not exist"));
    assert!(!report.contains("Currently missing"));
}

#[test]
fn no_report_shows_a_secret() {
    let with_password = format!("https://user:{CANARY}@acme.example");
    let with_query = format!("https://acme.example?token={CANARY}");
    let two_words = format!("{CANARY} {CANARY}");
    let not_ascii = format!("{CANARY}\u{e4}");
    let list = format!(r#"[{{"id": "a/b", "token": "{CANARY}"}}, {{"token": "{CANARY}"}}]"#);
    let slashed = format!("{CANARY}/x");
    for (name, value) in [
        ("WORKSPACE_ID", &*slashed),
        ("WORKSPACE_ID", &*two_words),
        ("PLATFORM_URL", CANARY),
        ("PLATFORM_URL", &*with_password),
        ("PLATFORM_URL", &*with_query),
        ("MOLECULE_WORKSPACE_TOKEN", &*two_words),
        ("MOLECULE_WORKSPACE_TOKEN", &*not_ascii),
        ("MOLECULE_WORKSPACES", CANARY),
        ("MOLECULE_WORKSPACES", &*list),
    ] {
        let report = bad(&[(name, value)]);
        assert!(report.contains(name) && !report.contains("canary"), "{report}");
    }
    let report = bad(&[("MOLECULE_WORKSPACE_TOKEN", ""), ("MOLECULE_WORKSPACE_TOKEN_FILE", CANARY)]);
    assert!(report.contains("MOLECULE_WORKSPACE_TOKEN_FILE does not exist") && !report.contains("canary"));
}

#[test]
fn a_token_is_refused_with_its_reason() {
    let huge = "t".repeat(1 << 20);
    for (token, reason) in [
        ("two words", "internal whitespace"),
        ("two\nlines", "internal whitespace"),
        (huge.as_str(), "longer than 16384"),
        ("t\u{f6}ken", "not visible ASCII"),
    ] {
        let report = bad(&[("MOLECULE_WORKSPACE_TOKEN", token)]);
        assert!(report.contains("Not usable: MOLECULE_WORKSPACE_TOKEN "), "{reason}");
        assert!(report.contains(reason) && !report.contains(token), "{reason}");
    }
}

#[test]
fn the_first_source_of_a_token_decides() {
    let dir = TempDir::new().unwrap();
    let (named, own) = (dir.path().join("named"), dir.path().join(".auth_token"));
    private(&named, " from-named\n");
    private(&own, "from-own");
    let configs = dir.path().to_str().unwrap();

    let all = good(&[("CONFIGS_DIR", configs), ("MOLECULE_WORKSPACE_TOKEN_FILE", named.to_str().unwrap())]);
    let files = good(&[
        ("MOLECULE_WORKSPACE_TOKEN", ""),
        ("CONFIGS_DIR", configs),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", named.to_str().unwrap()),
    ]);
    let one = good(&[
        ("MOLECULE_WORKSPACE_TOKEN", " "),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", " "),
        ("CONFIGS_DIR", configs),
    ]);

    assert_eq!(
        (all.credentials.token().reveal(), all.credentials.source()),
        (CANARY, &TokenSource::Environment)
    );
    assert_eq!(all.warnings.len(), 1, "{:?}", all.warnings);
    assert!(all.warnings[0].contains("different token") && !all.warnings[0].contains("from-named"));
    assert_eq!(files.credentials.token().reveal(), "from-named");
    assert_eq!(files.credentials.source(), &TokenSource::NamedFile(named));
    assert_eq!(one.credentials.token().reveal(), "from-own");
    assert_eq!(one.credentials.source(), &TokenSource::ConfigsFile(own));
}

#[test]
fn the_same_token_in_two_places_is_no_news() {
    let dir = TempDir::new().unwrap();
    private(&dir.path().join(".auth_token"), &format!("{CANARY}\n"));

    assert_eq!(good(&[("CONFIGS_DIR", dir.path().to_str().unwrap())]).warnings, Vec::<String>::new());
}

#[test]
fn a_named_token_file_is_the_only_one_looked_at() {
    let dir = TempDir::new().unwrap();
    private(&dir.path().join(".auth_token"), "from-own");
    private(&dir.path().join("empty"), " \n");
    private(&dir.path().join("lines"), "one\ntwo\n");
    fs::write(dir.path().join("bytes"), b"\xff\xfe").unwrap();
    for (name, reason) in [
        ("absent", "does not exist"),
        ("empty", "is empty"),
        ("lines", "internal whitespace"),
        ("bytes", "not valid UTF-8"),
        ("", "not a regular file"),
    ] {
        let path = dir.path().join(name);
        let report = bad(&[
            ("MOLECULE_WORKSPACE_TOKEN", ""),
            ("CONFIGS_DIR", dir.path().to_str().unwrap()),
            ("MOLECULE_WORKSPACE_TOKEN_FILE", path.to_str().unwrap()),
        ]);
        let told: Vec<_> = report.lines().filter(|line| line.starts_with("Not usable: ")).collect();
        assert_eq!(told.len(), 1, "{report}");
        for content in ["MOLECULE_WORKSPACE_TOKEN_FILE", path.to_str().unwrap(), reason] {
            assert!(told[0].contains(content), "{content}: {report}");
        }
    }
}

#[test]
fn a_token_file_without_a_token_counts_as_missing_and_says_why() {
    let dir = TempDir::new().unwrap();
    private(&dir.path().join(".auth_token"), "\n");

    let report = bad(&[("MOLECULE_WORKSPACE_TOKEN", ""), ("CONFIGS_DIR", dir.path().to_str().unwrap())]);

    assert!(report.contains("Currently missing: MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)"));
    assert!(report.contains(".auth_token is empty"));
}

#[test]
fn a_token_file_that_others_can_read_is_used_with_a_warning() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(".auth_token");
    private(&path, "from-own");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();

    let settings = good(&[("MOLECULE_WORKSPACE_TOKEN", ""), ("CONFIGS_DIR", dir.path().to_str().unwrap())]);

    assert_eq!(settings.credentials.token().reveal(), "from-own");
    assert!(settings.warnings[0].contains("chmod 600"), "{:?}", settings.warnings);
}

#[test]
fn a_configs_directory_is_found_and_not_made() {
    let dir = TempDir::new().unwrap();
    let chosen = dir.path().join("a/b");

    let settings = good(&[("CONFIGS_DIR", &format!(" {} ", chosen.display()))]);

    assert_eq!(settings.configs.as_deref(), Some(chosen.as_path()));
    assert_eq!(settings.warnings, Vec::<String>::new());
    assert!(!dir.path().join("a").exists());
}

#[test]
fn a_relative_configs_directory_is_below_the_working_directory() {
    let settings = good(&[("CONFIGS_DIR", "some/where")]);

    assert_eq!(settings.configs, Some(std::env::current_dir().unwrap().join("some/where")));
}

#[test]
fn a_configs_directory_that_is_a_file_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("f");
    fs::write(&file, "").unwrap();

    assert!(bad(&[("CONFIGS_DIR", file.to_str().unwrap())]).contains("CONFIGS_DIR: "));
}

#[test]
fn without_a_place_to_write_the_program_runs_and_says_so() {
    // Nothing can be made below a file.
    let settings = good(&[("CONFIGS_DIR", "/dev/null/configs")]);

    assert_eq!(settings.configs, None);
    assert!(settings.warnings[0].contains("state is not saved"));
}

#[test]
fn the_last_choice_for_state_is_below_the_home_directory() {
    let home = TempDir::new().unwrap();

    let settings = good(&[("CONFIGS_DIR", " "), ("HOME", home.path().to_str().unwrap())]);

    if !Path::new("/configs").exists() {
        assert_eq!(settings.configs, Some(home.path().join(".molecule-workspace")));
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_home_directory_can_be_written_as_a_tilde() {
    let home = TempDir::new().unwrap();
    private(&home.path().join("token"), "from-home");

    let settings = good(&[
        ("MOLECULE_WORKSPACE_TOKEN", ""),
        ("MOLECULE_WORKSPACE_TOKEN_FILE", "~/token"),
        ("HOME", home.path().to_str().unwrap()),
    ]);

    assert_eq!(settings.credentials.token().reveal(), "from-home");
}

#[test]
fn any_value_switches_parts_off() {
    for (value, warnings) in [("1", 0), ("yes", 0), ("0", 3), ("false", 3)] {
        let settings = good(&[
            ("MOLECULE_MCP_DISABLE_HEARTBEAT", value),
            ("MOLECULE_MCP_DISABLE_INBOX", value),
            ("MOLECULE_MCP_VERBOSE", value),
        ]);
        assert!(!settings.heartbeat && !settings.inbox && settings.verbose, "{value}");
        assert_eq!(settings.warnings.len(), warnings, "{value}");
    }
    let blank = good(&[("MOLECULE_MCP_DISABLE_HEARTBEAT", " "), ("MOLECULE_MCP_DISABLE_INBOX", "")]);
    assert!(blank.heartbeat && blank.inbox);
}

#[test]
fn switches_of_one_know_one_and_nought() {
    for (value, on, warnings) in [
        ("1", true, 0),
        (" 1 ", true, 0),
        ("true", true, 0),
        ("0", false, 0),
        ("", false, 0),
        ("2", false, 2),
    ] {
        let settings = good(&[("MOLECULE_MCP_STRUCTURED", value), ("MOLECULE_MCP_BARE_PEER_TEXT", value)]);
        assert_eq!((settings.structured, settings.bare_peer_text), (on, on), "{value}");
        assert_eq!(settings.warnings.len(), warnings, "{value}");
    }
    for (value, on) in [("1", true), ("true", false), ("0", false)] {
        assert_eq!(good(&[("DELEGATION_SYNC_VIA_INBOX", value)]).delegate_durably, on, "{value}");
    }
}

#[test]
fn odd_numbers_count_as_the_default() {
    for (value, secs, warned) in [
        ("0", 0, false),
        ("10", 10, false),
        ("61", 60, false),
        ("99999999999999999999", 60, false),
        ("2.5", 2, true),
        ("-1", 2, true),
        ("soon", 2, true),
    ] {
        let settings = good(&[("MOLECULE_MCP_POLL_TIMEOUT_SECS", value)]);
        assert_eq!((settings.poll_timeout_secs, !settings.warnings.is_empty()), (secs, warned), "{value}");
    }
    for (value, secs, warned) in [
        ("0", 0, false),
        ("12.2", 13, false),
        ("300.0", 300, false),
        ("1e9", 86_400, false),
        ("inf", 86_400, false),
        ("-5", 300, true),
        ("NaN", 300, true),
        ("soon", 300, true),
    ] {
        let settings = good(&[("DELEGATION_TIMEOUT", value)]);
        assert_eq!((settings.durable_budget_secs, !settings.warnings.is_empty()), (secs, warned), "{value}");
    }
}

#[test]
fn the_card_says_what_the_operator_wrote() {
    let settings = good(&[
        ("MOLECULE_AGENT_NAME", " Ada "),
        ("MOLECULE_AGENT_DESCRIPTION", "counts things "),
        ("MOLECULE_AGENT_SKILLS", "b, a,, ,b"),
    ]);

    let (description, skills) =
        (Some("counts things".to_owned()), ["b", "a", "b"].map(str::to_owned).to_vec());
    assert_eq!(settings.card, AgentCard { name: "Ada".to_owned(), description, skills });
}

#[test]
fn files_may_be_sent_from_the_directories_that_were_named() {
    let dir = TempDir::new().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("a")).unwrap();

    let settings = good(&[("MOLECULE_ATTACH_ROOTS", &format!("{0}/a/../a:{0}/gone::", root.display()))]);

    assert_eq!(settings.attach_roots, [root.join("a")]);
    assert!(settings.warnings[0].contains("gone is not a directory"));
}

#[test]
fn files_may_be_sent_from_the_working_and_the_temporary_directory() {
    let temporary = TempDir::new().unwrap();

    let settings = good(&[("TMPDIR", temporary.path().to_str().unwrap())]);

    let working = std::env::current_dir().unwrap();
    let roots = [working.canonicalize().unwrap(), temporary.path().canonicalize().unwrap()];
    assert_eq!(settings.attach_roots, roots);
}

#[test]
fn a_list_of_one_workspace_takes_the_place_of_the_three() {
    let list = format!(r#"[{{"id": "W-1", "token": "{CANARY}", "platform_url": "http://localhost:8080/"}}]"#);

    let settings =
        good(&[("MOLECULE_WORKSPACES", &list), ("WORKSPACE_ID", ""), ("MOLECULE_WORKSPACE_TOKEN", "other")]);

    assert_eq!((settings.workspace.as_str(), settings.platform.as_str()), ("W-1", "http://localhost:8080/"));
    assert_eq!(settings.credentials.token().reveal(), CANARY);
    assert_eq!(settings.credentials.source(), &TokenSource::WorkspaceList);
}

#[test]
fn a_value_that_is_not_text_is_told_apart_from_a_missing_one() {
    use std::os::unix::ffi::OsStringExt;

    let report = Settings::from_env(|name| match name {
        "WORKSPACE_ID" => Some(OsString::from_vec(vec![0xff, 0xfe])),
        "PLATFORM_URL" => Some("https://acme.example".into()),
        "MOLECULE_WORKSPACE_TOKEN" => Some("tok".into()),
        _ => None,
    })
    .unwrap_err()
    .to_string();

    assert!(report.contains("WORKSPACE_ID is not valid UTF-8") && !report.contains("Currently missing"));
}

#[test]
fn reading_settings_changes_no_file() {
    let dir = TempDir::new().unwrap();
    let before = fs::metadata(dir.path()).unwrap().mtime_nsec();

    good(&[("CONFIGS_DIR", dir.path().to_str().unwrap()), ("HOME", dir.path().to_str().unwrap())]);

    assert_eq!(fs::metadata(dir.path()).unwrap().mtime_nsec(), before);
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
    let mut variables = BTreeMap::from([
        ("WORKSPACE_ID", UUID),
        ("PLATFORM_URL", "https://acme.example"),
        ("MOLECULE_WORKSPACE_TOKEN", CANARY),
        ("CONFIGS_DIR", "/tmp/molecule-mcp-tests-never-made"),
        ("WORKSPACE_CONFIG_PATH", "/tmp/molecule-mcp-tests-never-made"),
    ]);
    variables.extend(changes.iter().copied());
    Settings::from_env(|name| variables.get(name).map(OsString::from))
}

fn private(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
