//! As much of the journal's records as a judge has to understand.

use std::collections::BTreeSet;

use serde::Deserialize;

/// A record.
#[derive(Debug, Deserialize)]
#[serde(tag = "t")]
pub(super) enum Record {
    #[serde(rename = "A")]
    Over { ids: Vec<String> },
    #[serde(rename = "G")]
    Gap { from: i64, to: i64 },
    #[serde(rename = "P")]
    Parked { id: String },
    #[serde(rename = "S")]
    Staged { m: Message },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) activity_id: String,
}

/// The records that can be read.
pub(super) fn read_all(lines: &[String]) -> impl Iterator<Item = Record> {
    lines.iter().filter_map(|line| serde_json::from_str(line).ok())
}

/// The messages that wait, by a journal.
#[derive(Debug, Default)]
pub(super) struct Staged {
    ids: BTreeSet<String>,
    parked: BTreeSet<String>,
}

impl Staged {
    pub(super) fn note(&mut self, record: &Record) {
        match record {
            Record::Over { ids } => ids.iter().for_each(|id| {
                self.ids.remove(id);
            }),
            Record::Parked { id } => {
                self.parked.insert(id.clone());
            }
            Record::Staged { m } => {
                self.ids.insert(m.activity_id.clone());
            }
            Record::Gap { .. } | Record::Other => {}
        }
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &String> {
        self.ids.iter()
    }

    pub(super) fn ids_not_parked(&self) -> impl Iterator<Item = &String> {
        self.ids.difference(&self.parked)
    }
}
