//! `send_message_to_user`.

use std::time::Duration;

use molecule_tests::story::{Said, Setting, Story};
use serde_json::{Value, json};
use standin::{
    Level,
    faults::{Effect, Fault},
};

use crate::props::LEVELS;

#[tokio::test(start_paused = true)]
async fn the_user_reads_what_the_agent_wrote() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();

        let answer = says(&story, "héllo").await;

        assert_eq!((answer.text(), answer.failed()), ("Message sent to user", false));
        assert_eq!(notifies(&story), [json!({ "message": "héllo" })]);
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_uploaded_and_shown_with_the_message() {
    let story = Setting::default().file("/tmp/a.txt", "first").file("/tmp/b.txt", "second").begin();

    let answer = with_files(&story, json!(["/tmp/a.txt", { "path": "/tmp/b.txt" }])).await;

    assert_eq!(answer.text(), "Message sent to user with 2 attachment(s)");
    let notified = notifies(&story);
    let files = notified[0]["attachments"].as_array().unwrap();
    assert_eq!(files.len(), 2);
    assert_eq!((&files[0]["name"], &files[0]["size"]), (&json!("a.txt"), &json!(5)));
    assert!(files[1]["uri"].as_str().unwrap().starts_with("platform-pending:"), "{files:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_of_files_may_be_a_text_and_what_is_no_path_stops_everything() {
    let story = Setting::default().file("/tmp/a.txt", "first").begin();

    for files in [json!("/tmp/a.txt"), json!(r#"["/tmp/a.txt"]"#)] {
        let answer = with_files(&story, files).await;
        assert_eq!(answer.text(), "Message sent to user with 1 attachment(s)");
    }
    for files in [json!(["/tmp/a.txt", 5]), json!("['/tmp/a.txt']"), json!("/tmp/a.txt, /tmp/a.txt")] {
        assert!(with_files(&story, files).await.failed());
    }

    let notified = notifies(&story);
    assert_eq!(notified.len(), 2);
    assert!(notified.iter().all(|message| message["attachments"][0]["name"] == "a.txt"), "{notified:?}");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_takes_no_files_is_not_asked_twice_and_nothing_is_sent() {
    let story = Setting::default().level(Level::Baseline).file("/tmp/a.txt", "first").begin();

    let answer = with_files(&story, json!(["/tmp/a.txt"])).await;

    assert!(answer.failed());
    assert!(answer.text().starts_with("Error: chat/uploads returned 503"), "{}", answer.text());
    assert!(answer.text().contains("send the content as text"), "{}", answer.text());
    assert_eq!(story.sent("POST", "/chat/uploads").len(), 1);
    assert!(notifies(&story).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_may_not_be_read_stops_everything() {
    let story = Setting::default().file("/tmp/a.txt", "first").begin();

    let answer = with_files(&story, json!(["/tmp/a.txt", "/etc/shadow"])).await;

    assert!(answer.text().starts_with("Error: attachment not found: /etc/shadow"), "{}", answer.text());
    assert!(answer.text().contains("Nothing was sent"), "{}", answer.text());
    assert!(story.platform().requests(0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_message_is_refused_without_a_request() {
    let story = Setting::default().begin();
    let files: Vec<String> = (0..11).map(|number| format!("/tmp/{number}")).collect();

    for (arguments, why) in [
        (json!({ "message": "" }), "message is required"),
        (json!({}), "message is required"),
        (json!({ "message": ["hi"] }), "the argument message does not fit"),
        (json!({ "message": "x".repeat(1 << 20) }), "the message is too long"),
        (json!({ "message": "hi", "attachments": files }), "at most 10 attachments"),
    ] {
        let answer = story.asks("send_message_to_user", arguments).await;
        assert!(answer.failed() && answer.text().contains(why), "{}", answer.text());
    }
    assert!(story.platform().requests(0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_may_not_talk_is_told_whom_to_turn_to() {
    let story = Setting::default().begin();
    let me = story.me.id;
    story.platform().alter(me, |workspace| workspace.talk_to_user_enabled = false);

    let answer = says(&story, "hi").await;

    assert!(answer.failed());
    assert!(answer.text().contains("talk_to_user_disabled"), "{}", answer.text());
    assert!(answer.text().contains("delegate_task"), "{}", answer.text());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_followed_by_a_second_message() {
    let story = Setting::default().begin();
    story.platform().inject(Fault::new(Effect::LoseAnswer).method("POST").path("/workspaces/*/notify"));

    let answer = says(&story, "hi").await;
    story.pass(Duration::from_secs(900)).await;

    assert!(answer.failed());
    assert!(answer.text().contains("Do not send it again"), "{}", answer.text());
    assert_eq!(story.sent("POST", "/notify").len(), 1);
    assert_eq!(story.platform().rows(story.me.id).len(), 1, "the user has it");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_found_no_connection_is_tried_once_more() {
    let story = Setting::default().begin();
    story.process().disconnect(1);
    let answer = says(&story, "hi").await;
    assert_eq!((answer.text(), notifies(&story).len()), ("Message sent to user", 1));

    story.process().disconnect(2);
    let failed = says(&story, "hi").await;

    assert!(failed.failed() && failed.text().contains("Nothing was sent"), "{}", failed.text());
    assert_eq!(notifies(&story).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_told_with_the_time_to_wait() {
    let story = Setting::default().switch("rate_limit=1").begin();
    says(&story, "one").await;

    let answer = says(&story, "two").await;

    assert!(answer.text().starts_with("Error: platform returned 429"), "{}", answer.text());
    assert!(answer.text().contains("This is a rate limit: try again in "), "{}", answer.text());
    assert_eq!(notifies(&story).len(), 1);
}

async fn says(story: &Story, message: &str) -> Said {
    story.asks("send_message_to_user", json!({ "message": message })).await
}

async fn with_files(story: &Story, files: Value) -> Said {
    story.asks("send_message_to_user", json!({ "message": "see", "attachments": files })).await
}

fn notifies(story: &Story) -> Vec<Value> {
    story.platform().notifies(story.me.id)
}
