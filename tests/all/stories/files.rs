//! Files that the user sends from the canvas.

use std::time::Duration;

use molecule_tests::story::{Setting, Story};
use serde_json::json;
use standin::{
    Level,
    faults::{Effect, Fault},
};

use crate::props::{peeks, pops, waiting, waits};

const CONTENT: &str = "/workspaces/*/pending-uploads";

#[tokio::test(start_paused = true)]
async fn a_file_with_text_is_one_message_with_a_path_and_its_bytes_are_on_disk() {
    for level in [Level::Later, Level::Newest] {
        let story = Setting::default().level(level).begin();
        story.fetch().await;
        let file = story.user_sends_file("plan.txt", "the plan");
        says_with(&story, "look", &[&file]);

        let message = waits(&story, 60).await;

        assert_eq!((&message["text"], peeks(&story).await.len()), (&json!("look"), 1), "{message}");
        let attachment = &message["attachments"][0];
        let path = attachment["path"].as_str().unwrap();
        assert_eq!(attachment["uri"], format!("file://{path}"));
        assert_eq!((&attachment["name"], &attachment["bytes"]), (&json!("plan.txt"), &json!(8)));
        assert_eq!(story.uploads()[path], "the plan");
    }
}

#[tokio::test(start_paused = true)]
async fn the_platform_keeps_a_file_until_its_message_is_popped() {
    let story = Story::new().await;
    let file = story.user_sends_file("a.txt", "one");
    says_with(&story, "look", &[&file]);
    let message = waits(&story, 60).await;
    story.pass(Duration::from_secs(600)).await;
    assert_eq!(acknowledged(&story), 0);

    pops(&story, &message["activity_id"]).await;
    story.pass(Duration::from_secs(1)).await;

    assert_eq!(acknowledged(&story), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_alone_is_a_message_that_says_where_it_is() {
    let story = Story::new().await;
    story.user_sends_file("a.txt", "one");

    let message = waits(&story, 60).await;

    let path = message["attachments"][0]["path"].as_str().unwrap();
    assert_eq!(message["text"], format!("(no text, 1 attachment: a.txt at {path})"));
    assert_eq!(story.uploads()[path], "one");
}

#[tokio::test(start_paused = true)]
async fn own_files_are_left_to_the_user() {
    let mut story = Setting::default().file("/tmp/a.txt", "first").begin();
    story.fetch().await;
    story.asks("send_message_to_user", json!({ "message": "see", "attachments": ["/tmp/a.txt"] })).await;
    // The row has not been seen by the time of the crash.
    story.crash();
    story.fetch().await;
    story.pass(Duration::from_secs(60)).await;

    assert_eq!(waiting(&story).await, [""; 0]);
    assert_eq!((fetched(&story), acknowledged(&story)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_fails_is_tried_again() {
    let story = Story::new().await;
    story.platform().inject(Fault::new(busy()).method("GET").path(CONTENT).times(4));
    let file = story.user_sends_file("a.txt", "one");
    says_with(&story, "look", &[&file]);

    let message = waits(&story, 60).await;
    let attachment = &message["attachments"][0];
    assert_eq!(attachment["uri"], file);
    assert!(attachment["not_here"].as_str().unwrap().contains("HTTP 503"), "{attachment}");
    story.pass(Duration::from_secs(300)).await;

    let attachment = peeks(&story).await[0]["attachments"][0].clone();
    assert_eq!(story.uploads()[attachment["path"].as_str().unwrap()], "one");
}

#[tokio::test(start_paused = true)]
async fn a_slow_file_delays_no_other_message() {
    let story = Story::new().await;
    story.process().slow_contents(Duration::from_secs(600));
    let file = story.user_sends_file("a.txt", "one");
    says_with(&story, "look", &[&file]);
    story.platform().user_sends(story.me.id, "never mind");

    let first = waits(&story, 10).await;

    assert_eq!(first["text"], "never mind");
    story.pass(Duration::from_secs(60)).await;
    assert_eq!(waiting(&story).await, ["look", "never mind"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_too_large_is_told() {
    let story = Story::new().await;
    let file = story.user_sends_file("a.txt", &"x".repeat(1_001));
    says_with(&story, "look", &[&file]);

    let message = waits(&story, 60).await;

    let why = message["attachments"][0]["not_here"].as_str().unwrap();
    assert!(why.contains("1001 bytes"), "{why}");
    pops(&story, &message["activity_id"]).await;
    story.pass(Duration::from_secs(60)).await;
    assert_eq!(acknowledged(&story), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_and_costs_no_file() {
    let story = Story::new().await;
    story.disk_trouble(Some("no space left on device"));
    let file = story.user_sends_file("a.txt", "one");
    says_with(&story, "look", &[&file]);

    let message = waits(&story, 60).await;
    let why = message["attachments"][0]["not_here"].as_str().unwrap().to_owned();
    assert!(why.contains("no space left on device"), "{why}");
    story.disk_trouble(None);
    story.pass(Duration::from_secs(300)).await;

    assert!(peeks(&story).await[0]["attachments"][0]["path"].is_string());
    assert_eq!(acknowledged(&story), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crash_before_the_acknowledgement_is_made_good() {
    let mut story = Story::new().await;
    story.platform().inject(Fault::new(busy()).method("POST").path(CONTENT).times(1));
    let file = story.user_sends_file("a.txt", "one");
    says_with(&story, "look", &[&file]);
    let message = waits(&story, 60).await;
    pops(&story, &message["activity_id"]).await;
    story.pass(Duration::from_secs(1)).await;
    assert_eq!(acknowledged(&story), 0);

    story.crash();
    story.fetch().await;
    story.pass(Duration::from_secs(10)).await;

    assert_eq!((acknowledged(&story), fetched(&story)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_trap_in_between_fetches_nothing_twice() {
    let story = Story::new().await;
    let file = story.user_sends_file("a.txt", "one");
    says_with(&story, "look", &[&file]);
    waits(&story, 60).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());
    story.pass(Duration::from_secs(30)).await;

    let messages = peeks(&story).await;

    assert!(messages[0]["attachments"][0]["path"].is_string(), "{messages:?}");
    assert_eq!((messages.len(), fetched(&story)), (1, 1));
}

/// The user says something with files, by their addresses.
fn says_with(story: &Story, text: &str, files: &[&str]) {
    story.platform().user_sends_with(story.me.id, text, files);
}

fn busy() -> Effect {
    Effect::Answer(standin::Response::empty(503))
}

/// How often the platform gave a content.
fn fetched(story: &Story) -> usize {
    granted(story, "/content")
}

/// How many acknowledgements the platform has taken.
fn acknowledged(story: &Story) -> usize {
    granted(story, "/ack")
}

fn granted(story: &Story, end_of_path: &str) -> usize {
    let platform = story.platform();
    let requests = platform.requests(0);
    let granted = requests.iter().filter(|entry| entry.status == Some(200));
    granted.filter(|entry| entry.request.path.ends_with(end_of_path)).count()
}
