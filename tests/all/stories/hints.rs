//! What a process hears of the platform's events, and when a pause for them ends.

use std::time::Duration;

use molecule_runtime::{
    driver::Ports,
    guest::wire::{Listen, Outcome},
};
use molecule_tests::story::{Setting, Story};

#[tokio::test(start_paused = true)]
async fn a_message_ends_the_pause_within_milliseconds() {
    let story = listening().await;
    let begun = story.elapsed_ms();
    story.platform().user_sends(story.me.id, "hello");

    assert_eq!(listen(&story, 1).await, Some(2));

    assert_eq!(story.elapsed_ms() - begun, 3);
}

#[tokio::test(start_paused = true)]
async fn a_message_between_two_pauses_is_not_missed() {
    let story = listening().await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(3)).await;
    let begun = story.elapsed_ms();

    assert_eq!(listen(&story, 1).await, Some(2));

    assert_eq!(story.elapsed_ms(), begun);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_platform_stores_later_is_heard_then() {
    let story = Setting::default().events().switch("insert_delay_ms=700").begin();
    listen(&story, 0).await;
    let begun = story.elapsed_ms();
    let peer = story.platform().poll_peer("peer");
    story.platform().peer_sends(peer.id, story.me.id, "hello");

    listen(&story, 1).await;

    assert!((3..=704).contains(&(story.elapsed_ms() - begun)), "{}", story.elapsed_ms() - begun);
}

#[tokio::test(start_paused = true)]
async fn without_hints_the_pause_is_longer_where_events_come_in() {
    for (story, pause) in [(listening().await, 15_000), (Setting::default().begin(), 5_000)] {
        let begun = story.elapsed_ms();

        listen(&story, 1).await;

        assert_eq!(story.elapsed_ms() - begun, pause);
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_stream_and_its_return_are_hints() {
    let story = listening().await;
    story.bring_events(false);
    assert_eq!(listen(&story, 1).await, Some(2));
    assert_eq!(story.platform().open_streams(), 0);
    story.bring_events(true);
    let begun = story.elapsed_ms();

    assert_eq!(listen(&story, 2).await, Some(3));

    assert!(story.elapsed_ms() - begun <= 1_300, "{}", story.elapsed_ms() - begun);
}

#[tokio::test(start_paused = true)]
async fn the_stream_of_a_crashed_process_ends_with_it() {
    let mut story = listening().await;
    assert_eq!(story.platform().open_streams(), 1);

    story.crash();
    story.pass(Duration::from_millis(1)).await;

    assert_eq!(story.platform().open_streams(), 0);
}

/// A process that has heard the beginning of its stream.
async fn listening() -> Story {
    let story = Setting::default().events().begin();
    assert_eq!(listen(&story, 0).await, Some(1));
    story
}

/// How many hints there were since the start, once the pause is over.
async fn listen(story: &Story, hints_over: u64) -> Option<u64> {
    let now = story.elapsed_ms();
    let listen = Listen { workspace: 0, hints_over, until: now + 5_000, until_with_events: now + 15_000 };
    let Outcome::Heard(count) = story.process().listen(listen).await else { return None };
    Some(count)
}
