//! What happens where another program uses the same directory.

use serde_json::json;

use super::rig::{Rig, assert_recovered, error, story};
use crate::{testing::settings, wire::Settings};

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

#[test]
fn what_another_implementation_has_shown_stays_shown_after_a_power_cut() {
    for days in [0, 2] {
        let mut rig = stopped();
        // After two days the journal is rewritten at the start, before the file is looked into.
        rig.pass(days * 86_400_000);
        rig.file = Some(rig.platform.say("shown by the other"));
        rig.restart();
        rig.pass(1_000);

        rig.cut_power();
        rig.pass(60_000);

        assert_eq!(rig.waiting(), [] as [String; 0], "after {days} days");
    }
}

#[test]
fn another_implementation_may_end_at_a_row_at_which_it_has_ended_before() {
    let mut rig = stopped();
    rig.platform.tells_time = true;
    let waits = rig.platform.say("waits");
    rig.start();
    rig.pass(5_000);
    rig.stop();
    let made = rig.platform.clock + 500_000;
    let last = rig.platform.say("shown by the other");
    rig.file = Some(last.clone());
    rig.restart();
    rig.pass(5_000);
    rig.stop();
    assert_ne!(rig.file.as_ref(), Some(&last), "a message before it waits");
    // It begins at that message again, and shows what is after it.
    rig.platform.appear("late, and shown by the other", made);
    rig.file = Some(last);
    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [waits]);
}

#[test]
fn the_file_of_another_implementation_is_left_alone_until_its_row_was_found() {
    let mut rig = stopped();
    let shown = rig.platform.say("shown by the other");
    rig.file = Some(shown.clone());
    rig.platform.script.extend((0..4).map(|_| error(503, "down")));
    rig.restart();
    rig.pass(20_000);
    assert_eq!(rig.file.as_ref(), Some(&shown));
    rig.platform.script.clear();

    rig.restart();
    rig.pass(60_000);

    assert_eq!((rig.waiting(), rig.file), (vec![], Some(shown)));
}

#[test]
fn a_hand_over_is_noted_once() {
    let mut rig = stopped();
    rig.file = Some(rig.platform.say("shown by the other"));
    for _ in 0..3 {
        rig.restart();
        rig.pass(5_000);
    }

    assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
}

#[test]
fn what_was_handled_stays_handled_however_often_two_implementations_take_turns() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    for _ in 0..3 {
        rig.file = Some(rig.platform.say("shown by the other"));
    }
    for turn in 0..4 {
        rig.restart();
        rig.pass(2_000);
        assert_eq!(rig.waiting(), [] as [String; 0], "turn {turn}");
        let own = rig.platform.say("ours");
        rig.pass(10_000);
        assert_eq!(rig.pop_all(), [own], "turn {turn}");
        rig.stop();
        rig.platform.say("shown by the other");
        rig.file = Some(rig.platform.say("shown by the other"));
    }
    rig.restart();
    rig.pass(120_000);

    assert_eq!(rig.waiting(), [] as [String; 0]);
}

#[test]
fn a_row_that_comes_late_behind_what_another_implementation_has_shown_is_shown() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    let one = rig.platform.say("one");
    rig.start();
    rig.pop(&one);
    rig.pass(5_000);
    rig.stop();
    let made = rig.platform.clock + 500_000;
    rig.file = Some(rig.platform.say("shown by the other"));
    rig.restart();
    let late = rig.platform.appear("late", made);
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [late]);
}

#[test]
fn what_another_implementation_has_shown_late_is_not_shown_again() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    let one = rig.platform.say("one");
    let made = rig.platform.clock + 500_000;
    let two = rig.platform.say("two");
    rig.start();
    rig.pop(&one);
    rig.pass(5_000);
    rig.stop();
    // It begins after the first message, where the file stands, and shows the second one, too.
    rig.platform.appear("late, and shown by the other", made);
    rig.file = Some(two.clone());
    rig.restart();
    rig.pass(120_000);

    assert_eq!(rig.waiting(), [two]);
    assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
}

#[test]
fn a_base_that_is_gone_does_not_bring_back_what_another_implementation_has_shown() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.say("shown by the other");
    let shown = rig.platform.say("shown by the other");
    rig.file = Some(shown.clone());
    rig.start();
    let own = rig.platform.say("ours");
    rig.pass(5_000);
    rig.platform.delete(&shown);
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [own]);
}

#[test]
fn the_latest_that_another_implementation_has_shown_is_repeated_at_a_start_without_a_journal() {
    for redeliver in [false, true] {
        let mut rig = Rig::of(Settings { redeliver, ..settings() });
        rig.platform.tells_time = true;
        rig.platform.say("shown long ago");
        rig.platform.clock += 700_000_000;
        rig.platform.echo();
        let shown = rig.platform.say("shown by the other");
        rig.file = Some(shown.clone());
        let new = rig.platform.say("new");
        rig.start();

        let expected = if redeliver { vec![shown.clone(), new] } else { vec![new] };
        for _ in 0..3 {
            assert_eq!(rig.waiting(), expected);
            rig.restart();
            rig.pass(60_000);
        }
        let flags: Vec<_> =
            rig.peek().iter().map(|shown| shown.get("redelivered") == Some(&true.into())).collect();
        assert_eq!(flags, if redeliver { vec![true, false] } else { vec![false] });
        for id in rig.pop_all() {
            assert!(expected.contains(&id));
        }
        rig.restart();
        rig.pass(60_000);
        assert_eq!(rig.waiting(), [] as [String; 0]);
    }
}

#[test]
fn more_than_a_page_is_repeated_at_a_start_without_a_journal() {
    let mut rig = Rig::of(Settings { redeliver: true, ..settings() });
    rig.platform.tells_time = true;
    let step = |rig: &mut Rig| {
        rig.platform.insert(&serde_json::json!({"source_id": null, "request_body": {}}), 1_000, 0)
    };
    let mut shown: Vec<_> = (0..1_100).map(|_| step(&mut rig)).collect();
    rig.file = shown.last().cloned();
    rig.start();

    let mut popped = Vec::new();
    for _ in 0..10 {
        assert!(rig.peek().iter().all(|shown| shown["redelivered"] == true));
        popped.extend(rig.pop_all());
    }
    shown.sort();
    popped.sort();
    assert_eq!((popped.len(), popped == shown), (shown.len(), true));
}

#[test]
fn the_latest_is_repeated_also_where_nothing_is_left_of_where_the_journal_ends() {
    let mut rig = Rig::of(Settings { redeliver: true, ..settings() });
    rig.platform.tells_time = true;
    let one = rig.platform.say("one");
    rig.start();
    rig.pop(&one);
    rig.pass(5_000);
    rig.stop();
    let shown = rig.platform.say("shown by the other");
    rig.platform.prune(1);
    rig.file = Some(shown.clone());
    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [shown]);
}

#[test]
fn the_cursor_file_follows_a_pop_without_a_round_of_polling() {
    let mut rig = Rig::new();
    let (one, two, three) = (rig.platform.say("one"), rig.platform.say("two"), rig.platform.say("three"));
    rig.start();

    rig.pop(&two);
    assert!(!rig.handled, "the first still waits");
    rig.settle();
    assert_eq!(rig.file, None);
    rig.pop(&one);
    assert!(rig.handled);
    let requests = rig.platform.requests.len();
    rig.settle();

    assert_eq!((rig.file.as_ref(), rig.platform.requests.len()), (Some(&two), requests));
    rig.restart();
    assert_eq!(rig.waiting(), [three]);
    assert_eq!(rig.warnings(), [] as [&str; 0]);
}

#[test]
fn a_cursor_file_that_cannot_be_written_follows_later() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.start();
    rig.pop(&one);
    rig.disk_full = true;
    rig.settle();
    assert_eq!(rig.file, None);
    rig.disk_full = false;
    rig.pass(10_000);

    assert_eq!(rig.file, Some(one));
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
