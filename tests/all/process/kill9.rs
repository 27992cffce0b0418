//! What many kills do to the inbox; `make kill9` does it with more of them.

use anyhow::Result;
use molecule_tests::{
    kill9::{How, repeatedly, takeover},
    launch::Launch,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_and_repeat_one_message_each_at_most() -> Result<()> {
    let kills = repeatedly(Launch::new()?, 50, 500, &mut |_| {}).await?;

    assert_eq!(kills.messages, 500);
    assert!(kills.idle < 50, "no process got so far as to show a message: {kills:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_process_of_a_directory_takes_over_when_the_first_is_killed() -> Result<()> {
    let takeovers = takeover(Launch::new()?, 3, How::Killed, &mut |_| {}).await?;

    assert!(takeovers.messages >= 3, "{takeovers:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lead_goes_from_one_process_to_the_next_as_it_is_asked_for_and_nothing_is_lost() -> Result<()> {
    let takeovers = takeover(Launch::new()?, 10, How::Asked, &mut |_| {}).await?;

    assert!(takeovers.messages >= 10, "{takeovers:?}");
    Ok(())
}
