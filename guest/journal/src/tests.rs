//! What a journal keeps, on a disk that fails at will.

use std::collections::BTreeMap;

use super::*;

#[test]
fn what_was_added_is_there_again() {
    let mut journal = journal();
    assert_eq!(journal.read().unwrap(), Recovered { next: 1, ..Recovered::default() });
    journal.append(&records(["a", "", "{\"t\":\"S\"}"]), true).unwrap();
    journal.append(&records(["ä"]), false).unwrap();

    let mut again = Journal::new(journal.disk().clone());
    assert_eq!(again.read().unwrap().records, ["a", "", "{\"t\":\"S\"}", "ä"]);
    again.append(&records(["e"]), true).unwrap();

    let found = recover(again.disk().content());
    assert_eq!((found.records.len(), found.damaged_after, found.torn, found.next), (5, None, 0, 6));
}

#[test]
fn the_first_record_makes_the_file_and_reading_does_not() {
    let mut journal = journal();
    journal.read().unwrap();
    assert_eq!(journal.disk().file, None);

    journal.append(&records(["a"]), false).unwrap();

    assert_eq!(journal.disk().calls, ["read", "replace"]);
}

#[test]
fn only_what_has_to_survive_a_power_cut_is_synced() {
    let mut journal = opened(["a"]);

    journal.append(&records(["b"]), false).unwrap();
    journal.append(&records(["c"]), true).unwrap();

    assert_eq!(journal.disk().calls, ["read", "append", "append", "sync"]);
}

#[test]
fn a_line_says_what_it_is() {
    assert_eq!(framed(&records(["{}", "b"]), 9).unwrap(), b"64797b43 9 {}\nc5f3c2c0 10 b\n");
}

#[test]
fn a_cut_at_any_byte_costs_nothing_but_the_torn_line() {
    let all = records(["one", "two", "three"]);
    let whole = framed(&all, 1).unwrap();
    for cut in 0..=whole.len() {
        let full = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        let mut journal = Journal::new(FakeDisk::holding(&whole[..cut]));

        let found = journal.read().unwrap();
        journal.append(&records(["next"]), true).unwrap();

        assert_eq!((&*found.records, found.damaged_after), (&all[..full], None), "cut at {cut}");
        let after = recover(journal.disk().content());
        assert_eq!(after.records, [&all[..full], &records(["next"])].concat(), "cut at {cut}");
        assert_eq!((after.damaged_after, after.torn), (None, 0), "cut at {cut}");
    }
}

#[test]
fn a_flip_of_any_bit_is_noticed_and_costs_no_line_that_checks() {
    let all = records(["one", "two", "three", "four"]);
    let whole = framed(&all, 1).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let line = whole[..bit / 8].iter().filter(|byte| **byte == b'\n').count();

        let found = recover(&damaged);

        assert!(found.damaged_after.is_some() || found.torn > 0, "bit {bit} went unnoticed");
        assert!(found.records.iter().all(|record| all.contains(record)), "bit {bit} made a record");
        // A flipped line break takes the next line with it.
        assert!(found.records.len() + 2 >= all.len(), "bit {bit} cost {:?}", found.records);
        assert!(found.damaged_after.is_none_or(|before| before <= line), "bit {bit} looks later than it is");
        assert!(
            found.damaged_after.is_none_or(|before| found.records[..before] == all[..before]),
            "bit {bit}"
        );
    }
}

#[test]
fn a_zeroed_span_costs_the_lines_it_touches_and_one_more() {
    let all: Vec<_> = (0..12).map(|number| format!("record {number}")).collect();
    let whole = framed(&all, 1).unwrap();
    let line_of = |byte: usize| whole[..byte].iter().filter(|byte| **byte == b'\n').count();
    for start in 0..whole.len() {
        for end in start + 1..=whole.len() {
            let mut damaged = whole.clone();
            damaged[start..end].fill(0);

            let found = recover(&damaged);

            assert!(found.damaged_after.is_some() || found.torn > 0, "{start}..{end} went unnoticed");
            let before = &all[..line_of(start)];
            // The line break before the next whole line may be gone.
            let after = all.get(line_of(end - 1) + 2..).unwrap_or_default();
            for kept in before.iter().chain(after) {
                assert!(found.records.contains(kept), "{start}..{end} cost {kept}");
            }
        }
    }
}

#[test]
fn a_zeroed_end_is_no_torn_line() {
    let all = records(["one", "two", "three"]);
    let mut damaged = framed(&all, 1).unwrap();
    let first = lines(&all)[0].len();
    damaged[first..].fill(0);

    let found = recover(&damaged);

    assert_eq!((&*found.records, found.damaged_after), (&all[..1], Some(1)));
}

#[test]
fn swapped_and_doubled_lines_are_put_in_order() {
    let all = records(["one", "two", "three", "four"]);
    let parts = lines(&all);
    let swapped = [&*parts[2], &*parts[0], &*parts[3], &*parts[1], &*parts[0]].concat();

    let found = recover(&swapped);

    assert_eq!(found, Recovered { records: all, damaged_after: None, torn: 0, next: 5 });
}

#[test]
fn a_block_in_the_wrong_place_costs_no_line_outside_of_it() {
    const BLOCK: usize = 32;
    let all: Vec<_> = (0..40).map(|number| format!("record {number}")).collect();
    let whole = framed(&all, 1).unwrap();
    let blocks: Vec<_> = whole.chunks(BLOCK).collect();
    let parts = lines(&all);
    for first in 0..blocks.len() {
        for second in 0..blocks.len() {
            let mut swapped = blocks.clone();
            swapped.swap(first, second);
            let mut doubled = blocks.clone();
            doubled[second] = blocks[first];
            for damaged in [swapped.concat(), doubled.concat()] {
                let found = recover(&damaged);

                let whole_parts = parts.iter().zip(&all).filter(|(part, _)| {
                    damaged
                        .windows(part.len())
                        .enumerate()
                        .any(|(at, window)| window == **part && (at == 0 || damaged[at - 1] == b'\n'))
                });
                let kept: Vec<_> = whole_parts.map(|(_, record)| record.clone()).collect();
                assert_eq!(found.records, kept, "blocks {first} and {second}");
                let lost = kept.len() < all.len();
                assert!(!lost || found.damaged_after.is_some() || found.torn > 0, "{first} and {second}");
            }
        }
    }
}

#[test]
fn two_records_with_one_number_are_both_kept_and_are_damage() {
    let mine = framed(&records(["one", "two", "three"]), 1).unwrap();
    let theirs = framed(&records(["other", "more"]), 3).unwrap();

    let found = recover(&[mine, theirs].concat());

    assert_eq!(found.records, ["one", "two", "three", "other", "more"]);
    assert_eq!((found.damaged_after, found.next), (Some(2), 5));
}

#[test]
fn a_line_that_is_not_text_is_damage() {
    let mut lines = framed(&records(["one"]), 1).unwrap();
    let payload = b"2 \xff";
    lines.extend_from_slice(&[checksum(payload).as_bytes(), payload, b"\n"].concat());

    let found = recover(&lines);

    assert_eq!((found.records, found.damaged_after), (records(["one"]), Some(1)));
}

#[test]
fn anything_else_is_damage_and_nothing_is_made_of_it() {
    for bytes in [&b"\n"[..], b"00000000 \n", b"00000000 1 a\n", b"\0\0\0\n", b"{\"t\":\"S\"}\n", b"\xff\n\n"]
    {
        let found = recover(bytes);

        assert_eq!((found.records.len(), found.damaged_after), (0, Some(0)), "{bytes:?}");
    }
}

#[test]
fn after_a_failure_only_a_rewrite_helps() {
    for call in ["append", "sync"] {
        let mut journal = opened(["a"]);
        journal.disk_mut().fail_at(call);
        assert!(journal.append(&records(["b"]), true).is_err());
        journal.disk_mut().calls.clear();

        let refused = journal.append(&records(["c"]), true).unwrap_err();
        assert!(refused.to_string().contains("rewritten"), "{refused}");
        journal.read().unwrap();
        assert!(journal.append(&records(["c"]), true).is_err());
        assert_eq!(journal.disk().calls, ["read"]);

        journal.disk_mut().heal();
        journal.rewrite(&records(["a", "b"]), false).unwrap();
        journal.append(&records(["c"]), true).unwrap();
        assert_eq!(recover(journal.disk().content()).records, ["a", "b", "c"]);
    }
}

#[test]
fn a_part_of_a_record_is_never_glued_to_the_next_one() {
    for written in 0..=12 {
        let mut journal = opened(["a"]);
        journal.disk_mut().write_only(written);
        assert!(journal.append(&records(["b"]), true).is_err());
        assert!(journal.append(&records(["c"]), true).is_err());
        journal.disk_mut().heal();

        let mut again = Journal::new(journal.disk().clone());
        let found = again.read().unwrap();
        again.append(&records(["d"]), true).unwrap();

        let after = recover(again.disk().content());
        assert_eq!(after.records, [&*found.records, &records(["d"])].concat(), "{written} bytes");
        assert_eq!((found.damaged_after, after.damaged_after), (None, None), "{written} bytes");
    }
}

#[test]
fn a_failed_rewrite_leaves_the_old_one_and_the_next_one_heals() {
    let mut journal = opened(["a"]);
    journal.disk_mut().fail_at("replace");

    assert!(journal.rewrite(&records(["b"]), false).is_err());
    assert!(journal.append(&records(["c"]), true).is_err());
    assert_eq!(recover(journal.disk().content()).records, ["a"]);

    journal.disk_mut().heal();
    journal.rewrite(&records(["b"]), false).unwrap();
    assert_eq!(recover(journal.disk().content()).records, ["b"]);
}

#[test]
fn what_cannot_be_read_takes_nothing_until_it_is_rewritten_or_read() {
    let mut journal = opened(["a"]);
    journal.disk_mut().fail_at("read");
    assert!(journal.read().is_err());
    assert!(journal.append(&records(["b"]), true).is_err());

    journal.disk_mut().heal();
    assert_eq!(journal.read().unwrap().records, ["a"]);
    journal.append(&records(["b"]), true).unwrap();

    assert_eq!(recover(journal.disk().content()).records, ["a", "b"]);
}

#[test]
fn what_could_not_be_written_stays_in_doubt_although_it_cannot_be_read_either() {
    let mut journal = opened(["a"]);
    journal.disk_mut().fail_at("sync");
    assert!(journal.append(&records(["b"]), true).is_err());
    journal.disk_mut().fail_at("read");
    assert!(journal.read().is_err());
    journal.disk_mut().heal();

    journal.read().unwrap();

    assert!(journal.append(&records(["c"]), true).is_err());
}

#[test]
fn a_copy_is_put_aside_before_the_old_one_goes() {
    let mut journal = opened(["a"]);

    journal.rewrite(&records(["b"]), true).unwrap();
    journal.rewrite(&records(["c"]), false).unwrap();

    assert_eq!(journal.disk().calls, ["read", "put_aside", "replace", "replace"]);
}

#[test]
fn what_is_no_record_is_refused_and_changes_nothing() {
    let mut journal = opened(["a"]);

    assert!(journal.append(&records(["b\nc"]), true).is_err());
    assert!(journal.append(&["x".repeat(RECORD_BYTES + 1)], true).is_err());
    assert!(journal.rewrite(&records(["\n"]), true).is_err());
    journal.append(&records(["d"]), true).unwrap();

    assert_eq!(recover(journal.disk().content()).records, ["a", "d"]);
}

#[test]
fn a_full_journal_can_be_rewritten_and_goes_on() {
    let mut journal = opened(["a"]);
    let large = "x".repeat(RECORD_BYTES);
    journal.append(&[large.clone(), large.clone()], false).unwrap();

    assert!(journal.append(&[large], false).unwrap_err().to_string().contains("full"));
    journal.append(&records(["b"]), false).unwrap();
    journal.rewrite(&records(["c"]), false).unwrap();

    assert_eq!(recover(journal.disk().content()).records, ["c"]);
}

#[test]
fn a_mebibyte_of_records_is_read_whole() {
    let all: Vec<_> = (0..1_024).map(|number| format!("{number:0>1000}")).collect();

    let found = recover(&framed(&all, 1).unwrap());

    assert_eq!((found.records, found.damaged_after), (all, None));
}

fn journal() -> Journal<FakeDisk> {
    Journal::new(FakeDisk::default())
}

/// A journal of these records that was read.
fn opened<const N: usize>(texts: [&str; N]) -> Journal<FakeDisk> {
    let mut journal = Journal::new(FakeDisk::holding(&framed(&records(texts), 1).unwrap()));
    journal.read().unwrap();
    journal
}

fn records<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

fn lines(records: &[String]) -> Vec<Vec<u8>> {
    let numbered = records.iter().zip(1..);
    numbered.map(|(record, number)| framed(std::slice::from_ref(record), number).unwrap()).collect()
}

/// A file in memory.
#[derive(Debug, Default, Clone)]
struct FakeDisk {
    file: Option<Vec<u8>>,
    calls: Vec<&'static str>,
    /// Bytes that a call writes before it fails.
    failing: BTreeMap<&'static str, usize>,
}

impl FakeDisk {
    fn holding(bytes: &[u8]) -> Self {
        Self { file: Some(bytes.to_vec()), ..Self::default() }
    }

    fn content(&self) -> &[u8] {
        self.file.as_deref().unwrap()
    }

    fn fail_at(&mut self, call: &'static str) {
        self.failing = BTreeMap::from([(call, 0)]);
    }

    /// The next writes end after so many bytes.
    fn write_only(&mut self, bytes: usize) {
        self.failing = BTreeMap::from([("append", bytes)]);
    }

    fn heal(&mut self) {
        self.failing.clear();
    }

    fn call(&mut self, call: &'static str) -> io::Result<()> {
        self.calls.push(call);
        let failing = self.failing.contains_key(call);
        if failing { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for FakeDisk {
    fn read(&mut self, _limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.call("read")?;
        Ok(self.file.clone())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.call("truncate")?;
        self.file.as_mut().unwrap().truncate(length as usize);
        Ok(())
    }

    fn append(&mut self, end: u64, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().unwrap();
        assert_eq!(file.len() as u64, end);
        let written = self.failing.get("append").map_or(bytes.len(), |written| (*written).min(bytes.len()));
        file.extend_from_slice(&bytes[..written]);
        self.call("append")
    }

    fn sync(&mut self) -> io::Result<()> {
        self.call("sync")
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.call("replace")?;
        self.file = Some(bytes.to_vec());
        Ok(())
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.call("put_aside")
    }
}
