//! Rows that come late, at once, or in numbers.

use serde_json::{Value, json};

use super::{
    queue::MOST_STAGED,
    rig::{Rig, assert_recovered, error, story},
};

#[test]
fn a_first_start_that_found_more_of_one_moment_than_there_is_room_for_goes_on_days_later() {
    let mut rig = Rig::new();
    let mut ids = vec![rig.platform.say("first")];
    ids.extend((1..MOST_STAGED + 50).map(|_| rig.platform.say_at_once("more")));
    rig.start();
    assert_eq!(rig.waiting().len(), MOST_STAGED);

    rig.platform.clock += 432_000_000_000;
    rig.restart();
    let mut popped = rig.pop_all();
    rig.pass(10_000);
    popped.extend(rig.pop_all());

    ids.sort();
    popped.sort();
    assert_eq!(popped, ids);
}

#[test]
fn a_row_that_comes_behind_rows_of_a_moment_that_is_not_complete_is_late() {
    let (mut rig, between) = handled_a_moment_that_is_not_complete();
    rig.platform.script.clear();
    let late = rig.platform.appear("late", between);
    rig.pass(90_000);

    assert_eq!(peeked(&mut rig, &late)["late"], true);
}

#[test]
fn a_row_that_comes_behind_handled_rows_is_late_also_when_the_journal_has_forgotten_them() {
    let (mut rig, between) = handled_a_moment_that_is_not_complete();
    rig.restart();
    rig.restart();
    assert!(!rig.journal.iter().any(|line| line.contains("more")), "the journal was rewritten");
    rig.platform.script.clear();
    let late = rig.platform.appear("late", between);
    rig.pass(90_000);

    assert_eq!(peeked(&mut rig, &late)["late"], true);
}

/// Where no row after the first can be asked after; and a moment before all others.
fn handled_a_moment_that_is_not_complete() -> (Rig, i64) {
    let mut rig = Rig::new();
    rig.platform.say("first");
    let between = rig.platform.clock + 500_000;
    rig.platform.say("second");
    (0..MOST_STAGED).for_each(|_| drop(rig.platform.say_at_once("more")));
    rig.start();
    rig.platform.script.extend((0..9).map(|_| error(503, "not now")));
    rig.pop_all();
    (rig, between)
}

fn peeked(rig: &mut Rig, id: &str) -> Value {
    rig.peek().into_iter().find(|message| message["activity_id"] == *id).unwrap()
}

#[test]
fn rows_that_become_visible_late_are_found_and_marked() {
    let mut rig = Rig::new();
    rig.platform.say("first");
    rig.start();
    let made = rig.platform.clock + 1_000_000;
    for number in 0..20 {
        rig.platform.say(&number.to_string());
        rig.pass(5_000);
    }
    let late = rig.platform.appear("late", made + 60_000_000);
    rig.pass(60_000);

    assert_eq!(rig.waiting().last(), Some(&late));
    assert_eq!(rig.peek().last().unwrap()["late"], true);
    assert_eq!(rig.waiting().len(), 22);
}

#[test]
fn a_thousand_rows_beyond_the_room_are_all_shown_in_order() {
    let mut rig = Rig::new();
    let message = json!({"source_id": null});
    let ids: Vec<_> = (0..1_000).map(|_| rig.platform.insert(&message, 1_000, 0)).collect();
    rig.start();
    let mut handled = Vec::new();
    while handled.len() < ids.len() {
        assert!(rig.waiting().len() <= MOST_STAGED);
        let one = rig.waiting()[0].clone();
        rig.pop(&one);
        handled.push(one);
        if handled.len() % 50 == 0 {
            rig.restart();
        }
        if rig.waiting().is_empty() {
            rig.pass(5_000);
        }
    }

    assert_eq!(handled, ids);
}

#[test]
fn a_first_start_finds_five_thousand_messages_of_the_last_minutes() {
    for pages_back in [true, false] {
        let mut rig = Rig::new();
        rig.platform.pages_back = pages_back;
        let row = json!({"source_id": null, "request_body": {"params": {"message": {}}}});
        // Who cannot page back sees no more than 500 of the user's.
        let count = if pages_back { 5_000 } else { 500 };
        let ids: Vec<_> = (0..count).map(|_| rig.platform.insert(&row, 100_000, 0)).collect();
        rig.start();

        assert_eq!(all_in_turn(&mut rig), ids, "{pages_back}");
    }
}

#[test]
fn ten_thousand_messages_wait_on_the_platform_while_the_agent_is_idle() {
    let mut rig = Rig::new();
    rig.start();
    let row = json!({"source_id": null, "request_body": {"params": {"message": {}}}});
    let ids: Vec<_> = (0..10_000).map(|_| rig.platform.insert(&row, 1_000, 0)).collect();
    rig.pass(600_000);
    assert_eq!(rig.waiting().len(), MOST_STAGED);

    assert_eq!(all_in_turn(&mut rig), ids);
}

/// Pops what is staged until nothing more comes.
fn all_in_turn(rig: &mut Rig) -> Vec<String> {
    let mut popped = Vec::new();
    while !rig.waiting().is_empty() {
        assert!(rig.waiting().len() <= MOST_STAGED);
        popped.extend(rig.pop_all());
        rig.pass(5_000);
    }
    popped
}

#[test]
fn what_does_not_fit_is_not_fetched_again_before_something_has_gone() {
    let mut rig = Rig::new();
    let large = "x".repeat(10 << 20);
    let [one, two] = [rig.platform.say(&large), rig.platform.say(&large)];
    rig.start();
    rig.pass(10_000);
    assert_eq!(rig.waiting(), std::slice::from_ref(&one));
    let before = rig.asked("since_id").len();
    rig.pass(120_000);
    assert_eq!(rig.asked("since_id").len(), before);

    rig.pop(&one);
    rig.pass(20_000);

    assert_eq!(rig.waiting(), [two]);
}

#[test]
fn room_that_a_full_inbox_gets_is_used_at_once() {
    let mut rig = Rig::new();
    for _ in 0..400 {
        rig.platform.insert(&json!({"source_id": null}), 1_000, 0);
    }
    rig.start();
    let waiting = rig.waiting();
    for id in &waiting[..MOST_STAGED / 2 - 1] {
        rig.pop(id);
    }
    assert!(!rig.look_again);

    rig.pop(&waiting[MOST_STAGED / 2 - 1]);

    assert!(std::mem::take(&mut rig.look_again), "half of it is free");
    rig.hint();
    assert_eq!(rig.waiting().len(), MOST_STAGED);
    let calm = rig.waiting()[0].clone();
    rig.pop(&calm);
    assert!(!rig.look_again);
}

#[test]
fn a_hint_is_followed_at_once() {
    let mut rig = Rig::new();
    rig.start();
    rig.platform.say("one");

    rig.hint();

    assert_eq!(rig.waiting().len(), 1);
}

#[test]
fn hints_without_end_cost_no_more_requests_than_a_platform_accepts() {
    let mut rig = Rig::new();
    rig.start();
    let begun = rig.now;
    while rig.now < begun + 60_000 {
        if rig.listens() {
            rig.hint();
        }
        rig.pass(5);
    }

    assert!(rig.platform.requests.len() < 460, "{}", rig.platform.requests.len());
}

#[test]
fn an_outage_of_the_lookup_loses_nothing_over_a_restart() {
    let (mut rig, expected) = story();
    rig.platform.script.extend((0..30).map(|_| error(500, "cursor lookup failed")));
    rig.restart();
    rig.pass(1_200_000);

    assert_recovered(&rig, &expected, "lookup");
}

#[test]
fn an_agent_is_told_once_where_an_inbox_begins_that_the_platform_gives_no_more_of() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.pages_back = false;
    for _ in 0..600 {
        rig.platform.insert(&json!({"source_id": null}), 100_000, 0);
    }
    rig.start();

    let told = rig.call("inbox_peek", &json!({})).answer().text.clone();
    assert!(told[1].starts_with("\nThis inbox begins at 2026-05-01T00:00:10.1Z: "), "{told:?}");
    rig.restart();
    assert_eq!(rig.call("inbox_peek", &json!({})).answer().text.len(), 1);
}

#[test]
fn a_large_message_hides_none_that_becomes_visible_late_before_it() {
    let mut rig = Rig::new();
    let between = rig.platform.clock - 5_000_000;
    let large = rig.platform.say_at_length("large", 20 << 20);
    rig.start();
    rig.pass(70_000);
    assert_eq!((rig.waiting(), rig.warnings()), (vec![large.clone()], vec![]));

    let late = rig.platform.appear("late", between);
    rig.pass(40_000);

    assert_eq!(rig.waiting(), [large, late]);
    assert_eq!(rig.warnings(), Vec::<&str>::new());
}
