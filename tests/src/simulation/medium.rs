//! One file of the simulated disk: what is read, what is on the medium, and what a power cut leaves of it.

use super::chance::Chance;

/// What a disk writes at once or not at all.
pub(super) const SECTOR: usize = 512;

/// What is on the medium after a power cut, of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// All of it.
    All,
    /// Nothing.
    None,
    /// Any sectors of it.
    Some,
    /// All, but of the last write only a beginning.
    Torn,
}

/// All that there is.
pub const SURVIVORS: [Survivors; 4] = [Survivors::All, Survivors::None, Survivors::Some, Survivors::Torn];

#[derive(Debug, Default, Clone)]
pub(super) struct Content {
    pub(super) read: Vec<u8>,
    pub(super) medium: Vec<u8>,
    /// Changes since the last sync, oldest first.
    pub(super) unsynced: Vec<Change>,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Cut(usize),
    Write { at: usize, bytes: Vec<u8> },
}

impl Content {
    pub(super) fn unsynced_bytes(&self) -> usize {
        let bytes = |change: &Change| match change {
            Change::Cut(_) => 0,
            Change::Write { bytes, .. } => bytes.len(),
        };
        self.unsynced.iter().map(bytes).sum()
    }

    pub(super) fn cut_power(&mut self, survivors: Survivors, chance: &mut Chance) {
        let last = self.unsynced.len().saturating_sub(1);
        for (place, change) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            match survivors {
                Survivors::None => {}
                Survivors::Some => change.apply_some(&mut self.medium, chance),
                Survivors::Torn if place == last => change.apply_beginning(&mut self.medium, chance),
                Survivors::All | Survivors::Torn => change.apply(&mut self.medium),
            }
        }
        self.read.clone_from(&self.medium);
    }
}

impl Change {
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => bytes.truncate(*length),
            Self::Write { at, bytes: written } => put(bytes, *at, written),
        }
    }

    fn apply_beginning(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Self::Cut(length) => bytes.truncate(*length),
            Self::Write { at, bytes: written } => {
                let length = chance.place(written.len() + 1);
                put(bytes, *at, written.get(..length).unwrap_or_default());
            }
        }
    }

    fn apply_some(&self, bytes: &mut Vec<u8>, chance: &mut Chance) {
        match self {
            Self::Cut(length) => {
                if chance.percent(50) {
                    bytes.truncate(*length);
                }
            }
            Self::Write { at, bytes: written } => {
                // The first piece ends where a sector of the file does.
                let head = (SECTOR - at % SECTOR).min(written.len());
                let (head, tail) = written.split_at(head);
                let mut at = *at;
                for sector in std::iter::once(head).chain(tail.chunks(SECTOR)) {
                    if chance.percent(50) {
                        put(bytes, at, sector);
                    }
                    at += sector.len();
                }
            }
        }
    }
}

/// Writes into a file; a hole before it reads as zeroes.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    if let Some(place) = file.get_mut(at..end) {
        place.copy_from_slice(bytes);
    }
}
