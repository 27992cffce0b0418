//! Journals, whatever they are: recovered by the host, read by the component, written anew, read again.

#![no_main]

#[allow(dead_code, missing_docs, reason = "of the host's module only the reading is used")]
#[path = "../../../host/src/ports/journal.rs"]
mod journal;

mod inbox;

use libfuzzer_sys::fuzz_target;
use molecule_logic::bindings::exports::molecule::mcp::{inbox::Saved, turns::Next};

fuzz_target!(|bytes: &[u8]| {
    let found = journal::recover(bytes);
    assert!(found.damaged_after.is_none_or(|place| place <= found.records.len()));
    let saved = Saved {
        cursor: Some("0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9".to_owned()),
        damaged_after: found.damage(),
        journal: found.records,
    };
    read(saved);
    // As if every line checked: the checksum must not be what keeps the component safe.
    let lines = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    read(Saved { cursor: None, journal: lines, damaged_after: None });
});

fn read(saved: Saved) {
    let mut agent = inbox::agent();
    assert!(agent.describe(0, saved.clone()).starts_with('{'));
    inbox::drive(&mut agent, saved, b"[]", 2);
    let shown = inbox::call(&mut agent, "wait_for_message", r#"{"timeout_secs": 0}"#);
    assert!(matches!(shown.next, Next::Finish(_)));
}
