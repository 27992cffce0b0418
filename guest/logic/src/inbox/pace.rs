//! How often hints may cause requests.

use crate::wire::Instant;

/// Keeps the requests that hints cause below what a platform accepts: 600 a minute, other requests included.
/// In no minute they are more than 442, and up to six a second are never held up.
#[derive(Default)]
pub(super) struct Pace {
    /// Up to when the requests so far are paid for.
    paid: Instant,
}

impl Pace {
    /// Each request takes so long to be paid for.
    const COST_MS: u64 = 166;
    /// 80 of them may be owed.
    const CREDIT_MS: u64 = 80 * Self::COST_MS;

    /// When the next request may be sent, which is now as long as there is credit.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        self.paid = self.paid.max(now).saturating_add(Self::COST_MS);
        self.paid.saturating_sub(Self::CREDIT_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_messages_a_second_are_never_held_up() {
        let mut pace = Pace::default();
        for now in (0..3_600_000).step_by(200) {
            assert!(pace.next(now) <= now, "{now}");
        }
    }

    #[test]
    fn no_minute_has_more_requests_than_leave_room_for_others() {
        let (mut pace, mut now) = (Pace::default(), 1_000_000);
        let mut sent = Vec::new();
        while now < 1_300_000 {
            sent.push(now);
            now = pace.next(now).max(now);
        }

        let in_minute = |from: &u64| sent.iter().filter(|at| (*from..from + 60_000).contains(at)).count();

        assert!(sent.iter().map(in_minute).max() <= Some(442), "{:?}", sent.iter().map(in_minute).max());
    }

    #[test]
    fn what_is_too_fast_waits_for_a_sixth_of_a_second() {
        let mut pace = Pace::default();
        for _ in 0..1_000 {
            pace.next(0);
        }
        let next = pace.next(0);

        assert_eq!(pace.next(next) - next, 166);
    }
}
