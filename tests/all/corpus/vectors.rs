//! The bytes of a journal are the same in each language: `tests/languages/journal.json` is read by the tests of all.

use std::{fs, io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use molecule_journal::{Disk, Journal, recover};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    recovered: Vec<Found>,
    framed: Vec<Written>,
}

#[derive(Deserialize)]
struct Found {
    what: String,
    base64: String,
    records: Vec<String>,
    damaged_after: Option<usize>,
    torn: usize,
}

#[derive(Deserialize)]
struct Written {
    records: Vec<String>,
    first: usize,
    base64: String,
}

/// A file in memory.
#[derive(Default)]
struct Memory(Vec<u8>);

impl Disk for Memory {
    fn read(&mut self, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(Some(self.0.clone()))
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn append(&mut self, _end: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0 = bytes.to_vec();
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_journal_is_read_as_in_each_language() {
    for Found { what, base64, records, damaged_after, torn } in vectors().recovered {
        let found = recover(&BASE64_STANDARD.decode(base64).unwrap());

        assert_eq!(
            (found.records, found.damaged_after, found.torn),
            (records, damaged_after, torn),
            "{what}"
        );
    }
}

#[test]
fn a_journal_is_written_as_in_each_language() {
    for Written { records, first, base64 } in vectors().framed {
        let mut journal = Journal::new(Memory::default());
        journal.rewrite(&vec![String::new(); first - 1], false).unwrap();
        let before = journal.disk().0.len();

        journal.append(&records, true).unwrap();

        assert_eq!(BASE64_STANDARD.encode(&journal.disk().0[before..]), base64);
    }
}

fn vectors() -> Vectors {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("languages/journal.json");
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}
