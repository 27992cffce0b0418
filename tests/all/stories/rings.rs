//! An idle agent is rung for.

use std::time::Duration;

use molecule_runtime::guest::wire::WakeRules;
use molecule_tests::story::{Setting, Story};
use serde_json::json;

use crate::props::waits;

#[tokio::test(start_paused = true)]
async fn a_message_of_the_user_rings_once_it_is_on_disk_and_not_after_it_was_read() {
    let story = woken(rules()).await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(6)).await;

    let [(_, ring)] = &story.process().rings()[..] else { panic!("{:?}", story.process().rings()) };
    assert_eq!((ring.workspace, ring.unread, ring.from_users, ring.attempt), (0, 1, 1, 1));
    assert_eq!(ring.oldest_secs, Some(4), "it has waited for the poll, nearly five seconds");
    let asked = story.process().asked();
    let place = |what: &str| asked.iter().rposition(|asked| asked.starts_with(what)).unwrap();
    assert!(place("store") < place("ring 1"), "{asked:?}");

    story.asks("inbox_peek", json!({})).await;
    story.pass(Duration::from_secs(3_600)).await;
    assert_eq!(story.process().rings().len(), 1);
    assert_eq!(story.wake_states().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_open_takes_the_message_without_a_ring() {
    let story = woken(rules()).await;
    let wait = story.call("wait_for_message", json!({ "timeout_secs": 60 }));
    story.platform().user_sends(story.me.id, "hello");

    assert_eq!(wait.await.unwrap().json()["text"], "hello");

    story.pass(Duration::from_secs(3_600)).await;
    assert_eq!(story.process().rings(), []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_the_client_does_not_get_is_no_reading() {
    let story = woken(rules()).await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(6)).await;

    story.asks_in_vain("inbox_peek", json!({})).await;
    story.pass(Duration::from_secs(6)).await;

    let attempts: Vec<_> = story.process().rings().iter().map(|(_, ring)| ring.attempt).collect();
    assert_eq!(attempts, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_a_thousand_messages_costs_no_more_rings_than_allowed() {
    let story = woken(rules()).await;
    for n in 0..1_000 {
        story.platform().user_sends(story.me.id, &format!("message {n}"));
        story.pass(Duration::from_millis(60)).await;
    }

    let rings = story.process().rings();
    let from = rings[0].0;
    let in_first_minute = rings.iter().filter(|(at, _)| at - from < 60_000).count();
    assert!((2..=6).contains(&in_first_minute), "{rings:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_does_not_want_has_that_for_a_reason() {
    let story = woken(WakeRules { users: false, ..rules() }).await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(600)).await;

    assert_eq!(story.process().rings(), []);
    assert_eq!(story.wake_states().await, [("not-wanted".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_ring_that_the_host_could_not_pass_on_comes_again_and_counts_once() {
    let story = woken(rules()).await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(6)).await;

    let again = story.elapsed_ms() + 30_000;
    story.was_not_rung("muted", again).await;
    assert_eq!(story.wake_states().await, [("muted".to_owned(), 1)]);
    story.pass(Duration::from_secs(31)).await;

    let rings = story.process().rings();
    assert_eq!(rings.iter().map(|(_, ring)| ring.attempt).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(rings[1].0, again);
    assert_eq!(story.wake_states().await, [("rung".to_owned(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_an_earlier_process_left_are_rung_for() {
    let mut story = woken(rules()).await;
    story.platform().user_sends(story.me.id, "hello");
    waits(&story, 60).await;

    story.crash();
    story.fetch().await;
    assert_eq!(story.wake_states().await, [("off".to_owned(), 1)]);
    story.wakes(rules());
    story.pass(Duration::from_millis(10)).await;

    assert_eq!(story.process().rings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_has_trapped_rings_again() {
    let story = woken(rules()).await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(6)).await;
    story.process().flood();
    story.pass(Duration::from_secs(30)).await;
    assert!(story.process().rings().len() > 1);

    story.asks("inbox_peek", json!({})).await;
    let before = story.process().rings().len();
    story.pass(Duration::from_secs(600)).await;

    assert_eq!(story.process().rings().len(), before);
}

/// An agent that is rung for from the start.
async fn woken(rules: WakeRules) -> Story {
    let story = Setting::default().begin();
    story.fetch().await;
    story.wakes(rules);
    story.pass(Duration::from_millis(1)).await;
    story
}

fn rules() -> WakeRules {
    WakeRules { users: true, peers: None, most_a_minute: 6, batch_ms: 10_000 }
}
