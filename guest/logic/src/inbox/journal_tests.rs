//! What survives a crash, a damage and a full disk.

use serde_json::{Value, json};

use super::rig::Rig;
use crate::{
    tools,
    wire::{Level, Next},
};

#[test]
fn a_message_is_on_disk_before_the_agent_can_see_it_and_the_position_behind_it() {
    let mut rig = Rig::new();
    rig.start();
    let one = rig.platform.say("one");
    rig.pass(5_000);
    let two = rig.platform.say("two");
    rig.pass(5_000);

    assert_eq!(rig.kinds(), ["H", "S", "F", "S", "F"], "{:?}", rig.journal);
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

    let messages = rig.peek();
    assert_eq!((&messages[0]["redelivered"], messages[0].get("delivery_count")), (&json!(true), None));
    assert_eq!(messages[1].get("redelivered"), None);
    let again: Value = serde_json::from_str(rig.call("wait_for_message", &json!({})).text()).unwrap();
    assert_eq!((&again["redelivered"], &again["delivery_count"]), (&json!(true), &json!(2)));
}

#[test]
fn what_was_only_looked_at_was_shown_before_and_never_delivered() {
    let mut rig = Rig::new();
    rig.platform.say("seen");
    rig.start();
    rig.peek();

    rig.restart();

    for _ in 0..2 {
        let message = rig.peek().remove(0);
        assert_eq!((&message["redelivered"], message.get("delivery_count")), (&json!(true), None));
    }
    let people: Value = serde_json::from_str(&super::inspect(&rig.world, 0, rig.saved())).unwrap();
    let message = &people["staged"][0];
    assert_eq!((&message["redelivered"], message.get("delivery_count")), (&json!(true), None));
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
    let messages = rig.peek();
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
        rig.peek();
        rig.restart();
    }

    assert!(rig.call("wait_for_message", &json!({})).text().contains("later"));
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
fn a_pop_that_is_cancelled_while_the_disk_is_slow_is_on_disk_soon() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.start();
    let (popping, turn) =
        tools::open(&rig.world, "inbox_pop", &json!({ "activity_id": one }).to_string(), rig.now);
    assert!(matches!(turn.next, Next::Store(_)));

    drop(popping);
    rig.pass(10_000);

    assert_eq!((rig.waiting(), rig.file.as_ref()), (vec![], Some(&one)));
    rig.restart();
    rig.pass(60_000);
    assert_eq!(rig.waiting(), [""; 0]);
}
