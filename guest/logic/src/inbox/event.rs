//! The records of the journal: what happened to the messages, one JSON object each.
//!
//! | `t` | Says | Synced |
//! |---|---|---|
//! | `U` | where a file of the user is | with the message that named it first; else with the next record that is |
//! | `O` | files that the agent has sent | before the user can see them |
//! | `H` | whose journal this is, and of which format; always the first | with the file |
//! | `S` | a message was staged | before the agent can see it |
//! | `F` | the rows up to this one were fetched | with the messages before it |
//! | `D` | a message was shown to the agent | with the next record that is |
//! | `A` | messages are dealt with | before the agent is told so |
//! | `P` | a message is parked | with the next record that is |
//! | `L` | which row the cursor file is about to name, and which one it names until then | before that file is written |
//! | `G` | messages may be missing, and whether the agent knows | with the next record that is |
//! | `R` | ids of rows that are dealt with, and when the newest of all was made: kept by a rewrite, or files that the agent has sent | with the file, or the next record that is |
//!
//! All values are absolute, so that a record that is there twice says nothing else.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{files::File, message::Message};
use crate::planted::{Bug, planted};

/// The format that this version writes, and the newest one that it reads.
///
/// | Format | Has |
/// |---|---|
/// | 1 | all but `O` and `U` |
/// | 2 | these |
pub(super) const FORMAT: u32 = 2;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub(crate) enum Event {
    #[serde(rename = "A")]
    Acknowledged { ids: Vec<Rc<str>> },
    #[serde(rename = "D")]
    Delivered {
        id: Rc<str>,
        /// How often `wait_for_message` has returned it.
        n: u32,
        /// In how many sessions.
        starts: u32,
        /// The latest of them, where a session outlives a process.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Rc<str>>,
    },
    #[serde(rename = "F")]
    Fetched {
        /// None as long as there was no row.
        id: Option<Rc<str>>,
        /// Microseconds since 1970, on the platform's clock.
        ca: i64,
        /// The row after which rows may still become visible, if it is another one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<(Rc<str>, i64)>,
        /// Rows from there to here.
        #[serde(default)]
        rows: u64,
        /// The moment from which on rows may still become visible, if that is before all rows that are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<i64>,
        /// The moment before which nothing was ever looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<i64>,
        /// The broadcast after which broadcasts are looked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cast: Option<(Rc<str>, i64)>,
    },
    #[serde(rename = "U")]
    File(File),
    #[serde(rename = "G")]
    Gap { from: i64, to: i64, told: bool },
    #[serde(rename = "H")]
    Header { v: u32, workspace: Rc<str> },
    #[serde(rename = "P")]
    Parked { id: Rc<str> },
    #[serde(rename = "L")]
    Projected {
        id: Option<String>,
        /// When that row was made, as for `F`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<i64>,
        /// What the file names until then; empty if nothing. Journals of earlier versions do not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        was: Option<String>,
    },
    #[serde(rename = "R")]
    Remembered {
        ids: Vec<Rc<str>>,
        /// As for `F`; later than what that says if not all rows up to here were fetched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        newest: Option<i64>,
    },
    #[serde(rename = "O")]
    Sent { files: Vec<Rc<str>> },
    #[serde(rename = "S")]
    Staged {
        ca: i64,
        /// Whether the platform can be asked for what follows this row.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        askable: bool,
        m: Rc<Message>,
    },
}

impl Event {
    /// Nothing if the line is no record of a format that is known.
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    pub(super) fn write(&self) -> String {
        // Neither maps with odd keys nor numbers beyond JSON are in it.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// When the row with this id was made, in microseconds, if the record says so.
    pub(super) fn time_of(&self, id: &str) -> Option<i64> {
        match self {
            Self::Fetched { id: Some(row), ca, .. } if **row == *id => Some(*ca),
            Self::Fetched { base: Some((row, ca)), .. } if **row == *id => Some(*ca),
            Self::Projected { id: Some(row), ca, .. } if row == id => *ca,
            Self::Staged { ca, m, .. } if m.activity_id == id => Some(*ca),
            Self::Acknowledged { .. }
            | Self::Delivered { .. }
            | Self::Fetched { .. }
            | Self::File(_)
            | Self::Gap { .. }
            | Self::Header { .. }
            | Self::Parked { .. }
            | Self::Projected { .. }
            | Self::Remembered { .. }
            | Self::Sent { .. }
            | Self::Staged { .. } => None,
        }
    }

    /// Whether it has to survive a power cut before anything follows from it.
    pub(super) fn needs_sync(&self) -> bool {
        match self {
            Self::Acknowledged { .. } => !planted(Bug::AckNotSynced),
            // Else a power cut could leave a file that seems to be another program's.
            Self::Projected { id, was, .. } => id != was,
            Self::Header { .. } | Self::Sent { .. } | Self::Staged { .. } => true,
            Self::Delivered { .. }
            | Self::Fetched { .. }
            | Self::File(_)
            | Self::Gap { .. }
            | Self::Parked { .. }
            | Self::Remembered { .. } => false,
        }
    }
}

/// The format of a journal by its first line, if that says one.
pub(super) fn format(line: &str) -> Option<u32> {
    #[derive(Deserialize)]
    struct Header {
        t: String,
        v: u32,
    }
    serde_json::from_str::<Header>(line).ok().filter(|header| header.t == "H").map(|header| header.v)
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_yes(askable: &bool) -> bool {
    *askable
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::inbox::{classify::Source, rig::row};

    #[test]
    fn every_record_reads_as_it_was_written() {
        let message = Message::new(
            0,
            row(&json!({"id": "a", "source_id": "p", "request_body": {"parts": [
                {"kind": "text", "text": "hi\n\"\u{2028}"}, {"kind": "file", "file": {"name": "x"}}]}})),
            Source::Peer,
        );
        let id: Rc<str> = "a".into();
        for record in [
            Event::Header { v: FORMAT, workspace: "w".into() },
            Event::Staged { ca: i64::MIN, askable: false, m: Rc::new(message) },
            Event::Fetched {
                id: Some(Rc::clone(&id)),
                ca: i64::MAX,
                base: Some((Rc::clone(&id), 7)),
                rows: 9,
                from: Some(3),
                since: Some(2),
                cast: Some((Rc::clone(&id), 1)),
            },
            Event::Fetched { id: None, ca: 0, base: None, from: None, rows: 0, since: None, cast: None },
            Event::Delivered { id: Rc::clone(&id), n: 2, starts: 1, session: None },
            Event::Delivered { id: Rc::clone(&id), n: 2, starts: 1, session: Some("s".into()) },
            Event::Acknowledged { ids: vec![Rc::clone(&id)] },
            Event::Parked { id: Rc::clone(&id) },
            Event::Projected { id: None, ca: None, was: None },
            Event::Projected { id: Some("a".to_owned()), ca: Some(7), was: Some("b".to_owned()) },
            Event::Gap { from: 1, to: 2, told: true },
            Event::Remembered { ids: vec![Rc::clone(&id)], newest: None },
            Event::Remembered { ids: vec![id], newest: Some(7) },
        ] {
            let line = record.write();

            assert!(!line.contains('\n'), "{line}");
            assert_eq!(Event::read(&line).unwrap().write(), line);
        }
    }

    #[test]
    fn the_format_of_a_newer_journal_is_known_although_its_records_are_not() {
        assert_eq!(format(r#"{"t":"H","v":9,"workspace":{"id":"w"},"more":[]}"#), Some(9));
        assert_eq!(format(r#"{"t":"Q","v":9}"#), None);
        assert_eq!(format("garbage"), None);
        assert_eq!(Event::read(r#"{"t":"Q"}"#), None);
    }
}
