//! The interfaces of the embedded component.

use molecule_mcp::guest::{
    Guest,
    wire::{Permissions, Settings, WorkspaceSettings},
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

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}\n")).collect()
}

pub(crate) fn guest() -> std::sync::Arc<Guest> {
    Guest::embedded(Settings {
        seed: (1, 2, 3, 4),
        workspaces: vec![WorkspaceSettings {
            id: "11111111-1111-4111-8111-111111111111".to_owned(),
            platform: "http://platform.test".to_owned(),
        }],
        inbox: true,
        redeliver: false,
        notice: true,
        structured: false,
        bare_peer_text: false,
        delegate_durably: false,
        durable_budget_secs: 300,
        poll_timeout_secs: 2,
        permissions: Permissions { roles: Vec::new(), allowed_actions: Vec::new(), tier: 1 },
    })
    .unwrap()
}
