//! Two processes on one directory, and what people see of the one that leads.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{task, time::Instant};

use crate::crash::shows;

/// After the end of the process that led.
const TAKEN_OVER: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_second_process_follows_and_takes_over_when_the_first_one_is_killed() -> Result<()> {
    let platform = Served::start().await?;
    let mut leader = leading(&platform, &platform.launch()?).await?;
    let texts = ["first", "second", "third"];
    for round in 0..texts.len() {
        let mut follower = leader.again()?;
        let pid = format!("process {}, since ", leader.pid()?);
        follower.call("inbox_peek", json!({})).await?;
        follower.complains(&pid).await?;
        let said = follower.call("inbox_peek", json!({})).await?;
        assert!(said.0.to_string().contains(&pid), "{said:?}");

        leader.signal(Signal::KILL)?;
        leader.exit().await?;
        let killed = Instant::now();
        sends(&platform, texts[round]);
        shows(&mut follower, &texts[..=round]).await?;

        assert!(killed.elapsed() < TAKEN_OVER, "took over after {:?}", killed.elapsed());
        leader = follower;
    }
    Ok(())
}

#[tokio::test]
async fn the_newer_session_takes_the_lead_when_its_agent_asks_for_it() -> Result<()> {
    let platform = Served::start().await?;
    let mut older = leading(&platform, &platform.launch()?).await?;
    let ids = ["handled", "shown", "waiting"].map(|text| sends(&platform, text));
    shows(&mut older, &["handled", "shown", "waiting"]).await?;
    older.call("inbox_pop", json!({ "activity_id": ids[0] })).await?;
    let mut newer = older.again()?;
    let (from, to) = (older.pid()?, newer.pid()?);
    newer.complains(&format!("process {from}, since ")).await?;
    let offered = newer.call("inbox_peek", json!({})).await?.0.to_string();
    for word in [&format!("process {from}, since "), "within the last minute", "take_over"] {
        assert!(offered.contains(word), "{word} in {offered}");
    }

    let taken = newer.call("wait_for_message", json!({ "timeout_secs": 5, "take_over": true })).await?;

    assert_eq!((&taken.json()["activity_id"], &taken.json()["redelivered"]), (&json!(ids[1]), &json!(true)));
    older.complains(&format!("process {to} has asked for the messages")).await?;
    let left = older.call("inbox_pop", json!({ "activity_id": ids[2] })).await?;
    assert!(left.failed(), "{left:?}");
    assert!(left.0.to_string().contains(&format!("process {to}, since ")), "{left:?}");
    sends(&platform, "later");
    shows(&mut newer, &["shown", "waiting", "later"]).await?;
    Ok(())
}

#[tokio::test]
async fn nothing_is_taken_from_a_leader_that_is_stopped() -> Result<()> {
    let platform = Served::start().await?;
    let mut leader = leading(&platform, &platform.launch()?).await?;
    let mut follower = leader.again()?;
    let pid = leader.pid()?;
    follower.call("inbox_peek", json!({})).await?;
    leader.signal(Signal::STOP)?;

    let refused = follower.call("inbox_peek", json!({ "take_over": "true" })).await?;

    assert!(refused.failed(), "{refused:?}");
    for word in ["does not answer", &format!("kill {pid}"), "nothing was taken"] {
        assert!(refused.text().contains(word), "{word} in {refused:?}");
    }
    leader.signal(Signal::CONT)?;
    sends(&platform, "hello");
    shows(&mut leader, &["hello"]).await?;
    assert!(!leader.stderr().contains("has asked"), "{}", leader.stderr());
    // Asked again, it hands over.
    let taken = follower.call("inbox_peek", json!({ "take_over": true })).await?;
    assert!(!taken.failed(), "{taken:?}");
    shows(&mut follower, &["hello"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_follower_serves_what_needs_no_inbox() -> Result<()> {
    let platform = Served::start().await?;
    let leader = leading(&platform, &platform.launch()?).await?;
    let streams = || platform.with(|platform| platform.open_streams());
    platform.until("the leader's stream", |_| streams() == 1).await?;
    let mut follower = leader.again()?;

    let sent = follower.call("send_message_to_user", json!({ "message": "hello" })).await?;

    assert!(!sent.failed(), "{sent:?}");
    follower.complains("takes over when that one ends").await?;
    assert_eq!(streams(), 1, "the follower listens to nothing");
    Ok(())
}

#[tokio::test]
async fn people_can_look_at_the_inbox_of_a_running_process() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let mut program = leading(&platform, &launch).await?;
    let id = sends(&platform, "hello");
    shows(&mut program, &["hello"]).await?;
    let pid = program.pid()?;

    let seen = look(&launch, &["--json"]).await?;
    let table = text(&look(&launch, &[]).await?.stdout)?;

    let seen: Value = serde_json::from_slice(&seen.stdout)?;
    assert_eq!(seen["workspace"], json!(platform.me.id.to_string()));
    assert_eq!(seen["files"]["lock"]["held"], json!(true));
    assert!(
        seen["files"]["lock"]["holder"]
            .as_str()
            .is_some_and(|who| who.starts_with(&format!("process {pid}, ")))
    );
    assert!(table.contains(&format!("held by process {pid}, since ")), "{table}");
    assert_eq!((&seen["journal"], &seen["staged"][0]["activity_id"]), (&json!("ok"), &json!(id)), "{seen}");
    assert!(table.contains("1 message waits:") && table.contains(&id), "{table}");
    assert!(!seen.to_string().contains("hello") && !table.contains("hello"), "{table}");
    sends(&platform, "again");
    shows(&mut program, &["hello", "again"]).await?;
    program.end_input();
    program.exit().await?;
    let after: Value = serde_json::from_slice(&look(&launch, &["--json"]).await?.stdout)?;
    assert_eq!(after["files"]["lock"]["held"], json!(false));
    Ok(())
}

#[tokio::test]
async fn looking_makes_no_file_and_says_what_is_missing() -> Result<()> {
    let launch = Launch::new()?;
    let lost = look(&launch, &[]).await?;
    let empty = launch.env("WORKSPACE_ID", "w").env("PLATFORM_URL", "https://acme.example.com");

    let seen = look(&empty, &[]).await?;

    let (said, shown) = (text(&lost.stderr)?, text(&seen.stdout)?);
    assert_eq!(lost.status.code(), Some(2));
    assert!(said.contains("WORKSPACE_ID, PLATFORM_URL") && !said.contains("TOKEN"), "{said}");
    assert_eq!(seen.status.code(), Some(0), "{}", text(&seen.stderr)?);
    assert!(shown.starts_with("Inbox of workspace w on https://acme.example.com\n"), "{shown}");
    assert_eq!(empty.left_behind()?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn every_file_is_private() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = leading(&platform, &platform.launch()?).await?;
    let id = sends(&platform, "hello");
    shows(&mut program, &["hello"]).await?;
    program.call("inbox_pop", json!({ "activity_id": id })).await?;
    platform.until("the cursor", |_| cursor(&program).is_file()).await?;

    let configs = program.launch().configs();
    let mode = |path: &Path| path.metadata().map(|metadata| metadata.permissions().mode() & 0o777);
    assert_eq!(mode(&configs)?, 0o700);
    for entry in fs::read_dir(configs)? {
        let path = entry?.path();
        assert_eq!(mode(&path)?, 0o600, "{}", path.display());
    }
    Ok(())
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_told_and_messages_arrive() -> Result<()> {
    for configs in ["/dev/null/below", "/proc/molecule-mcp"] {
        let platform = Served::start().await?;
        let mut program = Program::start(&platform.launch()?.env("CONFIGS_DIR", configs))?;
        sends(&platform, "hello");

        shows(&mut program, &["hello"]).await?;

        program.complains("the inbox is not locked").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_lock_that_somebody_removes_is_taken_anew() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = leading(&platform, &platform.launch()?).await?;
    let id = sends(&platform, "hello");
    shows(&mut program, &["hello"]).await?;
    let lock = lock(&program)?;
    fs::remove_file(&lock)?;

    program.call("inbox_pop", json!({ "activity_id": id })).await?;

    platform.until("another lock", |_| lock.is_file()).await?;
    platform
        .until("the cursor", |_| fs::read_to_string(cursor(&program)).is_ok_and(|held| held == id))
        .await?;
    let seen: Value = serde_json::from_slice(&look(program.launch(), &["--json"]).await?.stdout)?;
    assert_eq!(seen["files"]["lock"]["held"], json!(true));
    Ok(())
}

/// A program that has the lock.
async fn leading(platform: &Served, launch: &Launch) -> Result<Program> {
    let mut program = Program::start(launch)?;
    program.call("inbox_peek", json!({})).await?;
    let pid = format!("\"pid\":{},", program.pid()?);
    let signed = |path: PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains(&pid));
    platform.until("the lock", |_| lock(&program).is_ok_and(signed)).await?;
    Ok(program)
}

/// A person writes; the id of the message.
fn sends(platform: &Served, text: &str) -> String {
    let me = platform.me.id;
    platform.with(|platform| platform.user_sends(me, text)).to_string()
}

fn lock(program: &Program) -> Result<PathBuf> {
    let entries = fs::read_dir(program.launch().configs())?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|end| end == "lock")).context("no lock")
}

fn cursor(program: &Program) -> PathBuf {
    program.launch().configs().join(".mcp_inbox_cursor")
}

/// Runs `molecule-mcp inbox`, without a token.
async fn look(launch: &Launch, arguments: &[&str]) -> Result<Output> {
    let launch = arguments.iter().fold(launch.clone().arg("inbox"), |launch, argument| launch.arg(argument));
    let mut command = launch.without("MOLECULE_WORKSPACE_TOKEN").command();
    Ok(task::spawn_blocking(move || command.output()).await??)
}

fn text(bytes: &[u8]) -> Result<String> {
    Ok(String::from_utf8(bytes.to_vec())?)
}
