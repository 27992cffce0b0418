//! Tries of the whole process: many workspaces whose platform is away do not all ask again within seconds.

use std::sync::{Mutex, PoisonError};

use crate::guest::wire::Instant;

/// Tries that may come at once.
const MOST: u64 = 20;
/// Milliseconds until a spent try is there again.
const ONE_MORE_MS: u64 = 5_000;

/// How many requests may be tried again soon.
#[derive(Debug)]
pub struct RetryBudget {
    /// When all tries will be there again.
    full_at: Mutex<Instant>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { full_at: Mutex::new(0) }
    }
}

impl RetryBudget {
    /// Takes one try, if there is one at `now`.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (*full_at).max(now) + ONE_MORE_MS;
        if after > now + MOST * ONE_MORE_MS {
            return false;
        }
        *full_at = after;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_tries_are_there_at_once_and_one_more_every_five_seconds() {
        let budget = RetryBudget::default();
        let taken = |now| (0..100).filter(|_| budget.take(now)).count();

        assert_eq!([taken(7), taken(8), taken(5_007), taken(20_007), taken(999_999)], [20, 0, 1, 3, 20]);
    }
}
