//! What the poller asks, in which order messages arrive, and what a crash may repeat.

use serde_json::json;

use super::{
    queue::MOST_STAGED,
    rig::{PEER, Rig, error},
};
use crate::{
    testing::OWN,
    uploads::InFlight,
    wire::{Level, PlatformRequest},
};

#[test]
fn the_first_poll_looks_back_ten_minutes_and_the_next_ones_ask_after_the_newest_row() {
    let mut rig = Rig::new();
    let ids = ["one", "two"].map(|text| rig.platform.say(text));
    rig.start();
    rig.pass(5_000);

    assert_eq!(rig.waiting(), ids);
    assert_eq!(rig.asked("since_secs"), [Some("600".to_owned()), None]);
    assert_eq!(rig.asked("since_id"), [None, Some(ids[1].clone())]);
    assert_eq!(
        rig.asked("limit"),
        [Some("500".to_owned()), Some("218".to_owned())],
        "no more than there is room for"
    );
    assert!(rig.platform.requests.iter().all(|request: &PlatformRequest| !request.identify));
}

#[test]
fn a_stored_cursor_is_asked_after() {
    let mut rig = Rig::new();
    let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
    rig.file = Some(format!(" {one}\r\n"));
    rig.start();

    assert_eq!(rig.asked("since_id"), [Some(one)]);
    assert_eq!(rig.waiting(), [two]);
}

#[test]
fn a_file_that_holds_no_cursor_is_none_and_is_replaced() {
    for garbage in ["", "  ", "a1", "None", "\u{0}\u{fffd}", "12345678901234567890123456789012345x"] {
        let mut rig = Rig::new();
        rig.file = Some(garbage.to_owned());
        rig.start();
        assert_eq!(rig.asked("since_secs"), [Some("600".to_owned())], "{garbage:?}");
        assert_eq!((rig.file.as_deref(), rig.stores), (Some(garbage), 0));

        let id = rig.platform.echo();
        rig.pass(5_000);

        assert_eq!(rig.file, Some(id));
    }
}

#[test]
fn an_inbox_without_news_writes_nothing_and_polls_every_five_seconds() {
    let mut rig = Rig::new();
    let id = rig.platform.say("one");
    rig.start();
    rig.pop(&id);
    rig.pass(60_000);

    assert_eq!(rig.stores, 1);
    let looks_behind = rig.asked("before_ts").into_iter().flatten().count();
    assert_eq!((rig.asked("type").len(), looks_behind), (13 + looks_behind, 2), "half a minute apart");
    assert_eq!(rig.said, []);
}

#[test]
fn rows_that_are_no_messages_move_the_cursor_by_themselves() {
    let mut rig = Rig::new();
    rig.platform.echo();
    let last = rig.platform.echo();
    rig.start();

    assert_eq!((rig.waiting(), rig.file.clone()), (vec![], Some(last)));
    assert_eq!((rig.arrived, rig.stores), (None, 1));
}

#[test]
fn the_cursor_stays_before_the_oldest_message_that_was_not_popped() {
    let mut rig = Rig::new();
    let before = rig.platform.echo();
    let one = rig.platform.say("one");
    rig.platform.echo();
    let two = rig.platform.say("two");
    let after = rig.platform.echo();
    rig.start();
    assert_eq!(rig.file.as_ref(), Some(&before));

    rig.pop(&two);
    rig.pass(5_000);
    assert_eq!(rig.file, Some(before));
    rig.pop(&one);
    rig.pass(5_000);

    assert_eq!(rig.file, Some(after));
}

#[test]
fn a_crash_repeats_what_was_not_popped_and_nothing_else() {
    let mut rig = Rig::new();
    let [one, two, three] = ["one", "two", "three"].map(|text| rig.platform.say(text));
    rig.start();
    rig.pop(&one);

    rig.restart();

    assert_eq!(rig.waiting(), [two, three]);
}

#[test]
fn a_crash_loses_no_message_of_the_same_moment() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    let two = rig.platform.say_at_once("two");
    rig.start();
    rig.pop(&one);
    rig.pass(5_000);
    assert_eq!(rig.file, None, "asking after one would leave out two");

    rig.restart();

    assert_eq!(rig.waiting(), [two]);
}

#[test]
fn a_message_arrives_once_however_often_it_is_fetched() {
    let mut rig = Rig::new();
    // Not to be asked after, so each poll brings it again.
    rig.platform.insert(&json!({"id": "odd id/../ä"}), 0, 0);
    rig.start();
    rig.pass(20_000);
    assert_eq!((rig.waiting(), rig.arrived), (vec!["odd id/../ä".to_owned()], Some(1)));

    rig.pop("odd id/../ä");
    rig.pass(20_000);

    assert_eq!((rig.waiting(), rig.arrived, rig.file.clone()), (vec![], Some(1), None));
    assert!(rig.asked("since_id").iter().all(Option::is_none));
}

#[test]
fn full_pages_are_continued_at_once_without_a_gap() {
    let mut rig = Rig::new();
    let start = rig.platform.echo();
    rig.file = Some(start);
    // Two rows of one moment stand astride the end of the first page.
    for _ in 0..499 {
        rig.platform.echo();
    }
    rig.platform.say("last of the first page");
    rig.platform.say_at_once("cut off");
    rig.platform.say("next");
    rig.start();

    let limit = |limit: &Option<String>| limit.as_deref().unwrap().parse::<usize>().unwrap();
    assert!(rig.asked("limit").iter().map(limit).sum::<usize>() < 900, "{:?}", rig.asked("limit"));
    assert_eq!(texts(&rig), ["last of the first page", "cut off", "next"]);
}

#[test]
fn a_full_page_of_one_moment_is_passed_and_its_gap_is_said() {
    let mut rig = Rig::new();
    let start = rig.platform.echo();
    rig.file = Some(start);
    rig.platform.clock += 1_000_000;
    let echo = json!({"source_id": OWN});
    for _ in 0..510 {
        rig.platform.insert(&echo, 0, 0);
    }
    let next = rig.platform.say("next");
    rig.start();

    assert_eq!(rig.waiting(), [next]);
    assert!(rig.lines(Level::Error)[0].starts_with("many messages were stored at the same moment"));
}

#[test]
fn a_full_inbox_is_not_polled_and_nothing_is_dropped() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..450).map(|number| rig.platform.say(&number.to_string())).collect();
    rig.start();
    assert_eq!(rig.waiting(), ids[..MOST_STAGED]);
    let asked = rig.platform.requests.len();

    rig.pass(60_000);
    assert_eq!(rig.platform.requests.len(), asked, "no room, no poll");
    let mut handled = Vec::new();
    while !rig.waiting().is_empty() {
        handled.extend(rig.pop_all());
        rig.pass(5_000);
    }

    assert_eq!(handled, ids);
    assert_eq!(rig.arrived, Some(450));
    assert_eq!(rig.file.as_ref(), ids.last());
}

#[test]
fn a_page_that_does_not_fit_is_cut_before_a_moment_and_not_within() {
    let mut rig = Rig::new();
    let mut ids: Vec<_> = (0..MOST_STAGED - 1).map(|number| rig.platform.say(&number.to_string())).collect();
    ids.push(rig.platform.say("a"));
    ids.push(rig.platform.say_at_once("b"));
    ids.push(rig.platform.say_at_once("c"));
    rig.start();
    assert_eq!(rig.waiting().len(), MOST_STAGED);

    let mut handled = rig.pop_all();
    let file = rig.file.clone();
    rig.pass(5_000);
    handled.extend(rig.pop_all());

    assert_eq!(handled, ids);
    assert_eq!(file.as_ref(), Some(&ids[MOST_STAGED - 2]), "one of the three moment's rows is not fetched");
}

#[test]
fn one_message_that_is_never_popped_holds_up_no_other() {
    let mut rig = Rig::new();
    let first = rig.platform.say("never popped");
    rig.start();
    let mut last = String::new();
    for round in 0..2_000 {
        let id = rig.platform.say_as(PEER, &round.to_string());
        rig.pass(5_000);
        assert_eq!(rig.waiting(), [first.clone(), id.clone()]);
        rig.pop(&id);
        last = id;
    }
    assert_eq!(rig.file, None);

    rig.pop(&first);
    rig.pass(5_000);

    assert_eq!(rig.file, Some(last));
}

#[test]
fn a_large_page_is_asked_for_in_smaller_ones_and_again_in_full_ones() {
    let mut rig = Rig::new();
    let start = rig.platform.echo();
    rig.file = Some(start);
    let ids: Vec<_> = (0..6).map(|n| rig.platform.say_at_length(&n.to_string(), 3 << 20)).collect();
    rig.start();
    rig.pass(180_000);

    assert_eq!(rig.waiting(), ids);
    let limits: Vec<u32> =
        rig.asked("limit").iter().map(|limit| limit.as_deref().unwrap().parse().unwrap()).collect();
    assert!(limits.contains(&2) && limits.iter().rev().take(8).any(|limit| *limit > 100), "{limits:?}");
    assert_eq!(rig.said, []);
}

#[test]
fn a_very_large_message_is_fetched_alone_with_room_for_it() {
    let mut rig = Rig::new();
    let start = rig.platform.echo();
    rig.file = Some(start);
    let ids = [
        rig.platform.say("before"),
        rig.platform.say_at_length("large", 20 << 20),
        rig.platform.say("after"),
    ];
    rig.start();

    assert_eq!(rig.waiting(), ids);
    let single = rig.platform.requests.iter().find(|request| request.limits.body_bytes == 40 << 20).unwrap();
    assert!(single.query.contains(&("limit".to_owned(), "1".to_owned())));
    assert_eq!(rig.said, []);
}

#[test]
fn a_message_beyond_all_limits_is_left_out_and_said_and_jams_nothing() {
    let mut rig = Rig::new();
    let start = rig.platform.echo();
    rig.file = Some(start);
    let before = rig.platform.say("before");
    rig.platform.say_at_length("monstrous", 100 << 20);
    let after = ["after", "and after"].map(|text| rig.platform.say(text));
    rig.start();

    assert_eq!(rig.waiting(), [&[before][..], &after].concat());
    assert!(rig.lines(Level::Error)[0].starts_with("a message larger than accepted was left out"));
    let later = rig.platform.say("later");
    rig.pass(5_000);
    assert_eq!(rig.waiting().last(), Some(&later));
}

#[test]
fn a_file_waits_for_the_upload_that_it_may_belong_to_and_messages_do_not() {
    let mut rig = Rig::new();
    let upload = InFlight::begin(&rig.world);
    let file = |name: &str| {
        json!({"method": "chat_upload_receive", "request_body": {"file_id": name, "name": name, "size": 1,
            "mimeType": "text/plain", "uri": format!("platform-pending:w/{name}")}})
    };
    rig.platform.insert(&file("own"), 1_000_000, 0);
    let user = rig.platform.insert(&file("user"), 1_000_000, 0);
    let message = rig.platform.say("hello");
    rig.start();
    assert_eq!((rig.waiting(), rig.file.clone()), (vec![message.clone()], None));

    rig.world.own_uploads.borrow_mut().note("platform-pending:w/own");
    drop(upload);
    rig.pass(10_000);

    assert_eq!(rig.waiting(), [user, message]);
}

#[test]
fn unreadable_rows_are_counted_once_and_jam_nothing() {
    let mut rig = Rig::new();
    rig.platform.insert(&json!({"id": null}), 1_000_000, 0);
    let id = rig.platform.say("hello");
    rig.platform.insert(&json!({"id": 7}), 1_000_000, 0);
    rig.start();
    rig.pass(20_000);

    assert_eq!(rig.waiting(), [id]);
    assert_eq!(
        rig.warnings(),
        [
            "the platform sent 2 inbox rows that cannot be read",
            "the platform sent 1 inbox rows that cannot be read"
        ]
    );
}

#[test]
fn a_second_poller_begins_with_what_is_on_disk() {
    let mut rig = Rig::new();
    let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
    rig.start();
    rig.pop(&one);

    rig.start();

    assert_eq!(rig.waiting(), std::slice::from_ref(&two));
    let [.., behind, _] = &rig.asked("before_ts")[..] else { panic!("no second look") };
    assert!(behind.is_some(), "rows may have become visible since");
    assert_eq!(rig.asked("since_id").last(), Some(&Some(one)));
}

#[test]
fn a_row_that_becomes_visible_before_the_first_one_that_was_seen_is_found() {
    for pages_back in [true, false] {
        let mut rig = Rig::new();
        rig.platform.pages_back = pages_back;
        let first = rig.platform.say("first");
        rig.start();
        rig.pass(20_000);
        let late = says_late(&mut rig, 21_000_000);

        rig.pass(30_000);

        assert_eq!(rig.waiting(), [first, late]);
    }
}

#[test]
fn a_row_that_becomes_visible_while_nothing_can_be_fetched_is_found_afterwards() {
    let mut rig = Rig::new();
    rig.platform.say("old");
    rig.start();
    rig.pass(300_000);
    rig.platform.say("young");
    rig.pass(5_000);
    let failing = (0..60).map(|_| error(503, "not now"));
    rig.platform.script.extend(failing);
    rig.pass(20_000);
    let late = says_late(&mut rig, 26_000_000);
    rig.pass(400_000);
    rig.platform.script.clear();

    rig.pass(60_000);

    assert!(rig.waiting().contains(&late));
}

/// A row becomes visible whose transaction began so many microseconds ago.
fn says_late(rig: &mut Rig, before: i64) -> String {
    rig.platform.appear("late", rig.platform.clock - before)
}

fn texts(rig: &Rig) -> Vec<String> {
    let inbox = rig.world.inbox.borrow();
    inbox.queue().ready().map(|staged| staged.message.text.clone()).collect()
}
