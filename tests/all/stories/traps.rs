//! The guest traps: whoever was calling hears it, and everything else goes on.

use molecule_tests::story::{Setting, Story};
use serde_json::json;
use standin::{
    Script,
    faults::{Effect, Fault},
};
use std::time::Duration;

use crate::props::{peeks, pops, task};

#[tokio::test(start_paused = true)]
async fn the_caller_hears_of_it_and_the_next_call_finds_a_fresh_guest() {
    let story = Setting::default().begin();
    story.platform().poll_peer("Research");
    story.process().flood();

    let lost = story.asks("list_peers", json!({})).await;
    let next = story.asks("list_peers", json!({})).await;

    assert!(lost.is_lost());
    assert!(lost.text().starts_with("the sandboxed tool logic stopped: "), "{}", lost.text());
    assert!(next.text().starts_with("- Research (ID: "), "{}", next.text());
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_end_and_send_nothing_twice() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let slow = Effect::Delay(Duration::from_secs(60));
    story.platform().inject(Fault::new(slow).method("POST").path("/workspaces/*/a2a"));
    let call = story.call("delegate_task", task(&echo, "hi"));
    story.pass(Duration::from_secs(1)).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());

    let begun = story.elapsed_ms();
    let orphan = call.await.unwrap();

    assert!(orphan.is_lost(), "{}", orphan.text());
    assert_eq!(story.elapsed_ms(), begun, "it does not wait for an answer that nobody understands");
    story.pass(Duration::from_secs(900)).await;
    assert_eq!(story.sent("POST", "/a2a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_ids_of_messages_are_new_in_a_fresh_guest() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    story.asks("delegate_task", task(&echo, "first")).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());

    story.asks("delegate_task", task(&echo, "second")).await;

    let sent = story.sent("POST", "/a2a");
    let ids: Vec<_> = sent.iter().map(|envelope| envelope.pointer("/params/message/messageId")).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids[0].is_some() && ids[0] != ids[1], "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn the_secret_on_disk_survives() {
    let story = Setting::default().begin();
    let beat = json!({ "platform_inbound_secret": "s1" });
    story.hears(&beat).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());

    story.hears(&beat).await;

    assert_eq!(story.secret().as_deref(), Some("s1"));
}

#[tokio::test(start_paused = true)]
async fn the_heartbeats_no_longer_tell_of_work_that_nobody_does() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let slow = Effect::Delay(Duration::from_secs(60));
    story.platform().inject(Fault::new(slow).method("POST").path("/workspaces/*/a2a").times(2));
    let calls = [1, 2].map(|_| story.call("delegate_task", task(&echo, "hi")));
    story.pass(Duration::from_secs(1)).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());
    for call in calls {
        assert!(call.await.unwrap().is_lost());
    }

    assert_eq!(story.process().working().last(), Some(&(0, String::new())));
    assert!(story.asks("delegate_task", task(&echo, "hi")).await.text().contains("You said: hi"));
    let [.., begun, ended] = &story.process().working()[..] else {
        panic!("{:?}", story.process().working())
    };
    assert_eq!((begun.0, ended.0), (1, 0), "and of later work they tell");
}

#[tokio::test(start_paused = true)]
async fn a_wait_begun_after_it_rests_until_a_message_comes() {
    let story = Story::new().await;
    for text in ["one", "two", "three"] {
        story.platform().user_sends(story.me.id, text);
    }
    story.pass(Duration::from_secs(6)).await;
    for message in peeks(&story).await {
        pops(&story, &message["activity_id"]).await;
    }
    let before = story.call("wait_for_message", json!({ "timeout_secs": 300 }));
    story.pass(Duration::from_secs(1)).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());
    assert!(before.await.unwrap().is_lost());

    let asked = story.process().asked().len();
    let wait = story.call("wait_for_message", json!({ "timeout_secs": 300 }));
    story.pass(Duration::from_secs(30)).await;
    assert!(story.process().asked().len() < asked + 45, "it does not spin");
    let begun = story.elapsed_ms();
    story.platform().user_sends(story.me.id, "four");

    assert_eq!(wait.await.unwrap().json()["text"], "four");
    assert!(story.elapsed_ms() - begun < 5_010, "{}", story.elapsed_ms() - begun);
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_is_opened_again_is_waited_for() {
    let story = Story::new().await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(6)).await;
    let id = peeks(&story).await[0]["activity_id"].clone();
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());

    assert_eq!(pops(&story, &id).await["removed"], true);
}
