//! How presence goes, for people who ask a running process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::rules::Answer;
use crate::guest::wire::Instant;

/// What the latest register and heartbeats were answered. Written by presence, read by whoever asks.
#[derive(Debug, Default)]
pub struct Record(Mutex<Signs>);

/// What [`Record`] knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// A register was accepted.
    pub registered: bool,
    /// How the platform delivers messages, in its own word, if it said so at the register.
    pub delivery_mode: Option<String>,
    /// The latest heartbeat; none before the first.
    pub beat: Option<Beat>,
    /// When a heartbeat was accepted last.
    pub accepted_at: Option<Instant>,
    /// Heartbeats in a row that were not.
    pub failed_in_a_row: u32,
    /// Why the latest register was not accepted; none if it was.
    pub register_failed: Option<String>,
}

/// A heartbeat, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// When its answer was there.
    pub at: Instant,
    /// Why it was not accepted; none if it was.
    pub failed: Option<String>,
}

impl Record {
    /// What is known.
    #[must_use]
    pub fn signs(&self) -> Signs {
        self.lock().clone()
    }

    pub(super) fn registered(&self, answer: &Answer, delivery_mode: Option<String>) {
        let mut signs = self.lock();
        signs.register_failed = answer.failure();
        if signs.register_failed.is_none() {
            (signs.registered, signs.delivery_mode) = (true, delivery_mode);
        }
    }

    pub(super) fn beaten(&self, answer: &Answer, at: Instant) {
        let mut signs = self.lock();
        let failed = answer.failure();
        if failed.is_none() {
            (signs.accepted_at, signs.failed_in_a_row) = (Some(at), 0);
        } else {
            signs.failed_in_a_row = signs.failed_in_a_row.saturating_add(1);
        }
        signs.beat = Some(Beat { at, failed });
    }

    fn lock(&self) -> MutexGuard<'_, Signs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_the_latest_heartbeat_and_how_many_have_failed() {
        let record = Record::default();
        assert_eq!(record.signs(), Signs::default());

        record.beaten(&Answer::Accepted(Vec::new()), 1_000);
        record.beaten(&Answer::Refused(401), 21_000);
        record.beaten(&Answer::Missing, 41_000);

        let signs = record.signs();
        assert_eq!((signs.accepted_at, signs.failed_in_a_row), (Some(1_000), 2));
        let beat = signs.beat.unwrap();
        assert!(beat.at == 41_000 && beat.failed.as_deref().unwrap().contains("404"), "{beat:?}");
    }

    #[test]
    fn an_accepted_register_stays_one() {
        let record = Record::default();
        record.registered(&Answer::Accepted(Vec::new()), Some("push".to_owned()));
        record.registered(&Answer::Removed, None);

        let signs = record.signs();

        assert!(signs.registered && signs.register_failed.is_some(), "{signs:?}");
        assert_eq!(signs.delivery_mode.as_deref(), Some("push"));
    }
}
