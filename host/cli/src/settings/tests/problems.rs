//! What keeps the program from starting, and how that is told.

use super::*;

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
