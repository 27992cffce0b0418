//! What the poller does when the platform has forgotten its place, or does not answer.

use serde_json::json;

use super::rig::{Rig, error};
use crate::wire::{Level, Outcome, PlatformResponse, Unreachable};

#[test]
fn a_pruned_cursor_is_recovered_by_the_time_of_the_last_success() {
    let mut rig = Rig::new();
    let id = rig.platform.say("one");
    rig.start();
    rig.pop(&id);
    // The platform is away for two hours, then its log is pruned.
    rig.platform.script.extend((0..).take(200).map(|_| unreachable()));
    rig.pass(7_200_000);
    rig.platform.script.clear();
    rig.platform.prune(1);
    let missed = rig.platform.say("missed");
    rig.platform.clock += 3_600_000_000;
    let latest = rig.platform.say("latest");
    rig.pass(60_000);

    assert_eq!(rig.waiting(), [missed, latest]);
    let windows: Vec<_> = rig.asked("since_secs").into_iter().flatten().collect();
    let is_as_long_as_the_outage = |secs: &String| (7_320..7_400).contains(&secs.parse().unwrap());
    assert!(windows.iter().any(is_as_long_as_the_outage), "{windows:?}");
    assert!(
        rig.lines(Level::Info)[0]
            .starts_with("the platform no longer knows the inbox cursor, reading the last")
    );
}

#[test]
fn two_thousand_messages_of_six_days_are_recovered_and_none_that_was_handled() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig.start();
    let mut known = Vec::new();
    for _ in 0..5 {
        (0..100).for_each(|_| drop(rig.platform.say("known")));
        rig.pass(5_000);
        known.extend(rig.pop_all());
    }
    assert_eq!(known.len(), 500);
    rig.stop();
    rig.platform.delete(known.last().unwrap());
    let row = json!({"source_id": null, "request_body": {"params": {"message": {}}}});
    let new: Vec<_> = (0..2_000).map(|_| rig.platform.insert(&row, 259_000_000, 0)).collect();

    rig.restart();
    let mut shown = Vec::new();
    while !rig.waiting().is_empty() {
        shown.extend(rig.pop_all());
        rig.pass(5_000);
    }

    assert_eq!(shown, new);
}

#[test]
fn after_a_restart_a_pruned_cursor_is_recovered_from_all_that_is_left() {
    let mut rig = Rig::new();
    rig.file = Some("99999999-0000-4000-8000-000000000000".to_owned());
    let old = rig.platform.say("old");
    rig.platform.clock += 5 * 86_400_000_000;
    rig.start();

    assert_eq!(rig.waiting(), std::slice::from_ref(&old));
    assert_eq!(rig.asked("since_secs"), [None, Some("2592000".to_owned())]);
    assert_eq!(rig.stores, 0, "until the message is popped, a crash has to find the same way");
    rig.pop(&old);
    rig.pass(5_000);
    assert_eq!(rig.file, Some(old));
}

#[test]
fn a_pruned_cursor_of_an_empty_inbox_is_removed() {
    let mut rig = Rig::new();
    rig.file = Some("99999999-0000-4000-8000-000000000000".to_owned());
    rig.start();

    assert_eq!((rig.file.clone(), rig.stores), (None, 1));
    rig.pass(20_000);
    assert_eq!(rig.stores, 1);
}

#[test]
fn staged_messages_outlive_a_pruned_cursor() {
    let mut rig = Rig::new();
    let [one, two] = ["one", "two"].map(|text| rig.platform.say(text));
    rig.start();
    rig.platform.prune(2);
    let three = rig.platform.say("three");
    rig.pass(5_000);

    assert_eq!(rig.waiting(), [one.clone(), two.clone(), three]);
    rig.pop(&two);
    rig.pass(5_000);
    assert_eq!(rig.file, None);
    rig.pop(&one);
    rig.pass(5_000);
    assert_eq!(rig.file, Some(two));
}

#[test]
fn a_long_backlog_is_fetched_from_its_oldest_row() {
    let mut rig = Rig::new();
    rig.file = Some("99999999-0000-4000-8000-000000000000".to_owned());
    for _ in 0..1_234 {
        rig.platform.echo();
    }
    let ids: Vec<_> = (0..620).map(|number| rig.platform.say(&number.to_string())).collect();
    rig.start();

    assert_eq!(handled(&mut rig), ids);
    assert!(rig.asked("before_ts").iter().flatten().count() >= 3);
    assert_eq!(rig.lines(Level::Error), Vec::<&str>::new());
}

#[test]
fn exactly_full_windows_are_complete() {
    for count in [499, 500, 501, 999, 1_000, 1_001] {
        let mut rig = Rig::new();
        for _ in 0..count - 2 {
            rig.platform.insert(
                &json!({"method": "notify", "target_id": null, "response_body": {"result": 1}}),
                1_000,
                0,
            );
        }
        let ids = ["one", "two"].map(|text| rig.platform.say(text));
        rig.start();

        assert_eq!(rig.waiting(), ids, "{count}");
        assert_eq!(rig.lines(Level::Error), Vec::<&str>::new(), "{count}");
    }
}

#[test]
fn moments_that_fill_pages_are_paged_over() {
    for pages_back in [true, false] {
        let mut rig = Rig::new();
        rig.platform.pages_back = pages_back;
        let first = rig.platform.say("first");
        rig.platform.clock += 1_000_000;
        for _ in 0..1_200 {
            rig.platform.insert(&json!({"source_id": crate::testing::OWN}), 0, 0);
        }
        let last = rig.platform.say("last");
        rig.start();

        assert_eq!(rig.waiting(), [first, last]);
        assert!(rig.platform.requests.len() < 20, "{}", rig.platform.requests.len());
    }
}

#[test]
fn where_pages_cannot_go_back_the_user_and_the_peers_are_asked_for_apart() {
    let mut rig = Rig::new();
    rig.platform.pages_back = false;
    let user = rig.platform.say("from the user, long ago");
    for _ in 0..400 {
        rig.platform.insert(&json!({"source_id": crate::testing::OWN}), 1_000, 0);
        rig.platform.insert(
            &json!({"method": "notify", "target_id": null, "response_body": {"result": 1}}),
            1_000,
            0,
        );
    }
    let latest = rig.platform.say("latest");
    rig.start();

    assert_eq!(rig.waiting(), [user, latest]);
    assert_eq!(rig.asked("source").into_iter().flatten().collect::<Vec<_>>(), ["canvas", "agent"]);
    assert_eq!(rig.lines(Level::Error), Vec::<&str>::new());
}

#[test]
fn what_cannot_be_reached_is_said_to_be_missing() {
    let mut rig = Rig::new();
    rig.platform.pages_back = false;
    let ids: Vec<_> = (0..620).map(|number| rig.platform.say(&number.to_string())).collect();
    rig.platform.clock -= 100_000_000;
    rig.start();

    assert_eq!(rig.waiting()[..], ids[120..320]);
    assert!(rig.lines(Level::Error)[0].starts_with("more messages wait than the platform gives at once"));
}

#[test]
fn a_cursor_that_cannot_be_looked_up_is_given_up_after_ten_tries() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.file = Some(one);
    let two = rig.platform.say("two");
    rig.platform.script.extend((0..10).map(|_| error(500, "cursor lookup failed")));
    rig.start();
    while rig.platform.script.len() > 1 {
        rig.pass(rig.rests_for());
    }
    assert_eq!(rig.asked("since_secs").into_iter().flatten().count(), 0, "nine are not enough");

    rig.pass(rig.rests_for());

    assert_eq!(rig.asked("since_secs").into_iter().flatten().collect::<Vec<_>>(), ["2592000"]);
    assert_eq!(rig.waiting(), [two]);
}

#[test]
fn a_backlog_that_is_still_being_fetched_survives_the_loss_of_the_cursor() {
    let mut rig = Rig::new();
    rig.file = Some(rig.platform.echo());
    let ids: Vec<_> = (0..900).map(|number| rig.platform.say(&number.to_string())).collect();
    rig.start();
    assert_eq!(rig.waiting(), ids[..200]);
    // The agent takes its time, and the platform forgets what was fetched.
    rig.pass(86_400_000);
    rig.platform.prune(201);

    assert_eq!(handled(&mut rig), ids);
}

#[test]
fn failures_keep_the_position_and_wait_longer_each_time() {
    let gateway = |status, json| {
        Outcome::Responded(PlatformResponse {
            status,
            json,
            retry_after_ms: None,
            server_time_ms: None,
            body: b"<html>".to_vec(),
        })
    };
    let failures = [
        error(403, "no"),
        gateway(404, false),
        gateway(410, false),
        gateway(200, false),
        error(400, "no"),
        error(503, "no"),
        unreachable(),
        Outcome::Refused("no bearer".to_owned()),
    ];
    for failure in failures {
        let mut rig = Rig::new();
        let id = rig.platform.say("one");
        rig.file = Some(id.clone());
        rig.platform.script.extend((0..8).map(|_| failure.clone()));
        rig.start();
        let mut rests = vec![rig.rests_for()];
        while !rig.platform.script.is_empty() {
            rig.pass(rig.rests_for());
            rests.push(rig.rests_for());
        }
        rig.pass(60_000);

        assert!((3_750..=6_250).contains(&rests[0]), "{rests:?}");
        assert!((7_500..=12_500).contains(&rests[1]), "{rests:?}");
        assert!(rests.iter().all(|rest| *rest <= 60_000) && rests[7] >= 45_000, "{rests:?}");
        assert!(rig.asked("since_id").iter().all(|asked| asked.as_ref() == Some(&id)), "{failure:?}");
        assert_eq!((rig.file.as_ref(), rig.stores), (Some(&id), 0));
        assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
        assert_eq!(rig.lines(Level::Info), ["inbox poll works again after 8 failures"]);
    }
}

#[test]
fn the_platform_is_left_alone_for_as_long_as_it_asks() {
    let mut rig = Rig::new();
    rig.platform.script.push_back(Outcome::Responded(PlatformResponse {
        status: 429,
        json: true,
        retry_after_ms: Some(200_000),
        server_time_ms: None,
        body: b"{}".to_vec(),
    }));
    rig.start();

    assert_eq!(rig.rests_for(), 200_000);
    assert!(!rig.listens());
}

#[test]
fn an_event_ends_the_pause_after_a_failure_but_not_at_once() {
    let mut rig = Rig::new();
    rig.platform.script.extend((0..5).map(|_| error(503, "not now")));
    rig.start();
    while !rig.platform.script.is_empty() {
        rig.pass(rig.rests_for());
    }
    assert!(rig.rests_for() > 10_000);
    let new = rig.platform.say("new");

    rig.hint();
    assert_eq!((rig.rests_for(), rig.waiting().len()), (1_000, 0));
    rig.pass(1_000);

    assert_eq!(rig.waiting(), [new]);
}

#[test]
fn a_disk_is_tried_again_although_the_platform_is_away() {
    let mut rig = Rig::new();
    let one = rig.platform.say("one");
    rig.start();
    rig.platform.script.extend((0..9).map(|_| error(503, "not now")));
    rig.disk_full = true;
    rig.pop(&one);
    while rig.platform.script.len() > 4 {
        rig.pass(5_000);
    }
    let rewrites = rig.rewrites;

    rig.disk_full = false;
    rig.pass(5_000);

    assert_eq!(rig.rewrites, rewrites + 1);
    assert!(!rig.platform.script.is_empty());
}

#[test]
fn a_refused_token_is_told_from_a_deleted_workspace_once() {
    for (record, said) in [
        ((200, json!({"status": "online"})), "refuses the token"),
        ((200, json!({"status": "removed"})), "was deleted"),
        ((410, json!({"error": "workspace removed"})), "was deleted"),
        ((404, json!({"error": "workspace not found"})), "was deleted"),
        ((500, json!({"error": "query failed"})), "does not say whether"),
    ] {
        let mut rig = Rig::new();
        rig.platform.record = record;
        rig.platform.script.extend((0..5).map(|_| error(401, "invalid workspace auth token")));
        rig.start();
        rig.pass(600_000);

        let errors = rig.lines(Level::Error);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(said), "{errors:?}");
        // One for the reason, and one for whether there are broadcasts, once it works.
        assert_eq!(rig.platform.requests.iter().filter(|request| request.path.len() == 2).count(), 2);
        assert_eq!(rig.lines(Level::Info).len(), 1);
    }
}

#[test]
fn a_slow_line_is_given_smaller_pages() {
    let mut rig = Rig::new();
    rig.platform.script.extend((0..6).map(|_| unreachable()));
    rig.start();
    rig.pass(600_000);

    let limits: Vec<_> = rig.asked("limit").into_iter().flatten().collect();
    assert_eq!(limits[..9], ["500", "500", "500", "500", "250", "125", "62", "124", "248"]);
}

/// All messages, in the order in which an agent would handle them.
fn handled(rig: &mut Rig) -> Vec<String> {
    let mut handled = Vec::new();
    while !rig.waiting().is_empty() {
        handled.extend(rig.pop_all());
        rig.pass(5_000);
    }
    handled
}

fn unreachable() -> Outcome {
    Outcome::Unreachable(Unreachable { reason: "connection refused".to_owned(), maybe_sent: false })
}
