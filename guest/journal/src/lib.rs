//! A file of records that are only ever added: framing, checksums, and when to distrust the disk.
//!
//! What a record means is the component's business. A line is
//!
//! ```text
//! <CRC-32C of everything after the first blank, 8 hex digits> <number, from 1> <record>\n
//! ```
//!
//! The numbers rise by one, so a missing, doubled or displaced line is noticed, and the lines that
//! check can be put back into order.
//!
//! ```text
//! unread ── read ──► open ◄── rewritten ── broken
//!                      └─ a write or sync failed ─▲
//! ```

pub mod cursor;
mod name;

pub use self::name::stem;

use std::io::{self, ErrorKind, Write as _};

/// Longest record, in bytes: the largest message of the platform, escaped.
pub const RECORD_BYTES: usize = 40 << 20;

/// Longest journal, in bytes: what fits the memory of the component twice, with all that can wait in it.
pub const JOURNAL_BYTES: u64 = 96 << 20;

/// Digits of a checksum and the blank after them.
const SUM_BYTES: usize = 9;

/// What a journal needs of a disk: one file that may not exist.
pub trait Disk {
    /// Everything in the file; none if there is no file.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than `limit` bytes. The texts follow the name of the file.
    fn read(&mut self, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// Cuts the file that was read to `length` bytes.
    ///
    /// # Errors
    /// When it cannot be cut, or is another one by now.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Adds `bytes` to the file that was read or replaced last, which has to end at `end`.
    ///
    /// # Errors
    /// When not all of them were written, or the file is another one by now.
    fn append(&mut self, end: u64, bytes: &[u8]) -> io::Result<()>;

    /// Afterwards everything appended survives a power cut.
    ///
    /// # Errors
    /// When that is not known; asking again would tell nothing.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes the file, or replaces it as a whole; afterwards that survives a power cut.
    ///
    /// # Errors
    /// When it could not be made sure; the file is the old one or the new one then.
    fn replace(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Keeps a copy of the file for people, if there is one; called before `replace`.
    ///
    /// # Errors
    /// When there is a file and it could not be kept.
    fn put_aside(&mut self) -> io::Result<()>;
}

/// What was found in a journal.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The records that check, in the order of their numbers.
    pub records: Vec<String>,
    /// How many of them stand before the first damage; none if nothing is missing.
    ///
    /// A torn last line is not missing: it was never said to be written. A zeroed one may have been.
    pub damaged_after: Option<usize>,
    /// Bytes at the end that belong to no whole line.
    pub torn: usize,
    /// The number that the next line gets.
    next: u64,
}

impl Recovered {
    /// `damaged_after` as the component counts.
    #[must_use]
    pub fn damage(&self) -> Option<u32> {
        self.damaged_after.map(|count| u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Reads the lines of a journal. Any bytes will do; nothing is trusted that does not check.
#[must_use]
pub fn recover(bytes: &[u8]) -> Recovered {
    let mut lines = Vec::new();
    let mut broken = false;
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end);
        match checked(line) {
            Some(line) => lines.push(line),
            None => broken = true,
        }
        rest = after.get(1..).unwrap_or_default();
    }
    // No line has a NUL: what holds one is not the beginning of a line.
    broken |= rest.contains(&0);
    // Doubled blocks give doubled lines, displaced ones numbers out of order.
    lines.sort_by_key(|(number, _)| *number);
    lines.dedup();
    let in_sequence = sequence(&lines);
    let last = lines.last().map_or(0, |(number, _)| *number);
    let missing = broken || in_sequence < lines.len();
    Recovered {
        damaged_after: missing.then_some(in_sequence),
        records: lines.into_iter().map(|(_, record)| record.to_owned()).collect(),
        torn: rest.len(),
        next: last.saturating_add(1),
    }
}

/// How many lines have the numbers from 1 on, each one once.
fn sequence(lines: &[(u64, &str)]) -> usize {
    let expected = lines.iter().zip(1..).take_while(|((number, _), expected)| number == expected).count();
    let next = lines.get(expected).map(|(number, _)| *number);
    let last = expected.checked_sub(1).and_then(|last| lines.get(last)).map(|(number, _)| *number);
    // Two different lines with the same number: nobody knows which one is the right one.
    if next.is_some() && next == last { expected - 1 } else { expected }
}

/// Number and record of a line that checks.
fn checked(line: &[u8]) -> Option<(u64, &str)> {
    let (sum, payload) = line.split_at_checked(SUM_BYTES)?;
    if sum != checksum(payload).as_bytes() {
        return None;
    }
    let (number, record) = str::from_utf8(payload).ok()?.split_once(' ')?;
    Some((number.parse().ok()?, record))
}

fn checksum(payload: &[u8]) -> String {
    format!("{:08x} ", crc32c::crc32c(payload))
}

/// The lines of `records`, the first of which gets the number `first`.
///
/// # Errors
/// When a record is too long, or has a line break or a NUL.
fn framed(records: &[String], first: u64) -> io::Result<Vec<u8>> {
    let length = records.iter().map(|record| record.len() + 2 * SUM_BYTES).sum();
    let mut lines = Vec::with_capacity(length);
    for (record, number) in records.iter().zip(first..) {
        if record.len() > RECORD_BYTES || record.contains(['\n', '\0']) {
            let why = "a record is too long, or has a line break or a NUL";
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let start = lines.len();
        lines.extend_from_slice(&[b' '; SUM_BYTES]);
        write!(lines, "{number} {record}")?;
        let (_, line) = lines.split_at_mut(start);
        let (sum, payload) = line.split_at_mut(SUM_BYTES);
        sum.copy_from_slice(checksum(payload).as_bytes());
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A journal on a disk.
#[derive(Debug)]
pub struct Journal<D> {
    disk: D,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What the file holds is unknown, for the reason given, until it is rewritten.
    Broken(String),
    Open {
        /// Whether there is a file.
        exists: bool,
        /// Where its last whole line ends.
        end: u64,
        /// Whether something is behind that.
        torn: bool,
        /// The number that the next line gets.
        next: u64,
    },
    Unread,
    /// It could not be read, for the reason given.
    Unreadable(String),
}

impl<D: Disk> Journal<D> {
    /// A journal that was not looked at yet.
    pub fn new(disk: D) -> Self {
        Self { disk, state: State::Unread }
    }

    /// Reads the file, and changes nothing.
    ///
    /// After a failed write or sync the journal stays broken, because what can be read is not what is on
    /// the disk.
    ///
    /// # Errors
    /// When the file cannot be read. The journal then takes nothing until it was rewritten.
    pub fn read(&mut self) -> io::Result<Recovered> {
        let content = match self.disk.read(JOURNAL_BYTES) {
            Ok(content) => content,
            Err(cause) => {
                if !matches!(self.state, State::Broken(_)) {
                    self.state = State::Unreadable(cause.to_string());
                }
                return Err(cause);
            }
        };
        let bytes = content.as_deref().unwrap_or_default();
        let recovered = recover(bytes);
        if !matches!(self.state, State::Broken(_)) {
            self.state = State::Open {
                exists: content.is_some(),
                end: long(bytes.len() - recovered.torn),
                torn: recovered.torn > 0,
                next: recovered.next,
            };
        }
        Ok(recovered)
    }

    /// Adds records, in order; with `sync` they survive a power cut when this returns.
    ///
    /// # Errors
    /// When they could not be written or synced: the journal then takes nothing more until it was rewritten,
    /// because after a failed sync the system does not tell what is on the disk. Nothing changes if they
    /// are too long or too many, or after an earlier failure.
    pub fn append(&mut self, records: &[String], sync: bool) -> io::Result<()> {
        let (exists, end, torn, next) = match &self.state {
            State::Broken(why) | State::Unreadable(why) => {
                return Err(io::Error::other(format!("it has to be rewritten, because it {why}")));
            }
            State::Open { exists, end, torn, next } => (*exists, *end, *torn, *next),
            State::Unread => return Err(io::Error::other("it has to be read first")),
        };
        let lines = framed(records, next)?;
        let length = end.saturating_add(long(lines.len()));
        not_too_long(length)?;
        if let Err(cause) = self.add(&lines, exists.then_some(end), torn, sync) {
            self.state = State::Broken(format!("could not be written: {cause}"));
            return Err(cause);
        }
        let next = next.saturating_add(long(records.len()));
        self.state = State::Open { exists: true, end: length, torn: false, next };
        Ok(())
    }

    /// Puts `records` in place of everything: afterwards the file is the old one or the new one. With
    /// `keep_copy` a copy of the old one stays.
    ///
    /// # Errors
    /// When the new file could not be made sure. The journal then takes nothing more until this succeeds.
    pub fn rewrite(&mut self, records: &[String], keep_copy: bool) -> io::Result<()> {
        let lines = framed(records, 1)?;
        let end = long(lines.len());
        not_too_long(end)?;
        let kept = if keep_copy { self.disk.put_aside() } else { Ok(()) };
        if let Err(cause) = kept.and_then(|()| self.disk.replace(&lines)) {
            self.state = State::Broken(format!("could not be written: {cause}"));
            return Err(cause);
        }
        let next = long(records.len()).saturating_add(1);
        self.state = State::Open { exists: true, end, torn: false, next };
        Ok(())
    }

    /// The disk.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The disk, for a simulator that lets it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Adds lines at `end` of the file, or makes the file of them.
    fn add(&mut self, lines: &[u8], end: Option<u64>, torn: bool, sync: bool) -> io::Result<()> {
        let Some(end) = end else {
            return self.disk.replace(lines);
        };
        if torn {
            self.disk.truncate(end)?;
        }
        self.disk.append(end, lines)?;
        if sync { self.disk.sync() } else { Ok(()) }
    }
}

fn not_too_long(bytes: u64) -> io::Result<()> {
    if bytes > JOURNAL_BYTES {
        return Err(io::Error::other("it is full, and has to be rewritten"));
    }
    Ok(())
}

fn long(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
