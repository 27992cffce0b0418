//! The platform's events wake the inbox; polls find what they miss.

use std::time::Duration;

use molecule_tests::story::{Setting, Story};
use serde_json::json;
use standin::{Level, Script};

use crate::props::{LEVELS, pops, task, waiting, waits};

/// A sender's request, the event, a read, and on the older platform the time until the row is there.
const AT_ONCE_MS: u64 = 40;

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_in_milliseconds() {
    for level in LEVELS {
        let story = Setting::default().level(level).events().begin();
        begin(&story).await;
        for text in ["one", "two", "three"] {
            story.pass(Duration::from_secs(7)).await;
            let wait = story.call("wait_for_message", json!({ "timeout_secs": 60 }));
            story.pass(Duration::from_millis(500)).await;
            let sent = story.elapsed_ms();
            story.platform().user_sends(story.me.id, text);

            let message = wait.await.unwrap().json();

            let took = story.elapsed_ms() - sent;
            assert_eq!(message["text"], text);
            assert!(took <= AT_ONCE_MS, "{level:?}, {text}: {took} ms");
            pops(&story, &message["activity_id"]).await;
        }
    }
}

/// Messages, one every 200 ms.
const MANY: usize = 60;

#[tokio::test(start_paused = true)]
async fn a_message_is_read_for_once_however_many_events_it_raises() {
    for level in LEVELS {
        let story = Setting::default().level(level).events().begin();
        begin(&story).await;
        story.pass(Duration::from_secs(7)).await;
        let before = story.fetches();
        let mut slowest = 0;
        for number in 0..MANY {
            let wait = story.call("wait_for_message", json!({ "timeout_secs": 50 }));
            story.pass(Duration::from_millis(200)).await;
            let sent = story.elapsed_ms();
            story.platform().user_sends(story.me.id, &number.to_string());

            let message = wait.await.unwrap().json();

            slowest = slowest.max(story.elapsed_ms() - sent);
            assert_eq!(message["text"], number.to_string(), "{level:?}");
            pops(&story, &message["activity_id"]).await;
        }
        let reads = story.fetches() - before;
        assert!(reads * 10 <= MANY * 13, "{level:?}: {reads} reads");
        assert!(slowest <= AT_ONCE_MS, "{level:?}: {slowest} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_id_that_is_used_again_hides_neither_the_first_message_nor_the_next() {
    for (level, seen) in
        [(Level::Later, vec!["first", "second", "third"]), (Level::Newest, vec!["first", "third"])]
    {
        let story = Setting::default().level(level).events().begin();
        begin(&story).await;
        for (id, text) in [("m", "first"), ("m", "second"), ("n", "third")] {
            let parts = json!([{ "kind": "text", "text": text }]);
            let message = json!({ "messageId": id, "parts": parts });
            let body =
                json!({ "jsonrpc": "2.0", "method": "message/send", "params": { "message": message } });
            story.platform().sends(None, story.me.id, &body);
            story.pass(Duration::from_millis(100)).await;
        }

        assert_eq!(waiting(&story).await, seen, "{level:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_instant_all_arrive_and_at_the_newest_level_in_their_order() {
    for level in LEVELS {
        let story = Setting::default().level(level).events().begin();
        begin(&story).await;
        story.pass(Duration::from_secs(7)).await;
        let instant = story.platform_time();
        let mut expected = Vec::new();
        for number in 0..12 {
            story.platform().user_sent(story.me.id, &number.to_string(), instant);
            expected.push(number.to_string());
        }
        story.pass(Duration::from_millis(40)).await;

        let mut seen = waiting(&story).await;
        if level < Level::Newest {
            // Before, rows of one instant had no order.
            seen.sort_by_key(|text| text.parse::<u32>().unwrap_or_default());
        }
        assert_eq!(seen, expected, "{level:?}");
        story.platform().user_sent(story.me.id, "one more", instant);
        expected.push("one more".to_owned());
        story.pass(Duration::from_secs(if level < Level::Newest { 40 } else { 1 })).await;
        assert_eq!(waiting(&story).await.len(), expected.len(), "{level:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_events_come_through_an_idle_inbox_is_read_a_third_as_often() {
    let story = Setting::default().events().begin();
    begin(&story).await;
    story.pass(Duration::from_secs(60)).await;
    let before = story.fetches();

    story.pass(Duration::from_secs(3_600)).await;

    assert_eq!(story.fetches() - before, 240);
    assert_eq!(story.platform().open_streams(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_burst_beyond_what_a_stream_holds_costs_few_reads_and_no_message() {
    let story = Setting::default().events().begin();
    begin(&story).await;
    let before = story.fetches();
    for number in 0..150 {
        story.platform().user_sends(story.me.id, &number.to_string());
    }
    story.pass(Duration::from_secs(2)).await;

    let expected: Vec<String> = (0..150).map(|number: u32| number.to_string()).collect();
    assert_eq!(waiting(&story).await, expected);
    assert!(story.fetches() - before <= 4, "{} reads", story.fetches() - before);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_refused_or_silent_leaves_the_polls_of_always() {
    for switch in ["event_streams=refused", "event_streams=silent"] {
        let story = Setting::default().events().switch(switch).begin();
        begin(&story).await;
        story.pass(Duration::from_secs(33)).await;
        story.platform().user_sends(story.me.id, "hello");
        let sent = story.elapsed_ms();

        assert_eq!(waits(&story, 60).await["text"], "hello", "{switch}");

        assert!(story.elapsed_ms() - sent <= 5_010, "{switch}: {} ms", story.elapsed_ms() - sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_died_without_a_sign_costs_one_slow_minute() {
    let story = Setting::default().events().begin();
    begin(&story).await;
    story.platform().silence_streams();
    story.platform().user_sends(story.me.id, "during");
    let sent = story.elapsed_ms();
    let message = waits(&story, 60).await;
    assert_eq!(message["text"], "during");
    assert!(story.elapsed_ms() - sent <= 15_010, "{} ms", story.elapsed_ms() - sent);
    pops(&story, &message["activity_id"]).await;
    story.pass(Duration::from_secs(60)).await;

    story.platform().user_sends(story.me.id, "after");
    let sent = story.elapsed_ms();

    assert_eq!(waits(&story, 60).await["text"], "after");
    assert!(story.elapsed_ms() - sent <= AT_ONCE_MS, "{} ms", story.elapsed_ms() - sent);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_written_after_its_event_is_found_a_second_later() {
    let story = Setting::default().events().switch("inbox_push=true").begin();
    begin(&story).await;
    let echo = story.platform().push_peer("Echo", Script::Echo);
    story.asks("delegate_task_async", task(&echo, "hi")).await;
    let sent = story.elapsed_ms();

    let message = waits(&story, 60).await;

    assert_eq!((&message["kind"], &message["text"]), (&json!("delegation_result"), &json!("You said: hi")));
    assert!(story.elapsed_ms() - sent <= 1_100, "{} ms", story.elapsed_ms() - sent);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_stream_alone_is_noticed_at_once() {
    let story = Setting::default().events().begin();
    begin(&story).await;
    story.platform().close_streams();
    story.platform().user_sends(story.me.id, "between two streams");
    let sent = story.elapsed_ms();

    assert_eq!(waits(&story, 60).await["text"], "between two streams");

    assert!(story.elapsed_ms() - sent <= AT_ONCE_MS, "{} ms", story.elapsed_ms() - sent);
}

/// Fetches, beats, and hears.
async fn begin(story: &Story) {
    drop(story.appear());
    story.fetch().await;
    story.pass(Duration::from_secs(1)).await;
}
