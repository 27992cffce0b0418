//! Journals, whatever they are.

#![no_main]

#[allow(dead_code, missing_docs, reason = "of the host's module only the reading is used")]
#[path = "../../../host/runtime/src/storage/journal.rs"]
mod journal;

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../src/inbox.rs"]
mod inbox;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let found = journal::recover(bytes);
    let damaged_after = found.damage();
    inbox::journal(bytes, found.records, damaged_after);
});
