//! Programs that run meanwhile.

use std::{fs, path::Path};

use anyhow::Result;
use molecule_runtime::status::{InboxReport, InboxRole, Report, WorkspaceReport};
use molecule_tests::{process::Program, served::Served};
use rustix::process::Signal;
use serde_json::json;
use standin::Response;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixListener,
    task::JoinHandle,
};

use super::{
    Diagnosis,
    answers::{answers, fault, json as json_response},
    finds,
};
use crate::several::Crew;

#[tokio::test]
async fn a_program_that_is_well_sends_the_heartbeats_itself() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    program.call("inbox_peek", json!({})).await?;
    platform.hears("POST /registry/heartbeat").await?;
    answers(program.launch()).await?;

    let found = Diagnosis::of(program.launch()).await?;

    let pid = format!("process {}", program.pid()?);
    found.has("process-well", &[&pid, "molecule-tests"])?.has("beat-skipped", &["a running program"])?;
    found.has("lock-held", &[&pid, "for molecule-tests 1"])?.has_nothing_but(&[])?;
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_stopped_holds_the_inbox_and_does_not_answer() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.call("inbox_peek", json!({})).await?;
    answers(program.launch()).await?;
    program.signal(Signal::STOP)?;

    let found = Diagnosis::of(program.launch()).await;

    program.signal(Signal::CONT)?;
    let pid = format!("process {}", program.pid()?);
    found?.has("process-silent", &[&pid, "no answer within 2 s"])?.has("lock-silent", &[&pid])?;
    Ok(())
}

#[tokio::test]
async fn heartbeats_and_messages_of_a_program_that_fail() -> Result<()> {
    let platform = Served::start().await?;
    fault(&platform, "/registry/heartbeat", Response::empty(503));
    fault(&platform, "/workspaces/*/activity", json_response(500, &json!({"error": "query failed"})));
    let mut program = Program::start(&platform.launch()?)?;
    program.call("inbox_peek", json!({})).await?;
    program.complains("heartbeat failed").await?;
    answers(program.launch()).await?;

    let found = Diagnosis::of(program.launch()).await?;

    found.has("process-beats-fail", &["HTTP 503"])?.has("process-trouble", &["500"])?;
    Ok(())
}

#[tokio::test]
async fn a_workspace_of_a_program_whose_token_is_refused() -> Result<()> {
    let crew = Crew::of(2).await?;
    let refused = &crew.members[1];
    crew.platform.with(|world| world.revoke_tokens(refused.id));
    crew.platform.with(|world| world.mint_for(refused.id));
    let mut program = Program::start(&crew.launch(0..2)?)?;
    program.call("inbox_peek", json!({})).await?;
    program.complains("this workspace is left out").await?;
    answers(program.launch()).await?;

    let found = Diagnosis::of(program.launch()).await?;

    found.has("process-refused", &["HTTP 401"])?.has("token-refused", &[])?;
    let about = found.seen("token-refused")[0]["workspace"].clone();
    assert_eq!(about, json!(refused.id.to_string()));
    Ok(())
}

/// Another version answers at its socket: the doctor asks it as it asks every process.
#[tokio::test]
async fn a_program_of_another_version_that_was_restarted_and_ignores_its_messages() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    launch.write_config("kept", "")?;
    let report = Report {
        version: "0.0.9".to_owned(),
        pid: 4711,
        component_stops: 2,
        workspaces: vec![WorkspaceReport {
            workspace: platform.me.id.to_string(),
            inbox: InboxReport {
                role: InboxRole::Leader,
                staged: 3,
                oldest_waiting: Some("2026-04-30T23:12:01.48Z".to_owned()),
                ..InboxReport::default()
            },
            ..WorkspaceReport::default()
        }],
        ..Report::default()
    };
    let other = other_program(&launch.configs(), &report)?;

    let found = Diagnosis::of(&launch).await?;

    found.has("process-other-version", &["process 4711", "0.0.9"])?;
    found.has("process-restarted", &["2 times"])?.has("messages-ignored", &["the oldest of 3"])?;
    other.abort();
    fs::remove_dir_all(launch.configs())?;
    finds(&launch, "process-none", &["no program"]).await
}

/// Answers every question with this report.
fn other_program(directory: &Path, report: &Report) -> Result<JoinHandle<()>> {
    let listener = UnixListener::bind(directory.join(".mcp_status_4711_0000abcd.sock"))?;
    let answer = format!("{}\n", serde_json::to_string(report)?);
    Ok(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut question = String::new();
            let _ = stream.read_line(&mut question).await;
            let _ = stream.get_mut().write_all(answer.as_bytes()).await;
        }
    }))
}
