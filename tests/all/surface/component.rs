//! The interfaces of the embedded component.

use molecule_runtime::{
    config::ToolOptions,
    guest::{
        Guest,
        wire::{Next, Saved, WorkspaceSettings},
    },
};

const IMPORTS: &str = include_str!("imports.golden");
const EXPORTS: &str = include_str!("exports.golden");

#[test]
fn the_component_asks_for_nothing_beyond_what_std_always_asks_for() {
    assert_eq!(listed(&guest().surface().imports), IMPORTS);
}

#[test]
fn the_component_offers_what_wit_defines() {
    assert_eq!(listed(&guest().surface().exports), EXPORTS);
}

#[tokio::test]
async fn a_journal_of_64_mib_is_opened_in_one_turn() {
    let id = "11111111-1111-4111-8111-111111111111";
    let text = "<&\\\"x".repeat(1 << 17);
    let messages = (0..).map(|number| {
        let m = serde_json::json!({ "activity_id": number.to_string(), "text": text, "peer_id": "",
            "kind": "canvas_user", "method": "message/send", "created_at": "2026-05-01T00:00:00Z" });
        let staged = serde_json::json!({ "t": "S", "ca": 1_777_593_600_000_000_i64 + number, "m": m });
        [staged.to_string(), serde_json::json!({ "t": "A", "ids": [number.to_string()] }).to_string()]
    });
    let mut journal = vec![serde_json::json!({ "t": "H", "v": 1, "workspace": id }).to_string()];
    let mut bytes = 0;
    journal.extend(messages.flatten().take_while(|line| {
        bytes += line.len();
        bytes < 64 << 20
    }));
    let saved = Saved { cursor: None, journal, damaged_after: None };
    let guest = guest();

    let described = guest.describe(0, &saved).await.unwrap();
    let turn = guest.open_inbox(1, 0, &saved, 0).await.unwrap();

    assert!(described.contains("\"journal\":\"ok\""), "{described}");
    assert!(matches!(turn.next, Next::Store(_)), "{:?}", turn.next);
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

pub(crate) fn guest() -> std::sync::Arc<Guest> {
    let workspace = WorkspaceSettings {
        id: "11111111-1111-4111-8111-111111111111".to_owned(),
        platform: "http://platform.test".to_owned(),
    };
    Guest::embedded(ToolOptions::default().settings((1, 2, 3, 4), vec![workspace], true)).unwrap()
}
