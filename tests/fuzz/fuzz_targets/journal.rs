//! Journals, whatever they are.

#![no_main]

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../src/inbox.rs"]
mod inbox;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let found = molecule_journal::recover(bytes);
    let damaged_after = found.damage();
    inbox::journal(bytes, found.records, damaged_after);
});
