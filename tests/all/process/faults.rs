//! A platform that misbehaves leaves a program that lives.

use std::{iter, time::Duration};

use anyhow::Result;
use molecule_tests::{process::Program, served::Served};
use serde_json::json;
use standin::{
    Headers, Response,
    faults::{Effect, Fault},
};

#[tokio::test]
async fn every_fault_of_the_platform_is_told_and_survived() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    let html = answer(200, "text/html", "<!doctype html><title>Sign in</title>");
    let faults = [
        ("a page instead of JSON", html),
        ("502", answer(502, "text/html", "<h1>Bad Gateway</h1>")),
        ("a broken document", answer(200, "application/json", "{\"peers\": [")),
        ("another shape", answer(200, "application/json", "7")),
        ("a redirect", answer(307, "text/plain", "")),
        ("closed before reading", Effect::CloseBeforeReading),
        ("closed after reading", Effect::CloseAfterReading),
        ("the answer lost", Effect::LoseAnswer),
    ];
    for (what, effect) in faults {
        // A GET that is cut off is tried again once.
        let fault = Fault::new(effect).method("GET").path("/registry/*/peers").times(2);
        platform.with(|platform| platform.inject(fault));

        let told = program.call("list_peers", json!({})).await?;
        platform.with(|platform| platform.clear_faults());
        let next = program.call("list_peers", json!({})).await?;

        assert!(told.failed() && !told.text().is_empty(), "{what}: {told:?}");
        assert!(!told.text().contains(&platform.me.token), "{what}: {told:?}");
        assert!(!next.failed(), "{what}: {next:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_that_is_not_there_is_waited_for() -> Result<()> {
    let platform = Served::start().await?;
    platform.with(|platform| {
        platform.inject(Fault::new(Effect::CloseAfterReading).path("/registry/register"));
        platform.inject(Fault::new(Effect::CloseAfterReading).path("/workspaces/"));
    });
    let mut program = Program::start(&platform.launch()?)?;

    program.call("inbox_peek", json!({})).await?;

    platform.until("another register", |platform| platform.count("POST /registry/register") == 2).await?;
    let fetches = format!("GET /workspaces/{}/activity", platform.me.id);
    platform.until("another fetch", |platform| platform.count(&fetches) >= 2).await?;
    assert!(!program.call("list_peers", json!({})).await?.failed());
    Ok(())
}

#[tokio::test]
async fn a_slow_platform_delays_nobody_else() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.call("inbox_peek", json!({})).await?;
    platform.hears("POST /registry/heartbeat").await?;
    let slow = Fault::new(Effect::Delay(Duration::from_secs(3_600))).path("/").times(u64::MAX);
    platform.with(|platform| platform.inject(slow));

    program.ask_tool("list_peers", json!({})).await?;
    let peek = program.call("inbox_peek", json!({})).await?;

    assert_eq!(peek.json()["messages"], json!([]));
    Ok(())
}

fn answer(status: u16, kind: &str, body: &'static str) -> Effect {
    let headers: Headers = iter::once(("Content-Type", kind)).collect();
    Effect::Answer(Response { status, headers, body: body.into() })
}
