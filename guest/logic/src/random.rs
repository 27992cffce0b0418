//! Ids and markers from the seed that the host gives: the same seed, the same values.

use std::cell::RefCell;

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{RngCore, SeedableRng},
};
use uuid::{Builder, Uuid};

/// The only source of chance.
pub(crate) struct Random(RefCell<ChaCha12Rng>);

impl Random {
    pub(crate) fn new(seed: (u64, u64, u64, u64)) -> Self {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip([seed.0, seed.1, seed.2, seed.3]) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Self(RefCell::new(ChaCha12Rng::from_seed(bytes)))
    }

    /// A random UUID, version 4.
    pub(crate) fn uuid(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Builder::from_random_bytes(bytes).into_uuid()
    }

    /// 12 characters that nobody outside can have foreseen.
    pub(crate) fn marker(&self) -> String {
        format!("{:012x}", self.0.borrow_mut().next_u64() >> 16)
    }

    /// A factor from 0.75 to 1.25, so that clients do not retry in step.
    pub(crate) fn jitter(&self) -> f64 {
        0.75 + f64::from(self.0.borrow_mut().next_u32()) / f64::from(u32::MAX) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let [one, other] = [Random::new((1, 2, 3, 4)), Random::new((1, 2, 3, 4))];

        assert_eq!(one.uuid(), other.uuid());
        assert_eq!(one.marker(), other.marker());
        assert_ne!(one.uuid(), one.uuid());
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let random = Random::new((7, 7, 7, 7));

        assert!((0..1_000).map(|_| random.jitter()).all(|factor| (0.75..=1.25).contains(&factor)));
    }
}
