//! What can happen to the bytes of a file that nobody writes.

use super::medium::SECTOR;

/// What is done to a file at one of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// All from there on is gone.
    Cut,
    /// The sector that begins there is also where the next one was.
    Doubled,
    /// One bit is another.
    Flipped,
    /// The sector that begins there and the one after the next have changed places.
    Swapped,
    /// The sector that begins there is empty.
    Zeroed,
}

/// All that there is.
pub(super) const HARMS: [Harm; 5] = [Harm::Cut, Harm::Doubled, Harm::Flipped, Harm::Swapped, Harm::Zeroed];

impl Harm {
    /// Does it, as far as the file reaches.
    pub(super) fn to(self, bytes: &mut Vec<u8>, at: usize) {
        match self {
            Self::Cut => bytes.truncate(at),
            Self::Doubled => {
                let sector: Vec<u8> = bytes.iter().skip(at).take(SECTOR).copied().collect();
                bytes.iter_mut().skip(at + SECTOR).zip(sector).for_each(|(byte, copy)| *byte = copy);
            }
            Self::Flipped => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (at % 8)),
            Self::Swapped => {
                for place in at..at + SECTOR {
                    if place + 2 * SECTOR < bytes.len() {
                        bytes.swap(place, place + 2 * SECTOR);
                    }
                }
            }
            Self::Zeroed => bytes.iter_mut().skip(at).take(SECTOR).for_each(|byte| *byte = 0),
        }
    }
}
