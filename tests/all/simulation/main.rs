//! The inbox in a world where everything breaks.

use molecule_tests::simulation::{self, BUGS, find, many};

/// About half a minute on two processors; `make simulate` lives more.
const LIVES: u64 = 200;

/// In so many lives each planted bug has to be noticed.
const PLANTED_LIVES: u64 = 500;

#[test]
fn nothing_is_lost_repeated_or_stuck_in_any_life() {
    let report = many(0..LIVES, &mut |_| {});

    assert!(report.failures.is_empty(), "replay with `make simulate SEED=…`: {:#?}", report.failures);
    let tally = report.tally;
    assert!(tally.crashes > LIVES && tally.traps > LIVES / 4, "too little went wrong: {tally:?}");
    assert!(tally.redelivered > LIVES && tally.shown > 50 * LIVES, "too little was shown: {tally:?}");
    // Only what a message of the user names is acknowledged.
    assert!(tally.acknowledged > LIVES / 2, "too few files: {tally:?}");
    assert!(tally.excused * 20 < tally.messages, "too much was excused: {tally:?}");
}

#[test]
fn fifty_turns_of_two_implementations_lose_nothing_and_show_nothing_twice() {
    let (failures, turns) = simulation::turns_of_two(0..10);

    assert!(failures.is_empty(), "{failures:#?}");
    assert!(turns >= 50, "only {turns} turns");
}

#[test]
fn an_agent_that_sleeps_is_rung_for_and_never_for_nothing() {
    let (failures, rings) = simulation::nights(0..40);

    assert!(failures.is_empty(), "{failures:#?}");
    assert!(rings > 400, "only {rings} rings");
}

#[test]
fn a_power_cut_in_any_file_operation_loses_nothing() {
    let (failures, operations) = simulation::cuts();

    assert!(failures.is_empty(), "replay with `simulate --cut N`: {failures:#?}");
    assert!(operations > 150, "only {operations} operations");
}

#[test]
fn a_journal_that_is_harmed_at_any_byte_costs_no_message() {
    let (failures, lives) = simulation::harms(193);

    assert!(failures.is_empty(), "{failures:#?}");
    assert!(lives > 100, "only {lives} lives");
}

#[test]
fn every_bug_that_is_planted_is_noticed() {
    for bug in BUGS {
        assert!(find(bug, 0..PLANTED_LIVES).is_some(), "{bug:?} is not noticed in {PLANTED_LIVES} lives");
    }
}

#[test]
fn a_life_can_be_lived_again() {
    let tell = |seed| {
        let mut told = Vec::new();
        let life = simulation::live(seed, Some(&mut |line| told.push(line.to_owned())));
        (told, life.violations)
    };

    for seed in 0..3 {
        let (first, violations) = tell(seed);

        assert!(first.len() > 100 && violations.is_empty());
        assert_eq!(tell(seed).0, first, "seed {seed}");
    }
}
