//! What the platform answers: its health, the workspace, the token, the event stream.

use anyhow::Result;
use molecule_tests::{launch::Launch, process::Program, served::Served};
use serde_json::{Value, json};
use standin::{
    Headers, Level, Response,
    faults::{Effect, Fault},
};

use super::{Diagnosis, Server, answer, finds, json_answer, run, to};

#[tokio::test]
async fn a_healthy_set_up_has_nothing_to_say_against_it() -> Result<()> {
    for (level, words) in
        [(Level::Baseline, "April 2026"), (Level::Later, "May 2026"), (Level::Newest, "June 2026")]
    {
        let platform = Served::start_with(level, &[]).await?;
        let launch = platform.launch()?;
        launch.write_config("kept", "")?;

        let found = Diagnosis::of(&launch).await?;

        found.has_nothing_but(&[])?;
        for (id, said) in [
            ("settings-read", "1"),
            ("system-gives", "component"),
            ("directory-usable", "configs"),
            ("network-reached", "answers after"),
            ("health-good", "HTTP 200"),
            ("rate-left", "600"),
            ("clock-right", "platform"),
            ("level-known", words),
            ("beat-accepted", "accepted"),
            ("gate-open", "read"),
            ("events-open", "heartbeat"),
            ("process-none", "no program"),
            ("inbox-good", "nothing is kept"),
            ("start-good", "answers after"),
            ("token-from", "MOLECULE_WORKSPACE_TOKEN"),
            ("token-inline", "environment"),
        ] {
            found.has(id, &[said])?;
        }
        assert!(!found.report.to_string().contains(&platform.me.token));
        let people = String::from_utf8(run(&launch, &[]).await?.stdout)?;
        assert!(people.contains("\nAll is well.\n") && !people.contains('\u{1b}'), "{people}");
        assert!(!people.contains(&platform.me.token));
    }
    Ok(())
}

#[tokio::test]
async fn it_changes_nothing_on_the_platform_but_the_time_of_a_heartbeat() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id;
    platform.with(|world| {
        world.alter(me, |workspace| {
            workspace.beat.uptime_seconds = 77;
            workspace.beat.active_tasks = 3;
        });
    });

    Diagnosis::of(&platform.launch()?).await?.has("beat-accepted", &[])?;

    let beats = platform.with(|world| world.heartbeats(me));
    assert_eq!(beats.len(), 1);
    assert_eq!((&beats[0]["uptime_seconds"], &beats[0]["active_tasks"]), (&json!(77), &json!(3)));
    let posts: Vec<_> = platform.requests().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(posts, ["POST /registry/heartbeat"]);
    assert_eq!(platform.launch()?.left_behind()?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn answers_that_are_no_health() -> Result<()> {
    let page = answer("200 OK", "", "text/html", "<!doctype html><title>Sign in</title>");
    let moved = answer("301 Moved", "location: https://www.acme.example/health\r\n", "text/html", "");
    let missing = answer("404 Not Found", "", "text/plain", "404 page not found");
    let ill = json_answer("503 Service Unavailable", &json!({"error": "database"}));
    let spent = json_answer("429 Too Many Requests", &json!({"error": "rate limit exceeded"}));
    for (health, id, words) in [
        (page, "health-page", "HTTP 200"),
        (moved, "health-redirect", "https://www.acme.example/health"),
        (missing, "health-missing", "HTTP 404"),
        (ill, "health-failed", "database"),
        (spent, "rate-spent", "HTTP 429"),
    ] {
        let server = Server::start(None, &[("/health", health)]).await?;

        let found = Diagnosis::of(&to(&server.url())?).await?;

        found.has(id, &[words])?.lacks("gate-open")?.lacks("beat-failed")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_limit_on_requests_that_is_nearly_reached() -> Result<()> {
    let platform = Served::start_with(Level::Later, &["rate_limit=40", "rate_window_s=600"]).await?;
    let launch = platform.launch()?;
    for _ in 0..40 {
        let found = Diagnosis::of(&launch).await?;
        if !found.seen("rate-low").is_empty() {
            found.has("rate-low", &["of 40 requests"])?;
            return Ok(());
        }
    }
    anyhow::bail!("never low")
}

#[tokio::test]
async fn a_clock_that_differs() -> Result<()> {
    let late = answer("200 OK", "date: Fri, 01 May 2026 12:00:00 GMT\r\n", "application/json", "{}");
    let server = Server::start(None, &[("/health", late)]).await?;

    finds(&to(&server.url())?, "clock-off", &["ahead of the platform's"]).await
}

#[tokio::test]
async fn a_token_that_is_refused() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_WORKSPACE_TOKEN", "no-token-of-this-platform");

    let found = Diagnosis::of(&launch).await?;

    found.has("token-refused", &["HTTP 401"])?.has("gate-closed", &["refused"])?;
    Ok(())
}

/// The platform takes heartbeats for an id that it does not know, whatever the token is.
#[tokio::test]
async fn a_workspace_that_is_another_one_is_told_although_heartbeats_are_taken() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("WORKSPACE_ID", "99999999-0000-4000-8000-000000000000");

    let found = Diagnosis::of(&launch).await?;

    found.has("gate-closed", &["refused"])?.has("beat-accepted", &[])?;
    Ok(())
}

#[tokio::test]
async fn heartbeats_that_are_not_taken() -> Result<()> {
    for (status, id, words) in [
        (404, "workspace-unknown", "HTTP 404"),
        (410, "workspace-removed", "HTTP 410"),
        (503, "beat-failed", "HTTP 503"),
    ] {
        let platform = Served::start().await?;
        fault(&platform, "/registry/heartbeat", Response::empty(status));

        finds(&platform.launch()?, id, &[words]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn calls_of_the_workspace_that_are_answered_by_something_else() -> Result<()> {
    let hosted = Served::start_with(Level::Later, &["org_id=acme"]).await?;
    finds(&hosted.launch()?, "gate-in-front", &["HTTP 404"]).await?;
    Diagnosis::of(&hosted.launch()?.env("MOLECULE_ORG_ID", "acme")).await?.has("gate-open", &[])?;

    let platform = Served::start().await?;
    fault(&platform, "/workspaces/*/activity", json(500, &json!({"error": "query failed"})));
    finds(&platform.launch()?, "gate-unknown", &["query failed"]).await
}

#[tokio::test]
async fn a_workspace_that_is_not_external() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id;
    platform.with(|world| world.alter(me, |workspace| workspace.runtime = "langgraph".to_owned()));

    finds(&platform.launch()?, "runtime-other", &["langgraph"]).await
}

#[tokio::test]
async fn messages_that_are_delivered_elsewhere() -> Result<()> {
    let platform = Served::start().await?;
    let pushed = json!({"status": "registered", "delivery_mode": "push"});
    fault(&platform, "/registry/register", json(200, &pushed));
    let mut program = Program::start(&platform.launch()?)?;
    program.call("list_peers", json!({})).await?;
    program.complains("`push`").await?;
    answers(program.launch()).await?;

    finds(program.launch(), "mode-push", &["push"]).await
}

#[tokio::test]
async fn event_streams_that_are_absent_silent_or_broken() -> Result<()> {
    for (how, id) in [("refused", "events-absent"), ("silent", "events-silent")] {
        let platform = Served::start_with(Level::Later, &[&format!("event_streams={how}")]).await?;

        finds(&platform.launch()?, id, &[]).await?;
    }
    let platform = Served::start().await?;
    fault(&platform, "/workspaces/*/events", Response::empty(503));
    finds(&platform.launch()?, "events-failed", &["HTTP 503"]).await
}

#[tokio::test]
async fn an_event_stream_without_our_own_heartbeat() -> Result<()> {
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: ping\n\n".to_owned();
    let good = json_answer("200 OK", &json!({"status": "ok"}));
    let workspace = "/workspaces/00000000-0000-4000-8000-000000000000";
    let events = format!("{workspace}/events");
    let server = Server::start(
        None,
        &[(&events, stream), ("/health", good.clone()), ("/registry", good.clone()), (workspace, good)],
    )
    .await?;

    finds(&to(&server.url())?, "events-deaf", &["no event"]).await
}

#[tokio::test]
async fn without_heartbeats_none_is_sent() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_MCP_DISABLE_HEARTBEAT", "1");

    let found = Diagnosis::of(&launch).await?;

    found.has("beat-skipped", &["switched off"])?.has("events-quiet", &[])?.has("gate-open", &[])?;
    assert_eq!(platform.count("POST"), 0);
    Ok(())
}

/// Waits until a program of this launch answers questions.
pub(super) async fn answers(launch: &Launch) -> Result<()> {
    loop {
        let seen = crate::status::status(launch, &["--json"]).await?;
        if seen.status.code() == Some(0) {
            return Ok(());
        }
    }
}

/// Has the platform answer every such request in this way.
pub(super) fn fault(platform: &Served, path: &str, response: Response) {
    let fault = Fault::new(Effect::Answer(response)).path(path).times(10_000);
    platform.with(|world| world.inject(fault));
}

pub(super) fn json(status: u16, body: &Value) -> Response {
    let mut headers = Headers::default();
    headers.push("Content-Type", "application/json; charset=utf-8");
    Response { status, headers, body: body.to_string().into() }
}
