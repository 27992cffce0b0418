//! When each of many workspaces begins, so that they do not all ask their platform at once, and again every 20 s.

use std::time::Duration;

use crate::guest::wire::Workspace;

/// So many begin without a delay that anybody would notice.
const FEW: usize = 10;
/// Between two of the few.
const BESIDE_EACH_OTHER: Duration = Duration::from_millis(100);
/// The presence of many is spread over one slot of heartbeats.
pub(crate) const PRESENCE: Duration = Duration::from_secs(20);
/// Their inboxes are spread over less, because the first call of a tool waits for all of them.
pub(crate) const INBOXES: Duration = Duration::from_millis(1_500);

/// How long after the beginning of the session the workspace `handle` of `count` begins, if all begin within `over`:
/// the first at once. `chance` is from 0 to 1.
pub(crate) fn delay(handle: Workspace, count: usize, over: Duration, chance: f64) -> Duration {
    if handle == 0 {
        return Duration::ZERO;
    }
    if count <= FEW {
        return BESIDE_EACH_OTHER * handle;
    }
    let share = over / u32::try_from(count).unwrap_or(u32::MAX);
    share * handle + share.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_begins_at_once_and_few_soon_after_it() {
        assert_eq!(delay(0, 1, PRESENCE, 0.9), Duration::ZERO);
        assert_eq!(delay(0, 1_000, PRESENCE, 0.9), Duration::ZERO);
        assert_eq!(delay(9, 10, INBOXES, 0.9), Duration::from_millis(900));
    }

    #[test]
    fn many_are_spread_evenly_over_a_slot() {
        let delays: Vec<_> = (0..1_000).map(|handle| delay(handle, 1_000, PRESENCE, 0.5)).collect();

        assert!(delays.is_sorted());
        assert!(delays.iter().all(|delay| *delay <= PRESENCE));
        let in_a_second = delays.iter().filter(|delay| delay.as_secs() == 7).count();
        assert!((49..=51).contains(&in_a_second), "{in_a_second}");
    }
}
