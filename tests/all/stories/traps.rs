//! The guest traps: whoever was calling hears it, and everything else goes on.

use molecule_tests::story::Setting;
use serde_json::json;
use standin::{
    Script,
    faults::{Effect, Fault},
};
use std::time::Duration;

use crate::props::task;

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

    let orphan = call.await.unwrap();

    assert!(orphan.failed(), "{}", orphan.text());
    story.pass(Duration::from_secs(900)).await;
    assert_eq!(story.sent("POST", "/a2a").len(), 1);
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
