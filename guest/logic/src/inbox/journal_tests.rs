//! What survives a crash, a damage and a full disk.

use serde_json::{Value, json};

use super::{
    queue::MOST_STAGED,
    rig::{PEER, Rig, error},
};
use crate::{
    tools::tests::{OWN, settings},
    wire::{Level, Settings},
};

#[test]
fn a_message_is_on_disk_before_the_agent_can_see_it_and_the_position_behind_it() {
    let mut rig = Rig::new();
    rig.start();
    let one = rig.platform.say("one");
    rig.pass(5_000);
    let two = rig.platform.say("two");
    rig.pass(5_000);

    assert_eq!(kinds(&rig), ["H", "S", "F", "S", "F"], "{:?}", rig.journal);
    assert!(rig.journal[1].contains(&one) && rig.journal[3].contains(&two));
    assert!(rig.journal[4].contains(&two));
    assert_eq!((rig.rewrites, rig.syncs), (1, 1), "one sync for a message and the position behind it");
}

#[test]
fn what_was_popped_stays_popped_in_any_order() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..6).map(|number| rig.platform.say(&number.to_string())).collect();
    rig.start();
    for place in [4, 0, 2] {
        rig.pop(&ids[place]);
    }

    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [&ids[1], &ids[3], &ids[5]].map(Clone::clone));
    assert_eq!(rig.file.as_ref(), Some(&ids[0]));
}

#[test]
fn what_was_shown_before_says_so() {
    let mut rig = Rig::new();
    rig.platform.say("seen");
    rig.platform.say("not seen");
    rig.start();
    rig.call("wait_for_message", &json!({}));

    rig.restart();

    let messages = peek(&mut rig);
    assert_eq!((&messages[0]["redelivered"], &messages[0]["delivery_count"]), (&json!(true), &json!(1)));
    assert_eq!(messages[1].get("redelivered"), None);
}

#[test]
fn a_message_that_keeps_killing_the_process_is_parked_and_the_others_flow() {
    let mut rig = Rig::new();
    let [poison, other] = ["poison", "other"].map(|text| rig.platform.say(text));
    rig.start();
    for _ in 0..5 {
        assert!(rig.call("wait_for_message", &json!({})).text().contains("poison"));
        rig.restart();
    }

    assert!(rig.call("wait_for_message", &json!({})).text().contains("other"));
    let messages = peek(&mut rig);
    assert_eq!((&messages[0]["activity_id"], &messages[0]["parked"]), (&json!(poison), &json!(true)));
    assert_eq!(rig.pop(&poison)["removed"], true);
    assert_eq!(rig.waiting(), [other]);
}

#[test]
fn a_look_at_a_message_does_not_park_it() {
    let mut rig = Rig::new();
    rig.platform.say("later");
    rig.start();
    for _ in 0..9 {
        peek(&mut rig);
        rig.restart();
    }

    assert!(rig.call("wait_for_message", &json!({})).text().contains("later"));
}

#[test]
fn a_cut_journal_costs_nothing() {
    let (rig, expected) = story();
    for lines in 0..=rig.journal.len() {
        let mut cut = rig.again();
        cut.journal.truncate(lines);
        cut.restart();
        cut.pass(60_000);

        assert_recovered(&cut, &expected, &format!("{lines} lines"));
    }
}

#[test]
fn any_missing_line_costs_at_most_repetitions() {
    let (rig, expected) = story();
    for lost in 0..rig.journal.len() {
        for wide in [1, 3] {
            let mut damaged = rig.again();
            let end = (lost + wide).min(damaged.journal.len());
            damaged.journal.drain(lost..end);
            damaged.damaged_after = u32::try_from(lost).ok();
            damaged.restart();
            assert_eq!(damaged.warnings().len(), 1, "line {lost}: {:?}", damaged.warnings());
            assert_eq!(damaged.copies, 1, "line {lost}");
            damaged.pass(60_000);

            assert_recovered(&damaged, &expected, &format!("lines {lost}..{end}"));
        }
    }
}

#[test]
fn a_rewritten_journal_that_is_damaged_costs_at_most_repetitions() {
    let (mut rig, expected) = story();
    rig.restart();
    assert_eq!(kinds(&rig)[0], "H");
    for lost in 0..rig.journal.len() {
        let mut damaged = rig.again();
        damaged.journal.remove(lost);
        damaged.damaged_after = u32::try_from(lost).ok();
        damaged.restart();
        damaged.pass(60_000);

        assert_recovered(&damaged, &expected, &format!("line {lost} of {:?}", kinds(&rig)));
    }
}

#[test]
fn a_message_that_a_damage_has_put_behind_a_younger_one_says_so() {
    let mut rig = Rig::new();
    rig.start();
    rig.platform.say("one");
    rig.pass(5_000);
    let [two, three] = ["two", "three"].map(|text| rig.platform.say(text));
    rig.pass(5_000);
    let lost = rig.journal.iter().position(|line| line.contains(&two)).unwrap();
    rig.journal.remove(lost);
    rig.damaged_after = u32::try_from(lost).ok();

    rig.restart();
    rig.pass(5_000);

    let shown: Value = serde_json::from_str(rig.call("inbox_peek", &json!({})).text()).unwrap();
    let order: Vec<_> = shown.as_array().unwrap().iter().map(|message| &message["activity_id"]).collect();
    assert_eq!(order[1..], [&json!(three), &json!(two)]);
    assert_eq!((&shown[1]["late"], &shown[2]["late"]), (&Value::Null, &json!(true)));
}

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
    let shown: Value = serde_json::from_str(rig.call("inbox_peek", &json!({})).text()).unwrap();
    shown.as_array().unwrap().iter().find(|message| message["activity_id"] == *id).unwrap().clone()
}

#[test]
fn a_journal_that_has_lost_its_beginning_moves_no_cursor_past_what_it_has_lost() {
    let mut rig = Rig::new();
    let lost = rig.platform.say("lost");
    let kept = rig.platform.say("kept");
    rig.start();
    let beginning = rig.journal.iter().position(|line| line.contains("kept")).unwrap();
    rig.journal.drain(1..beginning);
    rig.damaged_after = Some(1);
    rig.platform.script.push_back(error(503, "not now"));
    rig.restart();

    rig.pop(&kept);
    rig.pass(10_000);

    assert_eq!((rig.waiting(), rig.file.clone()), (vec![lost], None));
}

#[test]
fn a_journal_that_has_lost_its_beginning_still_finds_what_becomes_visible_late() {
    let mut rig = Rig::new();
    rig.start();
    let one = rig.platform.say("one");
    rig.pass(5_000);
    rig.pop(&one);
    rig.pass(5_000);
    assert_eq!(rig.file, Some(one));
    rig.journal.drain(..2);
    rig.damaged_after = Some(0);
    rig.platform.clock -= 12_000_000;
    let late = rig.platform.say_at_once("late");
    rig.platform.clock += 12_000_000;

    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [late]);
}

#[test]
fn a_rewritten_journal_still_knows_when_the_row_was_made_that_the_file_names() {
    let mut rig = Rig::new();
    let twins = [rig.platform.say("one"), rig.platform.say_at_once("twin")];
    rig.start();
    rig.pass(5_000);
    rig.pop_all();
    rig.pass(5_000);
    let named = rig.file.clone().unwrap();
    let other = twins.iter().find(|id| **id != named).unwrap();
    let about_the_file = |line: &&mut String| line.contains("\"t\":\"L\"");
    rig.journal.iter_mut().filter(about_the_file).for_each(|line| *line = line.replace(&named, other));
    rig.file = Some(other.clone());
    rig.platform.script.push_back(error(503, "not now"));

    rig.restart();

    let said = rig.journal.iter().rev().find(|line| line.contains("\"t\":\"L\"")).unwrap();
    assert_eq!(rig.journal.iter().filter(|line| line.contains("\"t\":\"A\"")).count(), 0, "it was rewritten");
    assert!(said.contains(other.as_str()) && said.contains("\"ca\""), "{said}");
}

#[test]
fn the_words_of_a_popped_message_are_gone_after_the_next_start() {
    let mut rig = Rig::new();
    let secret = rig.platform.say("canary");
    rig.platform.say("other");
    rig.start();
    rig.pop(&secret);
    assert!(rig.journal.iter().any(|line| line.contains("canary")));

    rig.restart();

    assert!(!rig.journal.iter().any(|line| line.contains("canary")));
    rig.pass(60_000);
    assert_eq!(rig.waiting().len(), 1);
}

#[test]
fn a_large_journal_is_rewritten_while_it_runs() {
    let mut rig = Rig::new();
    rig.start();
    let long = "x".repeat(64 << 10);
    for _ in 0..60 {
        let id = rig.platform.say(&long);
        rig.pass(5_000);
        rig.pop(&id);
    }

    let bytes: usize = rig.journal.iter().map(String::len).sum();
    assert!(bytes < 2 << 20, "{bytes}");
    assert!((2..6).contains(&rig.rewrites), "{}", rig.rewrites);
}

#[test]
fn words_that_are_over_stay_for_a_day_at_most() {
    let mut rig = Rig::new();
    let id = rig.platform.say("canary");
    rig.start();
    rig.pop(&id);

    rig.pass(25 * 3_600_000);

    assert!(!rig.journal.iter().any(|line| line.contains("canary")));
}

#[test]
fn a_full_disk_freezes_what_is_on_it_and_stops_nothing() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.start();
    rig.pass(5_000);
    let (journal, file) = (rig.journal.clone(), rig.file.clone());
    rig.disk_full = true;
    let two = rig.platform.say("two");
    rig.pass(300_000);

    assert_eq!(rig.waiting(), [one.clone(), two.clone()]);
    assert_eq!(rig.pop(&one), json!({"removed": true, "activity_id": one, "durable": false}));
    assert!((4..=7).contains(&rig.warnings().len()), "once a minute: {:?}", rig.warnings());
    assert_eq!((&rig.journal, &rig.file), (&journal, &file));

    rig.disk_full = false;
    rig.pass(5_000);
    rig.restart();
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [two]);
    assert_eq!(rig.file, Some(one));
    assert!(rig.lines(Level::Info).contains(&"the inbox is saved again"));
}

#[test]
fn a_crash_while_the_disk_is_full_repeats_and_loses_nothing() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.start();
    rig.disk_full = true;
    let two = rig.platform.say("two");
    rig.pass(5_000);
    rig.pop(&one);
    rig.pop(&two);
    rig.disk_full = false;

    rig.restart();

    assert_eq!(rig.waiting(), [one, two]);
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let mut rig = Rig::new();
    let newer = vec![r#"{"t":"H","v":2,"workspace":7}"#.to_owned(), r#"{"t":"Z"}"#.to_owned()];
    rig.journal.clone_from(&newer);
    let id = rig.platform.say("one");
    rig.start();
    rig.pass(60_000);

    assert_eq!(rig.pop(&id), json!({"removed": true, "activity_id": id, "durable": false}));
    assert_eq!((rig.journal, rig.file), (newer, None));
    assert!(rig.said[0].text.contains("newer version"), "{:?}", rig.said);
}

#[test]
fn a_journal_of_another_workspace_is_not_believed() {
    let (mut rig, _) = story();
    rig.journal[0] = rig.journal[0].replace(OWN, "22222222-1111-4111-8111-111111111111");
    rig.file = None;

    rig.restart();

    assert_eq!(rig.copies, 1);
    assert_eq!(rig.waiting().len(), 7, "everything of the last ten minutes");
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
    assert_eq!(peek_all(&mut rig).last().unwrap()["late"], true);
    assert_eq!(rig.waiting().len(), 22);
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
fn messages_that_may_be_missing_are_told_once_for_good() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.say("old");
    rig.start();
    rig.stop();
    rig.platform.clock += 8 * 86_400_000_000;
    rig.platform.prune(1);
    rig.platform.say("new");
    rig.restart();

    let told = |rig: &mut Rig| rig.call("inbox_peek", &json!({})).answer().text.len();
    assert_eq!([told(&mut rig), told(&mut rig)], [2, 1]);
    rig.restart();
    assert_eq!(told(&mut rig), 1);
}

#[test]
fn a_quiet_week_is_no_gap() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.say("old");
    rig.start();
    rig.pass(8 * 86_400_000);
    rig.platform.prune(1);
    rig.platform.say("new");
    rig.pass(5_000);

    assert_eq!(rig.waiting().len(), 2);
    assert_eq!(rig.call("inbox_peek", &json!({})).answer().text.len(), 1);
}

#[test]
fn who_else_fetches_is_told_and_nothing_is_shown() {
    let mut rig = Rig::new();
    rig.platform.say("one");
    rig.start();

    rig.world.inbox.borrow_mut().follow(0, "process 4711".to_owned());

    let answer = rig.call("inbox_peek", &json!({}));
    assert_eq!(answer.text(), "[]");
    assert!(answer.answer().text[1].contains("process 4711"));
    rig.restart();
    assert_eq!(rig.call("inbox_peek", &json!({})).answer().text.len(), 1);
}

#[test]
fn the_results_of_other_tools_mention_what_waits_once() {
    let mut rig = Rig::new();
    rig.platform.say_as(PEER, "words of a stranger");
    rig.start();
    rig.pass(40_000);

    let info = |rig: &mut Rig| rig.call("commit_memory", &json!({})).answer().text.clone();
    assert_eq!(info(&mut rig).last().unwrap(), "1 message waits, for 40 s; inbox_peek shows it");
    assert_eq!(info(&mut rig).len(), 1);
    for text in ["two", "three"] {
        rig.platform.say(text);
    }
    rig.pass(5_000);
    assert!(info(&mut rig).last().unwrap().starts_with("2 messages wait, the oldest for "));
}

#[test]
fn nothing_is_mentioned_where_that_is_switched_off() {
    let mut rig = Rig::of(Settings { notice: false, ..settings() });
    rig.platform.say("one");
    rig.start();

    assert_eq!(rig.call("commit_memory", &json!({})).answer().text.len(), 1);
}

#[test]
fn a_long_message_can_be_read_in_parts() {
    let mut rig = Rig::new();
    let id = rig.platform.say(&"aß".repeat(50_000));
    rig.start();
    let whole = peek(&mut rig);
    assert!(whole[0]["note"].as_str().unwrap().starts_with("this answer has about 150000 bytes"));

    let part: Value = serde_json::from_str(
        rig.call("inbox_peek", &json!({"activity_id": id, "offset": 3, "max_chars": 4})).text(),
    )
    .unwrap();

    assert_eq!((&part[0]["text"], &part[0]["text_chars"]), (&json!("ßaßa"), &json!(100_000)));
    assert!(rig.call("inbox_peek", &json!({"activity_id": "other"})).answer().is_error);
}

#[test]
fn a_list_can_be_read_page_by_page() {
    let mut rig = Rig::new();
    for number in 0..25 {
        rig.platform.say(&number.to_string());
    }
    rig.start();

    let page = rig.call("inbox_peek", &json!({"limit": 10, "offset": 20}));

    let messages: Vec<Value> = serde_json::from_str(page.text()).unwrap();
    assert_eq!(messages.len(), 5);
    assert_eq!(messages[0]["text"], "20");
}

#[test]
fn people_see_what_is_on_disk_and_no_words() {
    let (rig, _) = story();
    let saved = rig.saved();

    let described: Value = serde_json::from_str(&super::describe(&rig.world, 0, saved)).unwrap();

    assert_eq!(described["staged"].as_array().unwrap().len(), 4);
    assert_eq!(described["journal"], "ok");
    assert!(described["fetched_up_to"]["id"].is_string() && described["handled_up_to"]["id"].is_string());
    assert!(!described.to_string().contains("text "), "{described}");
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
fn an_outage_of_the_lookup_loses_nothing_over_a_restart() {
    let (mut rig, expected) = story();
    rig.platform.script.extend((0..30).map(|_| error(500, "cursor lookup failed")));
    rig.restart();
    rig.pass(1_200_000);

    assert_recovered(&rig, &expected, "lookup");
}

/// Seven messages and what else comes, three of which are popped: the messages that wait, and those that do not.
fn story() -> (Rig, (Vec<String>, Vec<String>)) {
    let mut rig = Rig::new();
    let mut waits = Vec::new();
    let mut popped = Vec::new();
    rig.platform.echo();
    rig.start();
    for number in 0..7 {
        rig.platform.echo();
        let id = rig.platform.say(&format!("text {number}"));
        rig.pass(5_000);
        if number % 2 == 1 {
            rig.pop(&id);
            popped.push(id);
        } else {
            waits.push(id);
        }
    }
    rig.pass(5_000);
    (rig, (waits, popped))
}

/// Nothing is lost; what was popped may be back.
fn assert_recovered(rig: &Rig, (waits, popped): &(Vec<String>, Vec<String>), why: &str) {
    let there = rig.waiting();
    for id in waits {
        assert_eq!(there.iter().filter(|waiting| *waiting == id).count(), 1, "{why}: {id} in {there:?}");
    }
    assert!(there.iter().all(|id| waits.contains(id) || popped.contains(id)), "{why}");
}

fn kinds(rig: &Rig) -> Vec<String> {
    let kind = |line: &String| serde_json::from_str::<Value>(line).unwrap()["t"].as_str().unwrap().to_owned();
    rig.journal.iter().map(kind).filter(|kind| kind != "L").collect()
}

fn peek(rig: &mut Rig) -> Value {
    serde_json::from_str(rig.call("inbox_peek", &json!({})).text()).unwrap()
}

fn peek_all(rig: &mut Rig) -> Vec<Value> {
    serde_json::from_str(rig.call("inbox_peek", &json!({"limit": 200})).text()).unwrap()
}
