//! When the bell rings, and why not.

use super::bell::*;
use crate::wire::{Instant, WakeRules};

const NOTHING: Attention = Attention { waits: false, told: None };

#[test]
fn a_message_of_a_person_rings_at_once_and_those_of_peers_together_after_the_batch() {
    let mut bell = bell(60);

    assert_eq!(bell.decide(&[peer(1)], NOTHING, 0), Decision::Until(10_000));
    assert_eq!(bell.decide(&[peer(1), peer(2)], NOTHING, 4_000), Decision::Until(10_000));
    assert_eq!(bell.decide(&[peer(1), peer(2)], NOTHING, 10_000), Decision::Ring { attempt: 1 });
    assert_eq!(bell.decide(&[], NOTHING, 11_000), Decision::Nothing);
    bell.read(11_000);
    assert_eq!(bell.decide(&[user(3)], NOTHING, 20_000), Decision::Ring { attempt: 1 });
}

#[test]
fn what_is_not_read_rings_again_with_pauses_that_double_and_an_end() {
    let rings = rings(&mut bell(60), &[user(1)], 0, 86_400_000);

    let pauses: Vec<_> = rings.array_windows().map(|[one, next]| (next - one) / 1_000).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn after_the_end_every_message_has_a_reason_and_a_new_one_rings() {
    let mut bell = bell(60);
    let end = rings(&mut bell, &[user(1)], 0, 86_400_000).pop().unwrap() + 700_000;

    assert_eq!(bell.states(&[user(1)], NOTHING, end), [State::Ended]);
    assert_eq!(bell.decide(&[user(1), user(2)], NOTHING, end), Decision::Ring { attempt: 1 });
}

#[test]
fn a_read_message_is_never_rung_for() {
    let mut bell = bell(60);
    assert_eq!(bell.decide(&[user(1)], NOTHING, 0), Decision::Ring { attempt: 1 });

    bell.read(1_000);

    assert_eq!(bell.decide(&[], NOTHING, 1_000), Decision::Nothing);
    assert!(rings(&mut bell, &[], 1_000, 86_400_000).is_empty());
}

#[test]
fn an_agent_that_has_looked_is_left_alone_for_a_minute_with_what_it_was_told_of() {
    let mut bell = bell(60);
    bell.decide(&[user(1), user(2)], NOTHING, 0);
    bell.read(2_000);

    assert_eq!(bell.decide(&[user(2)], NOTHING, 2_000), Decision::Until(62_000));
    assert_eq!(bell.states(&[user(2)], NOTHING, 3_000), [State::Busy]);
    assert_eq!(bell.decide(&[user(2)], NOTHING, 62_000), Decision::Ring { attempt: 1 });
}

#[test]
fn there_are_no_more_rings_in_a_minute_than_are_allowed() {
    let mut bell = bell(6);
    let mut rings = Vec::new();
    for now in (0..300_000).step_by(100) {
        // A person writes ten times a second, and the agent looks each time it is rung for.
        if let Decision::Ring { .. } = bell.decide(&[user(now / 100)], NOTHING, now) {
            rings.push(now);
            bell.read(now);
        }
    }

    let most = rings.iter().map(|from| rings.iter().filter(|at| (*from..from + 60_000).contains(at)).count());
    assert_eq!((most.max(), rings.len()), (Some(6), 30));
    assert_eq!(bell.states(&[user(9_999)], NOTHING, 299_900), [State::Limited]);
}

#[test]
fn a_peer_that_writes_on_and_on_does_not_ring_faster_for_it() {
    let mut bell = bell(60);
    let mut unread = Vec::new();
    let mut rings = Vec::new();
    for now in (0..600_000).step_by(1_000) {
        unread.push(peer(now));
        if let Decision::Ring { .. } = bell.decide(&unread, NOTHING, now) {
            rings.push(now / 1_000);
        }
    }

    assert_eq!(rings, [10, 15, 25, 45, 85, 165, 325]);
}

#[test]
fn a_call_that_waits_takes_the_message_and_no_ring_is_needed() {
    let mut bell = bell(60);
    let waits = Attention { waits: true, ..NOTHING };

    assert_eq!(bell.decide(&[user(1)], waits, 0), Decision::Until(1_000));
    assert_eq!(bell.states(&[user(1)], waits, 0), [State::WaitedFor]);
    assert_eq!(bell.decide(&[user(1)], NOTHING, 1_000), Decision::Ring { attempt: 1 });
}

#[test]
fn a_line_beside_a_result_is_a_ring_of_its_own() {
    let mut bell = bell(60);
    let told = Attention { told: Some((1, 2_000)), ..NOTHING };

    assert_eq!(bell.decide(&[user(1)], told, 2_000), Decision::Until(7_000));
    assert_eq!(bell.states(&[user(1)], told, 2_000), [State::Told]);
    assert_eq!(bell.decide(&[user(1), user(2)], told, 2_000), Decision::Ring { attempt: 1 }, "2 is newer");
}

#[test]
fn what_is_not_wanted_never_rings() {
    let mut bell = bell(60);
    let unwanted = Unread { is_wanted: false, ..user(1) };

    assert_eq!(bell.decide(&[unwanted], NOTHING, 0), Decision::Nothing);
    assert_eq!(bell.states(&[unwanted, user(2)], NOTHING, 0), [State::NotWanted, State::Batched]);
}

#[test]
fn a_ring_that_reached_nobody_is_none_and_is_made_up_for() {
    let mut bell = bell(1);
    assert_eq!(bell.decide(&[user(1)], NOTHING, 0), Decision::Ring { attempt: 1 });

    bell.not_rung("muted".to_owned(), 30_000);

    assert_eq!(bell.decide(&[user(1)], NOTHING, 10), Decision::Until(30_000));
    assert_eq!(bell.states(&[user(1)], NOTHING, 10), [State::Host("muted".to_owned())]);
    assert_eq!(bell.decide(&[user(1)], NOTHING, 30_000), Decision::Ring { attempt: 1 });
    assert_eq!(bell.states(&[user(1)], NOTHING, 30_000), [State::Rung]);
}

#[test]
fn a_message_that_was_not_shown_after_all_is_rung_for() {
    let mut bell = bell(60);
    assert_eq!(bell.decide(&[], Attention { waits: true, ..NOTHING }, 0), Decision::Nothing);
    bell.read(500);

    assert_eq!(bell.decide(&[user(1)], NOTHING, 600), Decision::Ring { attempt: 1 });
}

/// When it rings, looked at exactly when it says so.
fn rings(bell: &mut Bell, unread: &[Unread], from: Instant, to: Instant) -> Vec<Instant> {
    let (mut now, mut rings) = (from, Vec::new());
    while now < to {
        match bell.decide(unread, NOTHING, now) {
            Decision::Nothing => break,
            Decision::Ring { attempt } => {
                rings.push(now);
                assert_eq!(attempt as usize, rings.len());
            }
            Decision::Until(at) => {
                assert!(at > now);
                now = at;
            }
        }
    }
    rings
}

fn bell(most_a_minute: u32) -> Bell {
    Bell::new(WakeRules { users: true, peers: None, most_a_minute, batch_ms: 10_000 })
}

fn user(arrival: u64) -> Unread {
    Unread { arrival, is_of_user: true, is_wanted: true }
}

fn peer(arrival: u64) -> Unread {
    Unread { is_of_user: false, ..user(arrival) }
}
