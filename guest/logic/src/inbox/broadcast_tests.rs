use serde_json::{Value, json};

use crate::inbox::rig::{PEER, Rig};

#[test]
fn broadcasts_are_shown_once_with_their_sender() {
    let mut rig = with_broadcasts();
    rig.start();
    let message = rig.platform.say("a message");
    let short = broadcast(&mut rig, "Broadcast from Boss: all hands");
    rig.pass(40_000);

    assert_eq!(rig.waiting(), [message.clone(), short.clone()]);
    let shown = rig.peek().remove(1);
    assert_eq!((&shown["kind"], &shown["peer_id"]), (&json!("broadcast"), &json!(PEER)));
    assert_eq!(shown["text"], "Broadcast from Boss: all hands");
    assert_eq!(shown.get("beginning_only"), None);
    for _ in 0..2 {
        rig.restart();
        rig.pass(300_000);
        assert_eq!(rig.waiting(), [message.clone(), short.clone()]);
    }
    rig.pop_all();
    rig.pass(300_000);
    rig.restart();
    rig.pass(300_000);
    assert_eq!(rig.waiting(), [] as [String; 0]);
    assert_eq!(rig.file, Some(message), "the cursor file names messages alone");
}

#[test]
fn the_beginning_of_a_long_broadcast_says_that_it_is_one() {
    let mut rig = with_broadcasts();
    let summary = format!("Broadcast from Boss: {}…", "x".repeat(120));
    broadcast(&mut rig, &summary);
    rig.start();
    rig.pass(40_000);

    let shown = rig.peek().remove(0);
    assert_eq!((&shown["text"], &shown["beginning_only"]), (&json!(summary), &json!(true)));
}

#[test]
fn broadcasts_from_while_nothing_ran_are_shown_also_without_an_anchor() {
    for first in [false, true] {
        let mut rig = with_broadcasts();
        rig.platform.say("a message");
        if first {
            broadcast(&mut rig, "Broadcast from Boss: first");
        }
        rig.start();
        rig.pass(300_000);
        rig.pop_all();
        rig.stop();
        let missed = broadcast(&mut rig, "Broadcast from Boss: missed");
        rig.platform.clock += 86_400_000_000;
        rig.restart();
        rig.pass(40_000);

        assert_eq!(rig.waiting(), [missed], "{first}");
    }
}

#[test]
fn a_hint_that_brings_no_message_is_looked_into() {
    let mut rig = with_broadcasts();
    rig.start();
    rig.pass(10_000);
    let id = broadcast(&mut rig, "Broadcast from Boss: now");

    rig.hint();

    assert_eq!(rig.waiting(), [id]);
}

#[test]
fn a_platform_without_broadcasts_is_not_asked_for_them() {
    let mut rig = Rig::new();
    rig.start();
    rig.pass(300_000);

    assert!(rig.asked("type").iter().flatten().all(|kind| kind == "a2a_receive"));
}

#[test]
fn own_broadcasts_and_other_rows_are_not_shown() {
    let mut rig = with_broadcasts();
    rig.platform.insert(
        &json!({"activity_type": "broadcast_receive", "source_id": crate::testing::OWN, "summary": "x"}),
        1_000_000,
        0,
    );
    rig.start();
    rig.pass(40_000);

    assert_eq!(rig.waiting(), [] as [String; 0]);
}

#[test]
fn a_broadcast_that_finds_no_room_waits_for_it() {
    let mut rig = with_broadcasts();
    let messages: Vec<_> = (0..200).map(|number| rig.platform.say(&number.to_string())).collect();
    rig.start();
    let id = broadcast(&mut rig, "Broadcast from Boss: x");
    rig.pass(60_000);
    assert_eq!(rig.waiting(), messages);

    rig.pop_all();
    rig.pass(40_000);

    assert_eq!(rig.waiting(), [id]);
}

fn with_broadcasts() -> Rig {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.record.1["broadcast_enabled"] = json!(false);
    rig
}

fn broadcast(rig: &mut Rig, summary: &str) -> String {
    let row = json!({"activity_type": "broadcast_receive", "source_id": PEER, "target_id": null,
        "method": "broadcast", "summary": summary, "request_body": Value::Null});
    rig.platform.insert(&row, 1_000_000, 0)
}
