//! How often hints may cause requests.

use crate::wire::Instant;

/// Keeps the requests that hints cause below what a platform accepts: 600 a minute, other requests included.
#[derive(Default)]
pub(super) struct Pace {
    /// Up to when the requests so far are paid for.
    paid: Instant,
}

impl Pace {
    /// Each request takes so long to be paid for.
    const COST_MS: u64 = 250;
    /// 200 of them may be owed.
    const CREDIT_MS: u64 = 50_000;

    /// When the next request may be sent, which is now as long as there is credit.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        self.paid = self.paid.max(now).saturating_add(Self::COST_MS);
        self.paid.saturating_sub(Self::CREDIT_MS)
    }
}
