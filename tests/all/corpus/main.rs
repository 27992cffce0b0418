//! What `make fuzz` begins with and has found, once in every run of the tests; and the bytes that each host writes.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]

use std::{fs, path::Path};

use molecule_journal as journal;

#[path = "../../fuzz/src/inbox.rs"]
mod inbox;
mod vectors;

#[test]
fn every_page_of_the_corpus_is_taken_or_refused() {
    for bytes in corpus("activity") {
        inbox::page(&bytes);
    }
}

#[test]
fn every_journal_of_the_corpus_is_read() {
    for bytes in corpus("journal") {
        let found = journal::recover(&bytes);
        let damaged_after = found.damage();
        inbox::journal(&bytes, found.records, damaged_after);
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> =
        directory.read_dir().unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 5, "{} holds {} files", directory.display(), files.len());
    files
}
