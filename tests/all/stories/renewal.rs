//! After large messages a new instance of the component takes the place of the one that has grown.

use std::time::Duration;

use molecule_tests::story::Story;
use serde_json::json;
use standin::{
    Script,
    faults::{Effect, Fault},
};

use crate::props::{peeks, pops, task};

/// A message that makes the component grow.
const LARGE: usize = 6 << 20;

/// Rows are fetched again for two minutes, and then the poller has to have looked once more.
const SETTLED: Duration = Duration::from_secs(180);

#[tokio::test(start_paused = true)]
async fn memory_is_given_back_once_a_large_message_is_handled() {
    let story = Story::new().await;
    let small = story.memory();
    handle_a_large_message(&story).await;
    let large = story.memory();

    assert!(story.renews().await);

    assert!(large > 4 * small, "{small} to {large}");
    assert!(story.memory() < 2 * small, "{small} to {}", story.memory());
    story.platform().user_sends(story.me.id, "next");
    story.pass(Duration::from_secs(10)).await;
    let waiting = peeks(&story).await;
    assert_eq!(waiting.iter().map(|message| &message["text"]).collect::<Vec<_>>(), ["next"]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_a_message_that_waits_stays() {
    let story = Story::new().await;
    handle_a_large_message(&story).await;
    story.platform().user_sends(story.me.id, "waits");
    story.pass(Duration::from_secs(6)).await;
    peeks(&story).await;
    let large = story.memory();

    assert!(!story.renews().await);

    assert_eq!(story.memory(), large);
    let again = peeks(&story).await.remove(0);
    assert_eq!((&again["text"], &again["redelivered"]), (&json!("waits"), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn an_instance_with_a_call_under_way_stays() {
    let story = Story::new().await;
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let slow = Effect::Delay(Duration::from_secs(60));
    story.platform().inject(Fault::new(slow).method("POST").path("/workspaces/*/a2a"));
    for call in [
        story.call("wait_for_message", json!({ "timeout_secs": 50 })),
        story.call("delegate_task", task(&echo, "hi")),
    ] {
        story.pass(Duration::from_secs(1)).await;

        assert!(!story.renews().await);

        assert!(!call.await.unwrap().is_lost());
    }
    assert!(story.renews().await);
}

#[tokio::test(start_paused = true)]
async fn names_of_peers_are_known_to_the_new_instance() {
    let story = Story::new().await;
    let peer = story.platform().poll_peer("Research");
    story.asks("list_peers", json!({})).await;

    assert!(story.renews().await);

    story.platform().peer_sends(peer.id, story.me.id, "hi");
    story.pass(Duration::from_secs(10)).await;
    assert_eq!(peeks(&story).await[0]["peer_name"], "Research");
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_around_a_renewal_are_shown_once() {
    let story = Story::new().await;
    for round in 0..8 {
        story.pass(SETTLED + Duration::from_millis(round * 997)).await;
        let text = format!("message {round}");
        if round % 2 == 0 {
            story.platform().user_sends(story.me.id, &text);
            story.renews().await;
        } else {
            assert!(story.renews().await, "{round}");
            story.platform().user_sends(story.me.id, &text);
        }
        story.pass(Duration::from_secs(17)).await;

        let waiting = peeks(&story).await;
        assert_eq!(waiting.iter().map(|message| &message["text"]).collect::<Vec<_>>(), [&json!(text)]);
        pops(&story, &waiting[0]["activity_id"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_instance_fetches_no_message_again() {
    let story = Story::new().await;
    handle_a_large_message(&story).await;
    assert!(story.renews().await);
    story.pass(SETTLED).await;

    assert!(story.memory() < LARGE, "{}", story.memory());
}

async fn handle_a_large_message(story: &Story) {
    story.platform().user_sends(story.me.id, &"x".repeat(LARGE));
    story.pass(Duration::from_secs(6)).await;
    for message in peeks(story).await {
        pops(story, &message["activity_id"]).await;
    }
    story.pass(SETTLED).await;
}
