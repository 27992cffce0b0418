//! Pages of activity rows, whatever they are: decoded, filtered, staged, shown.

#![no_main]

mod inbox;

use libfuzzer_sys::fuzz_target;
use molecule_logic::bindings::exports::molecule::mcp::{inbox::Saved, turns::Next};

fuzz_target!(|body: &[u8]| {
    let mut agent = inbox::agent();
    inbox::drive(&mut agent, Saved { cursor: None, journal: Vec::new(), damaged_after: None }, body, 3);
    let shown = inbox::call(&mut agent, "inbox_peek", r#"{"limit": 200}"#);
    assert!(matches!(shown.next, Next::Finish(_)));
});
