//! All chance of a life: from one seed, in streams that do not disturb each other.

use std::ops::RangeInclusive;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// A stream of chance.
#[derive(Debug, Clone)]
pub(super) struct Chance(ChaCha8Rng);

impl Chance {
    /// The same seed gives the same stream.
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A stream of its own: drawing from it leaves this one alone.
    pub(super) fn fork(&mut self) -> Self {
        Self::new(self.0.next_u64())
    }

    /// Any number.
    pub(super) fn any(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        // The slant of a remainder is far below anything that matters here.
        self.0.next_u64().checked_rem(end).unwrap_or(0)
    }

    /// A number of the range.
    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = range.into_inner();
        start + self.below(end.saturating_sub(start).saturating_add(1))
    }

    /// A number of the range, small ones more often: its magnitude is what is evenly spread.
    pub(super) fn mostly_small(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = range.into_inner();
        let bits = u64::from(end.saturating_sub(start).checked_ilog2().unwrap_or(0)) + 1;
        let span = 1_u64 << self.within(0..=bits).min(62);
        (start + self.below(span)).min(end)
    }

    /// A place in something that is so long; 0 if it is empty.
    pub(super) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these, each as likely as its weight.
    ///
    /// An empty list gives nothing.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> Option<T> {
        let total = choices.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.below(total);
        for (weight, choice) in choices {
            if drawn < *weight {
                return Some(*choice);
            }
            drawn -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_leaves_its_origin_alone() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        let mut fork = one.fork();
        for _ in 0..10 {
            fork.any();
        }
        other.fork();

        assert_eq!(one.any(), other.any());
    }

    #[test]
    fn numbers_stay_within_their_range_and_reach_its_ends() {
        let mut chance = Chance::new(1);
        let even: Vec<_> = (0..1_000).map(|_| chance.within(3..=7)).collect();
        let small: Vec<_> = (0..10_000).map(|_| chance.mostly_small(1..=600)).collect();

        assert_eq!((even.iter().min(), even.iter().max()), (Some(&3), Some(&7)));
        assert!(small.iter().all(|number| (1..=600).contains(number)));
        assert!(small.contains(&1) && small.iter().any(|number| *number > 500));
        assert_eq!(chance.below(0), 0);
    }

    #[test]
    fn weights_count() {
        let mut chance = Chance::new(1);
        let drawn: Vec<_> =
            (0..1_000).filter_map(|_| chance.weighted(&[(9, 'a'), (1, 'b'), (0, 'c')])).collect();
        let often = drawn.iter().filter(|choice| **choice == 'a').count();

        assert!((850..950).contains(&often), "{often}");
        assert!(drawn.contains(&'b') && !drawn.contains(&'c'));
    }
}
