//! The secret by which the platform identifies itself to the agent.

use molecule_runtime::guest::wire::Level as LogLevel;
use molecule_tests::story::Setting;
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_secret_is_stored_once() {
    let story = Setting::default().begin();

    for _ in 0..3 {
        story.hears(&beat("s1")).await;
    }

    assert_eq!((story.secret().as_deref(), story.writes()), (Some("s1"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_replaces_the_old_one() {
    let story = Setting::default().begin();
    story.hears(&beat("s1")).await;

    story.hears(&beat("s2")).await;

    assert_eq!((story.secret().as_deref(), story.writes()), (Some("s2"), 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_secret_changes_nothing() {
    let story = Setting::default().begin();
    story.hears(&beat("s1")).await;

    for nonsense in [
        json!({}),
        json!({ "platform_inbound_secret": "" }),
        json!({ "platform_inbound_secret": null }),
        json!({ "platform_inbound_secret": 5 }),
        json!({ "platform_inbound_secret": "two words" }),
        json!({ "platform_inbound_secret": "line\nbreak" }),
        json!({ "platform_inbound_secret": "x".repeat(5_000) }),
        json!([{ "platform_inbound_secret": "s2" }]),
        json!("s2"),
    ] {
        story.hears(&nonsense).await;
    }

    assert_eq!((story.secret().as_deref(), story.writes()), (Some("s1"), 1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_failed_is_tried_again_by_the_next_beat() {
    let story = Setting::default().begin();
    story.disk_trouble(Some("disk full"));
    story.hears(&beat("s1")).await;
    assert_eq!(story.secret(), None);
    assert!(story.process().logged(LogLevel::Warn)[0].contains("disk full"));

    story.disk_trouble(None);
    story.hears(&beat("s1")).await;

    assert_eq!(story.secret().as_deref(), Some("s1"));
}

#[tokio::test(start_paused = true)]
async fn what_was_on_disk_before_the_start_is_not_written_again() {
    let mut story = Setting::default().begin();
    story.hears(&beat("s1")).await;
    story.crash();
    story.remembers_its_secret().await;

    story.hears(&beat("s1")).await;

    assert_eq!(story.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_sides_that_fight_over_the_secret_are_noticed_once_an_hour() {
    let story = Setting::default().begin();

    for number in 0..30 {
        story.hears(&beat(&format!("s{number}"))).await;
    }

    let warned = story.process().logged(LogLevel::Warn);
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("changed the inbound secret more than 10 times"), "{warned:?}");
    assert_eq!(story.secret().as_deref(), Some("s29"));
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_logged() {
    let story = Setting::default().begin();

    story.hears(&beat("s3cr3t-0123456789")).await;
    story.disk_trouble(Some("disk full"));
    story.hears(&beat("s3cr3t-9876543210")).await;

    let log = [LogLevel::Error, LogLevel::Warn, LogLevel::Info].map(|level| story.process().logged(level));
    assert!(!log.concat().concat().contains("s3cr3t"), "{log:?}");
}

fn beat(secret: &str) -> Value {
    json!({ "status": "ok", "platform_inbound_secret": secret })
}
