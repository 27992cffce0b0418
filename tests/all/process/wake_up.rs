//! A message wakes the agent at once where the platform's events come through, and soon where they do not.

use std::time::Duration;

use anyhow::Result;
use molecule_tests::{process::Program, served::Served};
use serde_json::json;
use standin::Level;
use tokio::time::{self, Instant};

/// Far from the 5 s between two polls, also on a busy machine. The bench holds the budget.
const AT_ONCE: Duration = Duration::from_secs(2);
/// The interval of polls, and the time for one of them.
const AT_THE_NEXT_POLL: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_message_is_answered_long_before_the_next_poll() -> Result<()> {
    for level in Level::ALL {
        let platform = Served::start_with(level, &[]).await?;
        let mut program = listening(&platform).await?;
        for round in 0..5 {
            let took = answer(&platform, &mut program, &format!("message {round}")).await?;

            assert!(took < AT_ONCE, "{level:?}, {round}: {took:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn without_events_a_message_is_answered_at_the_next_poll() -> Result<()> {
    for streams in ["event_streams=refused", "event_streams=silent"] {
        let platform = Served::start_with(Level::Later, &[streams]).await?;
        let mut program = Program::start(&platform.launch()?)?;
        program.initialize().await?;
        platform.hears(&stream_of(&platform)).await?;

        let took = answer(&platform, &mut program, "hello").await?;

        assert!(took < AT_THE_NEXT_POLL, "{streams}: {took:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_that_broke_is_opened_again_and_wakes_again() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = listening(&platform).await?;
    platform.with(|platform| platform.close_streams());
    platform
        .until("another stream", |platform| platform.with(|platform| platform.open_streams()) == 1)
        .await?;

    let took = answer(&platform, &mut program, "hello").await?;

    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(platform.count(&stream_of(&platform)), 2);
    Ok(())
}

#[tokio::test]
async fn there_is_one_stream_and_it_ends_with_the_program_at_once() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = listening(&platform).await?;
    program.call("list_peers", json!({})).await?;
    assert_eq!(platform.count(&stream_of(&platform)), 1);

    program.end_input();
    program.exit_within(AT_ONCE).await?;

    platform.until("no stream", |platform| platform.with(|platform| platform.open_streams()) == 0).await
}

#[tokio::test]
async fn nobody_listens_before_a_session_or_where_the_inbox_is_off() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let idle = Program::start(&launch)?;
    let mut off = Program::start(&launch.env("MOLECULE_MCP_DISABLE_INBOX", "1"))?;
    off.initialize().await?;
    off.call("list_peers", json!({})).await?;
    platform.hears("POST /registry/heartbeat").await?;
    time::sleep(Duration::from_millis(300)).await;

    assert_eq!(platform.count(&stream_of(&platform)), 0);
    drop(idle);
    Ok(())
}

#[tokio::test]
async fn a_platform_that_shuts_down_does_not_wait_for_the_stream() -> Result<()> {
    let mut platform = Served::start().await?;
    let mut program = listening(&platform).await?;
    platform.hears("GET /health").await?;

    let took = platform.leave().await?;

    assert!(took < AT_ONCE, "{took:?}");
    platform.serve_again().await?;
    platform.until("another stream", |platform| platform.count(&stream_of(platform)) == 2).await?;
    assert!(answer(&platform, &mut program, "back again").await? < AT_ONCE);
    Ok(())
}

/// A program whose stream is open.
async fn listening(platform: &Served) -> Result<Program> {
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    platform.until("a stream", |platform| platform.with(|platform| platform.open_streams()) == 1).await?;
    Ok(program)
}

/// Sends a message and deals with it; gives the time until it was shown.
async fn answer(platform: &Served, program: &mut Program, text: &str) -> Result<Duration> {
    let wait = program.ask_tool("wait_for_message", json!({ "timeout_secs": 60 })).await?;
    let sent = Instant::now();
    platform.with(|standin| standin.user_sends(platform.me.id, text));
    let message = program.said(&wait).await?.json();
    let took = sent.elapsed();
    assert_eq!(message["text"], text);
    program.call("inbox_pop", json!({ "activity_id": message["activity_id"] })).await?;
    Ok(took)
}

fn stream_of(platform: &Served) -> String {
    format!("GET /workspaces/{}/events/stream", platform.me.id)
}
