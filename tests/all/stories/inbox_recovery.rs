//! The inbox after crashes, outages and floods: messages are repeated, and never lost.

use std::time::Duration;

use molecule_runtime::guest::wire::Level as LogLevel;
use molecule_tests::story::{Setting, Story};
use serde_json::json;
use standin::{
    Response,
    faults::{Effect, Fault},
    world::Store,
};

use crate::props::{LEVELS, drains, peeks, pops, waiting, waits};

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_what_was_not_popped_and_nothing_else() {
    for level in LEVELS {
        let mut story = Setting::default().level(level).begin();
        story.fetch().await;
        say(&story, 0..3);
        let first = waits(&story, 60).await;
        pops(&story, &first["activity_id"]).await;

        for _ in 0..3 {
            story.crash();
            story.fetch().await;
            assert_eq!(waiting(&story).await, ["1", "2"], "{level:?}");
        }

        assert_eq!(drains(&story).await, ["1", "2"]);
        story.crash();
        story.fetch().await;
        assert_eq!(waiting(&story).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_came_while_nobody_was_there_are_found() {
    let mut story = Story::new().await;
    say(&story, 0..1);
    let first = waits(&story, 60).await;
    pops(&story, &first["activity_id"]).await;
    story.crash();
    say(&story, 1..3);
    story.pass(Duration::from_secs(6 * 3_600)).await;

    story.fetch().await;

    assert_eq!(drains(&story).await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_anything_was_popped_loses_nothing_however_long_it_lasts() {
    let mut story = Story::new().await;
    say(&story, 0..2);
    story.pass(Duration::from_secs(6)).await;
    story.crash();
    story.pass(Duration::from_secs(300)).await;

    story.fetch().await;

    assert_eq!(waiting(&story).await, ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_popped_before_an_older_one_is_not_repeated_by_a_crash() {
    let mut story = Story::new().await;
    say(&story, 0..2);
    story.pass(Duration::from_secs(6)).await;
    let later = peeks(&story).await[1]["activity_id"].clone();
    pops(&story, &later).await;
    assert_eq!(waiting(&story).await, ["0"]);

    story.crash();
    story.fetch().await;

    assert_eq!(waiting(&story).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_trap_repeats_what_was_not_popped_and_nothing_else() {
    let story = Story::new().await;
    say(&story, 0..3);
    let first = waits(&story, 60).await;
    pops(&story, &first["activity_id"]).await;
    story.process().flood();

    assert!(story.asks("list_peers", json!({})).await.is_lost());
    story.pass(Duration::from_secs(6)).await;

    assert_eq!(drains(&story).await, ["1", "2"]);
    say(&story, 3..4);
    assert_eq!(waits(&story, 60).await["text"], "3", "and it goes on");
}

#[tokio::test(start_paused = true)]
async fn behind_a_cursor_that_was_pruned_more_than_a_page_is_found() {
    for level in LEVELS {
        let mut story = Setting::default().level(level).begin();
        story.fetch().await;
        let peer = story.platform().poll_peer("Research");
        say(&story, 0..1);
        let first = waits(&story, 60).await;
        pops(&story, &first["activity_id"]).await;
        story.crash();
        let cursor = story.platform().rows(story.me.id)[0].id;
        // At the baseline a window shows 500 rows of the user and 500 of peers.
        for number in 1..=620 {
            let (me, text) = (story.me.id, number.to_string());
            match number % 2 {
                0 => story.platform().user_sends(me, &text),
                _ => story.platform().peer_sends(peer.id, me, &text),
            };
            story.pass(Duration::from_millis(50)).await;
        }
        story.platform().delete_row(cursor);

        story.fetch().await;

        let expected: Vec<String> = (1..=620).map(|number| number.to_string()).collect();
        assert_eq!(drains(&story).await, expected, "{level:?}");
        assert!(story.process().logged(LogLevel::Error).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_platform_cannot_show_all_it_is_said_that_some_may_be_missing() {
    let mut story = Setting::default().level(standin::Level::Baseline).begin();
    say(&story, 0..620);
    story.pass(Duration::from_secs(1)).await;
    story.put_cursor("11111111-2222-4333-8444-555555555555");
    story.crash();

    story.fetch().await;

    assert_eq!(drains(&story).await.len(), 500);
    let errors = story.process().logged(LogLevel::Error);
    assert!(errors[0].contains("some from before 2026-"), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_cursor_file_holds_messages_are_found() {
    for cursor in ["", "nonsense", "../../etc", "null", "11111111-2222-4333-8444-555555555555\n", "\u{0}"] {
        let mut story = Setting::default().begin();
        say(&story, 0..2);
        story.put_cursor(cursor);
        story.crash();

        story.fetch().await;
        story.pass(Duration::from_secs(900)).await;

        assert_eq!(drains(&story).await, ["0", "1"], "{cursor:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_messages_are_staged_and_the_platform_keeps_the_rest() {
    for level in LEVELS {
        let mut story = Setting::default().level(level).begin();
        story.fetch().await;
        say(&story, 0..1);
        story.pass(Duration::from_secs(6)).await;
        say(&story, 1..1_000);
        story.pass(Duration::from_secs(6)).await;
        let (staged, fetches) = (peeks(&story).await.len(), story.fetches());

        story.pass(Duration::from_secs(600)).await;
        assert_eq!(staged, 200);
        assert_eq!((peeks(&story).await.len(), story.fetches()), (200, fetches), "polling pauses");

        let mut texts = Vec::new();
        for message in peeks(&story).await.into_iter().take(150) {
            texts.push(message["text"].as_str().unwrap().to_owned());
            pops(&story, &message["activity_id"]).await;
        }
        story.pass(Duration::from_secs(6)).await;
        story.crash();
        story.fetch().await;
        texts.extend(drains(&story).await);

        let expected: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
        assert_eq!(texts, expected, "{level:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_instant_are_all_found_also_where_a_page_ends() {
    let mut story = Story::new().await;
    let now = story.platform_time();
    for number in 0..480 {
        story.platform().user_sent(story.me.id, &number.to_string(), now.plus(Duration::from_millis(number)));
    }
    // The page of 500 ends within these.
    for number in 480..560 {
        story.platform().user_sent(story.me.id, &number.to_string(), now.plus(Duration::from_millis(480)));
    }
    story.pass(Duration::from_secs(6)).await;

    let mut texts: Vec<u64> = Vec::new();
    while texts.len() < 300 {
        let message = waits(&story, 10).await;
        texts.push(message["text"].as_str().unwrap().parse().unwrap());
        pops(&story, &message["activity_id"]).await;
    }
    story.crash();
    story.fetch().await;
    texts.extend(drains(&story).await.iter().map(|text| text.parse::<u64>().unwrap()));

    texts.sort_unstable();
    assert_eq!(texts, (0..560).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_messages_of_one_instant_loses_none_of_them() {
    let mut story = Story::new().await;
    let now = story.platform_time();
    for number in 0..5 {
        story.platform().user_sent(story.me.id, &number.to_string(), now);
    }
    let first = waits(&story, 60).await;
    pops(&story, &first["activity_id"]).await;
    story.crash();

    story.fetch().await;

    let mut texts = drains(&story).await;
    texts.retain(|text| *text != first["text"]);
    texts.sort_unstable();
    assert_eq!(texts.len(), 4, "{texts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_costs_nothing_but_time_and_is_said_once() {
    let story = Story::new().await;
    story.platform().outage(Store::Activity, true);
    story.pass(Duration::from_secs(600)).await;
    let polls = story.fetches();
    assert!(polls < 25, "it backs off: {polls}");
    story.platform().outage(Store::Activity, false);
    say(&story, 0..2);

    story.pass(Duration::from_secs(80)).await;

    assert_eq!(drains(&story).await, ["0", "1"]);
    assert_eq!(story.process().logged(LogLevel::Warn).len(), 1);
    assert!(story.process().logged(LogLevel::Info)[0].starts_with("inbox poll works again"));
}

#[tokio::test(start_paused = true)]
async fn no_answer_of_any_kind_makes_it_forget_where_it_was() {
    let answers: [Effect; 9] = [
        Effect::Answer(Response::empty(401)),
        Effect::Answer(Response::empty(403)),
        Effect::Answer(Response::empty(404)),
        Effect::Answer(Response::empty(410)),
        Effect::Answer(Response::empty(429)),
        Effect::Answer(Response { body: "<html>".into(), ..Response::empty(200) }),
        Effect::Answer(Response { body: "{}".into(), ..Response::empty(200) }),
        Effect::CloseAfterReading,
        Effect::Delay(Duration::from_secs(3_600)),
    ];
    for effect in answers {
        let story = Story::new().await;
        say(&story, 0..1);
        let first = waits(&story, 60).await;
        pops(&story, &first["activity_id"]).await;
        let shown = format!("{effect:?}");
        story.platform().inject(Fault::new(effect).method("GET").path("/workspaces/*/activity").times(3));
        say(&story, 1..3);

        story.pass(Duration::from_secs(1_200)).await;

        assert_eq!(drains(&story).await, ["1", "2"], "after {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_workspace_and_a_revoked_token_are_told_apart() {
    let revoked = Story::new().await;
    let me = revoked.me.id;
    revoked.platform().revoke_tokens(me);
    revoked.platform().mint_for(me);
    revoked.pass(Duration::from_secs(6)).await;
    let said = revoked.process().logged(LogLevel::Error);
    assert!(said[0].contains("which exists") && said[0].contains("Tokens tab"), "{said:?}");

    let deleted = Story::new().await;
    let path = format!("/workspaces/{}?confirm=true", deleted.me.id);
    let request = standin::Request::new("DELETE", &path).bearer(&deleted.me.token);
    assert_eq!(deleted.somebody_sends(&request).unwrap().status, 200);
    deleted.pass(Duration::from_secs(6)).await;

    let said = deleted.process().logged(LogLevel::Error);
    assert!(said[0].contains("was deleted on the platform"), "{said:?}");
    deleted.pass(Duration::from_secs(3_600)).await;
    assert_eq!(deleted.process().logged(LogLevel::Error).len(), 1, "once");
}

/// The user writes numbers.
fn say(story: &Story, numbers: std::ops::Range<u32>) {
    for number in numbers {
        story.platform().user_sends(story.me.id, &number.to_string());
    }
}
