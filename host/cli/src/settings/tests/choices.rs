//! What the operator may choose.

use super::*;

#[test]
fn an_organisation_is_that_of_the_common_platform() {
    let list =
        r#"[{"id": "a", "token": "t"}, {"id": "b", "token": "u", "platform_url": "https://b.example"}]"#;
    let named = |changes: &[(&str, &str)]| {
        let settings = good(changes);
        (
            settings.accounts.into_iter().map(|account| account.organization).collect::<Vec<_>>(),
            settings.warnings,
        )
    };
    let org = Some("org-1".to_owned());

    let both = [("MOLECULE_ORG_ID", " org-1 "), ("MOLECULE_ORGANIZATION_ID", "org-2")];
    assert_eq!(named(&both), (vec![org.clone()], vec![]));
    assert_eq!(named(&[("MOLECULE_ORGANIZATION_ID", "org-1")]), (vec![org.clone()], vec![]));
    assert_eq!(named(&[("MOLECULE_ORG_ID", "org-1"), ("MOLECULE_WORKSPACES", list)]).0, [org, None]);
    let (left_out, warnings) = named(&[("MOLECULE_ORG_ID", "\u{f6}rg")]);
    assert_eq!(left_out, [None]);
    assert!(warnings[0].contains("MOLECULE_ORG_ID is not 1 to 128 visible ASCII characters"), "{warnings:?}");
}

#[test]
fn any_value_switches_parts_off() {
    for (value, warnings) in [("1", 0), ("yes", 0), ("0", 3), ("false", 3)] {
        let settings = good(&[
            ("MOLECULE_MCP_DISABLE_HEARTBEAT", value),
            ("MOLECULE_MCP_DISABLE_INBOX", value),
            ("MOLECULE_MCP_VERBOSE", value),
        ]);
        assert!(!settings.heartbeat && !settings.inbox && settings.log.verbose, "{value}");
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
        assert_eq!((settings.tools.structured, settings.tools.bare_peer_text), (on, on), "{value}");
        assert_eq!(settings.warnings.len(), warnings, "{value}");
    }
    for (value, on) in [("1", true), ("true", false), ("0", false)] {
        assert_eq!(good(&[("DELEGATION_SYNC_VIA_INBOX", value)]).tools.delegate_durably, on, "{value}");
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
        assert_eq!(
            (settings.tools.poll_timeout_secs, !settings.warnings.is_empty()),
            (secs, warned),
            "{value}"
        );
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
        assert_eq!(
            (settings.tools.durable_budget_secs, !settings.warnings.is_empty()),
            (secs, warned),
            "{value}"
        );
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
    assert_eq!(settings.accounts[0].card, AgentCard { name: "Ada".to_owned(), description, skills });
}
