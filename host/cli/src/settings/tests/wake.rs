//! Who may ring, and when.

use super::*;
use crate::wake::WakeSettings;

#[test]
fn an_idle_agent_is_told_of_all_messages_unless_that_is_switched_off() {
    let wake = wake(&[]);

    assert_eq!((wake.rules.users, wake.rules.peers), (true, None));
    assert_eq!((wake.rules.most_a_minute, wake.rules.batch_ms), (6, 10_000));
    assert_eq!((wake.server.as_str(), wake.attention.quiet), ("molecule", None));
    assert_eq!(good(&[("MOLECULE_WAKE", "0")]).wake, None);
}

#[test]
fn who_rings_is_users_peers_all_or_workspaces_by_their_ids() {
    let peer = "9f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3";
    for (text, users, peers) in [
        ("all", true, None),
        ("users", true, Some(vec![])),
        ("Peers", false, None),
        ("users, 9F9C2A31-8b4e-4f0a-9c11-5d2e7a90b1c3", true, Some(vec![peer.to_owned()])),
        (peer, false, Some(vec![peer.to_owned()])),
    ] {
        let rules = wake(&[("MOLECULE_WAKE_FROM", text)]).rules;
        assert_eq!((rules.users, rules.peers), (users, peers), "{text}");
    }
    let said = bad(&[("MOLECULE_WAKE_FROM", "users,Research team")]);
    assert!(said.contains("Research team is none of these") && said.contains("list_peers"), "{said}");
}

#[test]
fn limits_and_quiet_hours_are_checked() {
    let wake = wake(&[
        ("MOLECULE_WAKE_PER_MINUTE", "0"),
        ("MOLECULE_WAKE_BATCH_SECS", "0"),
        ("MOLECULE_WAKE_QUIET_HOURS", "22:00-07:00"),
        ("MOLECULE_MCP_SERVER_NAME", "molecule-acme"),
    ]);
    assert_eq!((wake.rules.most_a_minute, wake.rules.batch_ms), (1, 0));
    assert!(wake.attention.quiet.is_some());
    assert_eq!(wake.server, "molecule-acme");

    assert!(bad(&[("MOLECULE_WAKE_QUIET_HOURS", "at night")]).contains("such as 22:00-07:00"));
    let odd = good(&[("MOLECULE_WAKE_PER_MINUTE", "many"), ("MOLECULE_MCP_SERVER_NAME", "a b")]);
    assert_eq!(odd.warnings.len(), 2, "{:?}", odd.warnings);
}

fn wake(changes: &[(&str, &str)]) -> WakeSettings {
    good(changes).wake.unwrap()
}
