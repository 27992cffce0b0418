//! When the outward work begins, and in which order.

use std::time::Duration;

use anyhow::Result;
use molecule_tests::{process::Program, served::Served};
use serde_json::json;
use standin::faults::{Effect, Fault};
use tokio::time::Instant;

#[tokio::test]
async fn a_finished_handshake_is_a_session_after_a_second() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    let start = Instant::now();
    program.initialize().await?;

    platform.hears("POST /registry/register").await?;

    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_client_that_says_nothing_is_a_session_after_three_seconds() -> Result<()> {
    let platform = Served::start().await?;
    let start = Instant::now();
    let _program = Program::start(&platform.launch()?)?;

    platform.hears("POST /registry/register").await?;

    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_session_registers_beats_and_fetches() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    let me = platform.me.id;

    program.call("list_peers", json!({})).await?;

    platform.hears("POST /registry/heartbeat").await?;
    platform.hears(&format!("GET /workspaces/{me}/activity?type=a2a_receive&")).await?;
    assert_eq!(platform.count("POST /registry/register"), 1);
    assert_eq!(platform.with(|platform| platform.heartbeats(me).len()), 1);
    assert!(platform.with(|platform| platform.card(me).is_some()));
    Ok(())
}

#[tokio::test]
async fn no_beat_comes_before_the_register_has_ended() -> Result<()> {
    let platform = Served::start().await?;
    let held = Duration::from_millis(700);
    platform.with(|platform| platform.inject(Fault::new(Effect::Delay(held)).path("/registry/register")));
    let mut program = Program::start(&platform.launch()?)?;
    program.call("list_peers", json!({})).await?;

    platform.hears("POST /registry/heartbeat").await?;

    let at = |path: &str| {
        platform.with(|platform| {
            let requests = platform.requests(0);
            requests.iter().find(|entry| entry.request.path == path).map(|entry| entry.at)
        })
    };
    let (register, beat) = (at("/registry/register"), at("/registry/heartbeat"));
    let between = register.zip(beat).map(|(register, beat)| beat.since(register));
    assert!(between.is_some_and(|between| between >= held), "{between:?}");
    Ok(())
}

#[tokio::test]
async fn calls_do_not_wait_for_the_register() -> Result<()> {
    let platform = Served::start().await?;
    let hour = Duration::from_secs(3_600);
    platform.with(|platform| platform.inject(Fault::new(Effect::Delay(hour)).path("/registry/register")));
    let mut program = Program::start(&platform.launch()?)?;

    let peers = program.call("list_peers", json!({})).await?;

    assert!(!peers.failed(), "{peers:?}");
    Ok(())
}

#[tokio::test]
async fn the_secret_of_the_platform_is_kept_where_only_its_owner_reads_it() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.call("list_peers", json!({})).await?;
    let file = program.launch().configs().join(".platform_inbound_secret");

    platform.until("the secret on disk", |_| file.is_file()).await?;

    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    let directory = std::fs::metadata(program.launch().configs())?.permissions().mode() & 0o777;
    assert_eq!((format!("{mode:o}"), format!("{directory:o}")), ("600".to_owned(), "700".to_owned()));
    assert!(!std::fs::read_to_string(&file)?.is_empty());
    Ok(())
}

#[tokio::test]
async fn presence_and_inbox_can_be_switched_off() -> Result<()> {
    let platform = Served::start().await?;
    let launch =
        platform.launch()?.env("MOLECULE_MCP_DISABLE_HEARTBEAT", "1").env("MOLECULE_MCP_DISABLE_INBOX", "1");
    let mut program = Program::start(&launch)?;

    let inbox = program.call("inbox_peek", json!({})).await?;
    program.call("list_peers", json!({})).await?;

    assert!(inbox.text().contains("not enabled"), "{inbox:?}");
    assert_eq!(platform.requests(), [format!("GET /registry/{}/peers", platform.me.id)]);
    Ok(())
}

#[tokio::test]
async fn the_first_call_of_a_session_sees_what_waits_on_disk_and_on_the_platform() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id;
    let send = |text: &str| platform.with(|platform| platform.user_sends(me, text)).to_string();
    let ids = [send("one")];
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let first = program.call("inbox_peek", json!({})).await?;
    assert!(first.text().contains(&ids[0]), "{first:?}");

    program.signal(rustix::process::Signal::KILL)?;
    program.exit().await?;
    let mut again = program.again()?;
    again.initialize().await?;
    let popped = again.call("inbox_pop", json!({ "activity_id": ids[0] })).await?;

    assert_eq!(popped.json(), json!({ "removed": true, "activity_id": ids[0] }));
    let late = send("two");
    again.signal(rustix::process::Signal::KILL)?;
    again.exit().await?;
    let mut third = again.again()?;
    let looked = third.call("wait_for_message", json!({ "timeout_secs": 0 })).await?;
    assert_eq!(looked.json()["activity_id"], json!(late));
    Ok(())
}

#[tokio::test]
async fn an_outage_from_the_start_is_no_empty_inbox() -> Result<()> {
    let mut platform = Served::start().await?;
    let launch = platform.launch()?;
    platform.stop().await?;
    let mut program = Program::start(&launch)?;

    let peeked = program.call("inbox_peek", json!({})).await?;

    let told = peeked.json()["platform"].as_str().unwrap_or_default().to_owned();
    assert!(told.starts_with("The platform cannot be reached for "), "{peeked:?}");
    Ok(())
}
