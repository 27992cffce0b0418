//! What happens where another program uses the same directory.

use serde_json::json;

use super::rig::{Rig, assert_recovered, error, story};
use crate::{tools::tests::settings, wire::Settings};

#[test]
fn what_another_implementation_has_shown_is_not_shown_again() {
    for redeliver in [false, true] {
        let mut rig = Rig::of(Settings { redeliver, ..settings() });
        rig.platform.tells_time = true;
        let one = rig.platform.say("one");
        let waits = rig.platform.say("still waits");
        rig.start();
        rig.pop(&one);
        rig.pass(5_000);
        rig.stop();
        // It reads on, and dies.
        let old = rig.platform.say("shown long ago");
        rig.platform.clock += 700_000_000;
        let shown = rig.platform.say("shown by the other");
        rig.file = Some(shown.clone());
        let new = rig.platform.say("new");

        rig.restart();

        let expected = if redeliver { vec![waits, shown, new] } else { vec![waits, new] };
        assert_eq!(rig.waiting(), expected);
        assert!(!rig.waiting().contains(&old));
        let said = rig.warnings();
        assert!(said.iter().any(|line| line.contains("has fetched 2 messages")), "{said:?}");
    }
}

#[test]
fn a_file_that_names_a_row_of_the_past_changes_nothing() {
    let (mut rig, expected) = story();
    rig.stop();
    rig.file = Some("99999999-0000-4000-8000-000000000000".to_owned());
    rig.restart();
    rig.pass(60_000);

    assert_recovered(&rig, &expected, "unknown row");
}

#[test]
fn a_cursor_file_that_somebody_else_writes_is_left_alone() {
    let mut rig = Rig::new();
    let id = rig.platform.say("one");
    rig.start();
    rig.pass(5_000);
    rig.file = Some("99999999-0000-4000-8000-000000000000".to_owned());
    rig.pop(&id);
    rig.pass(60_000);

    assert_eq!(rig.file.as_deref(), Some("99999999-0000-4000-8000-000000000000"));
    assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
}

#[test]
fn who_else_fetches_is_told_and_nothing_is_shown() {
    let mut rig = Rig::new();
    rig.platform.say("one");
    rig.start();

    rig.world.inbox.borrow_mut().follow(0, "process 4711".to_owned());

    let answer = rig.call("inbox_peek", &json!({}));
    assert_eq!(answer.text(), r#"{"messages":[],"more":0}"#);
    assert!(answer.answer().text[1].starts_with("\nAnother molecule-mcp (process 4711"));
    rig.restart();
    assert_eq!(rig.call("inbox_peek", &json!({})).answer().text.len(), 1);
}

#[test]
fn what_another_implementation_has_shown_stays_shown_when_our_last_row_was_deleted_meanwhile() {
    let mut rig = stopped();
    rig.platform.say("shown by the other");
    let shown = rig.platform.say("shown last by the other");
    rig.platform.prune(1);
    rig.file = Some(shown);
    let new = rig.platform.say("new");

    for _ in 0..3 {
        rig.restart();
        rig.pass(60_000);

        assert_eq!(rig.waiting(), std::slice::from_ref(&new));
    }
}

#[test]
fn a_look_up_that_fails_once_does_not_end_a_hand_over() {
    let mut rig = stopped();
    rig.file = Some(rig.platform.say("shown by the other"));
    let new = rig.platform.say("new");
    rig.platform.script.push_back(error(500, "cursor lookup failed"));

    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [new]);
}

#[test]
fn more_than_is_remembered_stays_shown_and_the_file_is_not_moved_back() {
    let mut rig = stopped();
    let others: Vec<_> = (0..5_000).map(|_| rig.platform.say("shown by the other")).collect();
    rig.file = others.last().cloned();

    rig.restart();
    rig.pass(120_000);

    assert_eq!((rig.waiting(), rig.file.as_ref()), (vec![], others.last()));
}

#[test]
fn a_file_that_is_gone_is_written_again_and_the_journal_counts() {
    let (mut rig, expected) = story();
    rig.stop();
    rig.file = None;
    rig.restart();
    rig.pass(60_000);

    assert_recovered(&rig, &expected, "no file");
    assert!(rig.file.is_some());
}

/// After it has handled its only message.
fn stopped() -> Rig {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.start();
    rig.pop(&one);
    rig.pass(5_000);
    rig.stop();
    rig
}
