//! What the agent and people are shown of the inbox.

use serde_json::{Value, json};

use super::rig::{PEER, Rig, story};
use crate::{testing::settings, wire::Settings};

#[test]
fn messages_that_may_be_missing_are_told_once_for_good() {
    let mut rig = with_a_gap();

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
fn the_results_of_other_tools_mention_what_waits_once_a_minute_and_with_each_arrival() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.say_as(PEER, "words of a stranger");
    rig.start();
    rig.pass(40_000);

    let info = |rig: &mut Rig| rig.call("commit_memory", &json!({})).answer().text.clone();
    assert_eq!(info(&mut rig).last().unwrap(), "\n1 message waits, for 40 s; inbox_peek shows it");
    assert_eq!(info(&mut rig).len(), 1);
    for text in ["two", "three"] {
        rig.platform.say(text);
    }
    rig.pass(5_000);
    assert_eq!(
        info(&mut rig).last().unwrap(),
        "\n3 messages wait, the oldest for 47 s; inbox_peek shows them"
    );
    assert_eq!(info(&mut rig).len(), 1);
    rig.pass(60_000);
    assert_eq!(
        info(&mut rig).last().unwrap(),
        "\n3 messages wait, the oldest for 107 s; inbox_peek shows them"
    );
}

#[test]
fn a_message_that_was_shown_is_mentioned_until_it_is_popped() {
    let mut rig = Rig::new();
    let id = rig.platform.say("to a wait that nobody reads any more");
    rig.start();
    rig.call("wait_for_message", &json!({}));

    let mention = |rig: &mut Rig| rig.call("commit_memory", &json!({})).answer().text.get(1).cloned();
    let shown = "\n1 message that was shown is not removed yet; once it is handled, inbox_pop removes it";
    assert_eq!(mention(&mut rig).as_deref(), Some(shown));
    rig.pass(60_000);
    assert_eq!(mention(&mut rig).as_deref(), Some(shown));
    rig.pop(&id);
    rig.pass(60_000);
    assert_eq!(mention(&mut rig), None);
}

#[test]
fn a_mention_that_the_client_did_not_get_comes_again() {
    let mut rig = Rig::new();
    rig.platform.say("hello");
    rig.start();

    let lost = rig.call_in_vain("commit_memory", &json!({}));

    assert_eq!(rig.call("commit_memory", &json!({})).answer().text.last(), lost.last());
    assert_eq!(rig.call("commit_memory", &json!({})).answer().text.len(), 1);
}

#[test]
fn what_an_answer_showed_that_the_client_did_not_get_was_not_shown() {
    for tool in ["wait_for_message", "inbox_peek"] {
        let mut rig = Rig::new();
        rig.platform.say("hello");
        rig.start();
        assert!(rig.call_in_vain(tool, &json!({}))[0].contains("hello"));

        assert!(rig.peek()[0].get("redelivered").is_none());
        let waited = rig.call("wait_for_message", &json!({}));
        assert!(!waited.text().contains("delivery_count"), "{tool}: {}", waited.text());
        rig.restart();

        let again = rig.call("wait_for_message", &json!({}));
        let again: Value = serde_json::from_str(again.text()).unwrap();
        assert_eq!((&again["redelivered"], &again["delivery_count"]), (&json!(true), &json!(2)), "{tool}");
    }
}

#[test]
fn a_showing_that_was_taken_back_is_none_after_a_restart_either() {
    for tool in ["wait_for_message", "inbox_peek"] {
        let mut rig = Rig::new();
        rig.platform.say("hello");
        rig.start();
        rig.call_in_vain(tool, &json!({}));
        rig.pass(5_000);

        rig.restart();

        assert!(rig.peek()[0].get("redelivered").is_none(), "{tool}: {:?}", rig.journal);
    }
}

#[test]
fn a_process_that_is_killed_with_its_answer_has_not_forgotten_what_it_showed() {
    let mut rig = Rig::new();
    rig.platform.say("hello");
    rig.start();
    rig.call("wait_for_message", &json!({}));

    rig.restart();

    assert_eq!(rig.peek()[0]["redelivered"], json!(true));
}

#[test]
fn a_gap_that_the_client_was_not_told_is_told_later() {
    let mut rig = with_a_gap();

    let lost = rig.call_in_vain("inbox_peek", &json!({}));

    let told = rig.call("inbox_peek", &json!({})).answer().text.clone();
    assert_eq!((told.len(), &told[1]), (2, &lost[1]));
    rig.restart();
    assert_eq!(rig.call("inbox_peek", &json!({})).answer().text.len(), 1);
}

#[test]
fn mail_is_as_old_as_it_is_by_the_platforms_clock_however_late_it_was_fetched() {
    let line = |rig: &mut Rig| rig.call("commit_memory", &json!({})).answer().text.last().unwrap().clone();
    for (secs, age) in [(12, "12 s"), (119, "119 s"), (120, "2 min"), (3 * 3_600, "3 h"), (200_000, "2 days")]
    {
        let mut rig = Rig::new();
        rig.platform.tells_time = true;
        rig.platform.say("first");
        rig.start();
        rig.platform.say("second");
        rig.platform.clock += (secs - 1) * 1_000_000;
        rig.restart();

        assert_eq!(line(&mut rig), format!("\n2 messages wait, the oldest for {age}; inbox_peek shows them"));
    }

    let mut ahead = Rig::new();
    ahead.platform.tells_time = true;
    ahead.platform.say("from tomorrow");
    ahead.platform.clock -= 1_000;
    ahead.start();
    assert_eq!(line(&mut ahead), "\n1 message waits, for 0 s; inbox_peek shows it");

    let mut timeless = Rig::new();
    timeless.platform.say("hello");
    timeless.start();
    assert_eq!(line(&mut timeless), "\n1 message waits; inbox_peek shows it");
}

#[test]
fn a_peer_is_called_by_its_name_from_its_first_message_on_where_the_platform_tells_it() {
    let mut rig = Rig::new();
    let row = json!({"source_id": PEER, "peer_name": "Research\n[x]", "peer_role": "researcher",
        "request_body": {"parts": [{"kind": "text", "text": "hi"}]}});
    rig.platform.insert(&row, 1_000_000, 0);
    rig.start();
    assert!(rig.asked("include").iter().all(|asked| asked.as_deref() == Some("peer_info")));

    for _ in 0..2 {
        let message = rig.peek().remove(0);
        assert_eq!(
            (&message["peer_name"], &message["peer_role"]),
            (&json!("Research [x]"), &json!("researcher"))
        );
        assert_eq!(rig.world.peers.borrow().name(PEER), "Research [x]", "also for the other tools");
        rig.restart();
    }

    rig.world.peers.borrow_mut().saw(PEER, "Renamed", "online", 0);
    rig.platform.say_as(PEER, "from an older platform");
    rig.pass(5_000);
    let names: Vec<_> = rig.peek().iter().map(|message| message["peer_name"].clone()).collect();
    assert_eq!(names, ["Research [x]", "Renamed"]);
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
    let whole = rig.peek();
    assert!(whole[0]["note"].as_str().unwrap().starts_with("this answer has about 150000 bytes"));

    let part: Value = serde_json::from_str(
        rig.call("inbox_peek", &json!({"activity_id": id, "offset": 3, "max_chars": 4})).text(),
    )
    .unwrap();

    let shown = &part["messages"][0];
    assert_eq!((&shown["text"], &shown["text_chars"]), (&json!("ßaßa"), &json!(100_000)));
    assert_eq!(part.get("more"), None);
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

    let page: Value = serde_json::from_str(page.text()).unwrap();
    assert_eq!(page["messages"].as_array().unwrap().len(), 5);
    assert_eq!((&page["messages"][0]["text"], &page["more"]), (&json!("20"), &json!(0)));
}

#[test]
fn people_see_what_is_on_disk_and_no_words() {
    let (rig, _) = story();
    let saved = rig.saved();

    let described: Value = serde_json::from_str(&super::inspect(&rig.world, 0, saved)).unwrap();

    assert_eq!(described["staged"].as_array().unwrap().len(), 4);
    assert_eq!(described["journal"], "ok");
    assert!(described["fetched_up_to"]["id"].is_string() && described["handled_up_to"]["id"].is_string());
    assert!(!described.to_string().contains("text "), "{described}");
}

#[test]
fn people_see_what_is_handled_also_after_a_rewrite_in_the_middle() {
    let mut rig = Rig::new();
    let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
    rig.start();
    rig.disk_full = true;
    rig.pop(&one);
    rig.disk_full = false;
    rig.pass(10_000);
    assert_eq!((rig.file.as_ref(), rig.waiting()), (Some(&one), vec![two]));

    let described: Value = serde_json::from_str(&super::inspect(&rig.world, 0, rig.saved())).unwrap();

    assert_eq!(described["handled_up_to"]["id"], json!(one));
}

/// An inbox that starts again after the platform has forgotten where it was.
fn with_a_gap() -> Rig {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.platform.say("old");
    rig.start();
    rig.stop();
    rig.platform.clock += 8 * 86_400_000_000;
    rig.platform.prune(1);
    rig.platform.say("new");
    rig.restart();
    rig
}

#[test]
fn processes_of_one_session_do_not_hold_a_file_anew_in_each() {
    let mut rig = Rig::new();
    let row = rig.platform.send_file("f1");
    rig.start();
    assert!(rig.waiting().is_empty(), "a message may follow that names it");

    rig.restart_in("one");

    assert_eq!(rig.waiting(), [row]);
}

#[test]
fn within_a_session_a_message_stays_the_same_over_many_processes() {
    let mut rig = Rig::new();
    rig.platform.say("hello");
    rig.start();
    for number in 1..=7 {
        rig.restart_in("one");

        let shown = rig.call("wait_for_message", &json!({}));

        let shown: Value = serde_json::from_str(shown.text()).unwrap();
        assert_eq!(shown["text"], "hello", "call {number}");
        assert_eq!(shown.get("redelivered"), None, "call {number}");
    }
    rig.restart_in("two");

    assert_eq!(rig.peek()[0]["redelivered"], true);
    rig.restart_in("two");
    let parked = rig.call("wait_for_message", &json!({"timeout_secs": 0}));
    assert!(
        parked.text().contains("\"timeout\":true"),
        "shown often enough, in two sessions: {}",
        parked.text()
    );
}
