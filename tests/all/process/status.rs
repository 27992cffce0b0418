//! `molecule-mcp status`: what running programs tell those who ask at their sockets.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::PathBuf,
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use rustix::process::Signal;
use serde_json::{Value, json};
use standin::{
    Response,
    faults::{Effect, Fault},
};
use tokio::{task, time};

use crate::crash::shows;

#[tokio::test]
async fn a_running_program_tells_how_each_part_goes_and_no_words_of_a_message() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let id = platform.with(|world| world.user_sends(platform.me.id, "canary words of a user"));
    shows(&mut program, &["canary words of a user"]).await?;

    let seen = until(program.launch(), |process| {
        process["workspaces"][0]["presence"]["state"] == "online"
            && process["workspaces"][0]["events"]["state"] == "open"
    })
    .await?;

    let [process] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(process["pid"], json!(program.pid()?));
    assert_eq!(process["client"], json!({"name": "molecule-tests", "version": "1"}));
    let workspace = &process["workspaces"][0];
    assert_eq!(workspace["workspace"], json!(platform.me.id.to_string()));
    assert_eq!(workspace["presence"]["delivery_mode"], "poll");
    let inbox = &workspace["inbox"];
    assert_eq!((&inbox["role"], &inbox["staged"]), (&json!("leader"), &json!(1)));
    assert_eq!(inbox["position"], json!(id.to_string()));
    assert!(inbox["oldest_waiting"].is_string() && inbox["trouble"].is_null(), "{inbox}");
    let people = status(program.launch(), &[]).await?;
    assert_eq!(people.status.code(), Some(0));
    let said = String::from_utf8(people.stdout)? + &json!(seen).to_string();
    assert!(!said.contains("canary") && !said.contains(&platform.me.token), "{said}");
    Ok(())
}

#[tokio::test]
async fn heartbeats_that_fail_are_told_with_the_reason() -> Result<()> {
    let platform = Served::start().await?;
    let refusal = Response::empty(503);
    let fault = Fault::new(Effect::Answer(refusal)).path("/registry/heartbeat").times(1_000);
    platform.with(|world| world.inject(fault));
    let mut program = Program::start(&platform.launch()?)?;
    program.call("list_peers", json!({})).await?;

    let seen =
        until(program.launch(), |process| process["workspaces"][0]["presence"]["state"] == "failing").await?;

    let presence = &seen[0]["workspaces"][0]["presence"];
    assert!(presence["failed_in_a_row"].as_u64() >= Some(1), "{presence}");
    assert!(presence["trouble"].as_str().is_some_and(|why| why.contains("HTTP 503")), "{presence}");
    Ok(())
}

#[tokio::test]
async fn of_two_programs_one_leads_and_the_other_names_it() -> Result<()> {
    let platform = Served::start().await?;
    let mut leader = Program::start(&platform.launch()?)?;
    leader.call("inbox_peek", json!({})).await?;
    let mut follower = leader.again()?;
    follower.call("inbox_peek", json!({})).await?;

    until(leader.launch(), |process| process["workspaces"][0]["inbox"]["role"] == "follower").await?;
    let seen = asked(leader.launch()).await?;

    let role = |pid: u32| {
        let process = seen.iter().find(|process| process["pid"] == json!(pid));
        process.map(|process| process["workspaces"][0]["inbox"].clone()).unwrap_or_default()
    };
    assert_eq!(role(leader.pid()?)["role"], "leader");
    let named = role(follower.pid()?)["leader"].to_string();
    assert!(named.contains(&format!("process {}, since ", leader.pid()?)), "{named}");
    Ok(())
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_program() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    assert_eq!(sockets(program.launch()), Vec::<PathBuf>::new(), "before a session begins");
    program.call("list_peers", json!({})).await?;
    platform.until("a socket", |_| !sockets(program.launch()).is_empty()).await?;
    let socket = sockets(program.launch()).remove(0);
    assert_eq!(socket.symlink_metadata()?.permissions().mode() & 0o777, 0o600);

    program.end_input();
    program.exit().await?;

    assert_eq!(sockets(program.launch()), Vec::<PathBuf>::new());
    let none = status(program.launch(), &[]).await?;
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8(none.stdout)?.starts_with("No molecule-mcp runs with its state in "));
    Ok(())
}

#[tokio::test]
async fn what_a_killed_program_leaves_is_passed_over_and_removed_by_the_next() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.call("list_peers", json!({})).await?;
    platform.until("a socket", |_| !sockets(program.launch()).is_empty()).await?;
    program.signal(Signal::KILL)?;
    program.exit().await?;
    assert_eq!(sockets(program.launch()).len(), 1);
    assert_eq!(asked(program.launch()).await?, Vec::<Value>::new());

    let mut next = program.again()?;
    next.call("list_peers", json!({})).await?;

    let own = format!("_{}_", next.pid()?);
    platform
        .until("one socket", |_| {
            let left = sockets(next.launch());
            left.len() == 1 && left[0].to_string_lossy().contains(&own)
        })
        .await
}

#[tokio::test]
async fn a_program_that_is_stopped_does_not_keep_the_others_from_being_shown() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.call("list_peers", json!({})).await?;
    platform.until("a socket", |_| !sockets(program.launch()).is_empty()).await?;
    program.signal(Signal::STOP)?;

    let shown = status(program.launch(), &[]).await;

    program.signal(Signal::CONT)?;
    let shown = shown?;
    assert_eq!(shown.status.code(), Some(1));
    let said = String::from_utf8(shown.stdout)?;
    assert!(said.contains(&format!("Process {} does not answer", program.pid()?)), "{said}");
    Ok(())
}

/// The processes, once one of them is `as_wanted`.
async fn until(launch: &Launch, as_wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
    let mut beat = time::interval(Duration::from_millis(50));
    let found = async {
        loop {
            beat.tick().await;
            let seen = asked(launch).await?;
            if seen.iter().any(&as_wanted) {
                return Ok(seen);
            }
        }
    };
    time::timeout(molecule_tests::process::DEADLINE, found).await.context("no process comes to be so")?
}

/// What the processes of a launch answer.
async fn asked(launch: &Launch) -> Result<Vec<Value>> {
    let output = status(launch, &["--json"]).await?;
    let seen: Value = serde_json::from_slice(&output.stdout)?;
    Ok(seen["processes"].as_array().context("no list")?.clone())
}

pub(crate) async fn status(launch: &Launch, options: &[&str]) -> Result<Output> {
    let mut command = launch.clone().arg("status").command();
    command.args(options);
    Ok(task::spawn_blocking(move || command.output()).await??)
}

fn sockets(launch: &Launch) -> Vec<PathBuf> {
    let entries = fs::read_dir(launch.configs()).into_iter().flatten().flatten();
    let is_socket = |path: &PathBuf| path.symlink_metadata().is_ok_and(|at| at.file_type().is_socket());
    entries.map(|entry| entry.path()).filter(is_socket).collect()
}
