//! An idle agent is told of messages: by the door of its client, by hooks, and by `watch` where no client is open.

use std::{
    fs,
    io::Write,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use molecule_tests::{
    launch::Launch,
    process::{DEADLINE, Program},
    served::Served,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::UnixListener, task, time};

const CANARY: &str = "canary-0123456789";

#[tokio::test]
async fn an_idle_claude_code_is_told_by_the_inbox_of_its_session_in_fixed_words() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let socket = launch.home().join("in.sock");
    let listener = UnixListener::bind(&socket)?;
    let launch = launch
        .env("CLAUDE_CODE_MESSAGING_SOCKET", &socket.to_string_lossy())
        .env("CLAUDE_CODE_MESSAGING_TOKEN", CANARY)
        .env("MOLECULE_MCP_VERBOSE", "1");
    let mut program = Program::start(&launch)?;
    greet(&mut program, "claude-code").await?;
    user_sends(&platform, "do not pass this on");

    let lines = told(&listener).await?;

    assert_eq!(lines[0], json!({ "type": "auth", "token": CANARY }));
    let notice = lines[1]["message"]["content"].as_str().context("no words")?;
    assert!(notice.contains("1 message of the user waits"), "{notice}");
    assert!(notice.contains("mcp__molecule__inbox_peek") && !notice.contains("pass this on"), "{notice}");
    let ids = peek(&mut program).await?;
    assert_eq!(ids.len(), 1);
    program.signal(Signal::TERM)?;
    program.exit().await?;
    let said = program.stderr();
    ensure!(!said.contains(CANARY) && !said.contains("pass this on"), "{said}");
    Ok(())
}

#[tokio::test]
async fn another_client_in_the_same_environment_is_not_taken_for_claude_code() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let socket = launch.home().join("in.sock");
    let listener = UnixListener::bind(&socket)?;
    let launch = launch.env("CLAUDE_CODE_MESSAGING_SOCKET", &socket.to_string_lossy());
    let mut program = Program::start(&launch)?;
    greet(&mut program, "gemini-cli-mcp-client").await?;
    user_sends(&platform, "hello");

    program.complains("no-door").await?;

    assert!(time::timeout(Duration::from_millis(100), listener.accept()).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_muted_agent_is_not_told() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let socket = launch.home().join("in.sock");
    let listener = UnixListener::bind(&socket)?;
    let launch = launch.env("CLAUDE_CODE_MESSAGING_SOCKET", &socket.to_string_lossy());
    let muted = run(&launch.clone().arg("wake").arg("mute").arg("1h"), "").await?;
    assert!(text(&muted.stdout).contains("muted until"), "{muted:?}");
    let mut program = Program::start(&launch)?;
    greet(&mut program, "claude-code").await?;
    user_sends(&platform, "hello");

    program.complains("muted").await?;

    assert!(time::timeout(Duration::from_millis(100), listener.accept()).await.is_err());
    let on = run(&launch.clone().arg("wake").arg("on"), "").await?;
    assert!(text(&on.stdout).starts_with("on: "), "{on:?}");
    Ok(())
}

#[tokio::test]
async fn a_hook_tells_once_of_what_is_unread_and_nothing_of_what_was_read() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let prompt = |launch: &Launch| launch.clone().arg("hook").arg("claude").arg("prompt");
    let input = json!({ "session_id": "s", "prompt": "x" }).to_string();
    assert_eq!(text(&run(&prompt(&launch), &input).await?.stdout), "", "nothing is on disk yet");
    let mut program = Program::start(&launch)?;
    program.initialize().await?;
    user_sends(&platform, "do not pass this on");
    platform.until("a message on disk", |_| journal(&launch).contains("do not pass this on")).await?;

    let begun = Instant::now();
    let first = run(&prompt(&launch), &input).await?;
    let took = begun.elapsed();

    let said: Value = serde_json::from_slice(&first.stdout)?;
    let context = said["hookSpecificOutput"]["additionalContext"].as_str().context("no context")?;
    assert!(context.contains("1 message waits") && !context.contains("pass this on"), "{context}");
    assert_eq!(said["hookSpecificOutput"]["hookEventName"], "UserPromptSubmit");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(text(&run(&prompt(&launch), &input).await?.stdout), "", "it was told of that");
    let stop = launch.clone().arg("hook").arg("claude").arg("stop");
    let stopped: Value = serde_json::from_slice(&run(&stop, &input).await?.stdout)?;
    assert_eq!(stopped["decision"], "block");
    let active = json!({ "session_id": "s", "stop_hook_active": true }).to_string();
    assert_eq!(text(&run(&stop, &active).await?.stdout), "");

    peek(&mut program).await?;
    let another = json!({ "session_id": "another" }).to_string();
    assert_eq!(text(&run(&prompt(&launch), &another).await?.stdout), "", "the agent has read it");
    Ok(())
}

#[tokio::test]
async fn a_hook_without_settings_is_silent() -> Result<()> {
    let said = run(&Launch::new()?.arg("hook").arg("codex").arg("SessionStart"), "not json").await?;

    assert_eq!((said.status.code(), text(&said.stdout), text(&said.stderr)), (Some(0), "", ""));
    Ok(())
}

#[tokio::test]
async fn watch_prints_each_message_as_a_line() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.arg("watch").arg("--once").arg("--debounce").arg("0");
    user_sends(&platform, "hello");

    let seen = run(&launch, "").await?;

    let line: Value = serde_json::from_slice(&seen.stdout)?;
    assert_eq!((&line["text"], &line["kind"]), (&json!("hello"), &json!("canvas_user")));
    assert_eq!(seen.status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn watch_runs_a_command_that_has_no_token_and_whose_agent_gets_the_message() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let out = launch.home().join("out");
    let command = format!("(env; echo ---; cat) > {}; exit 7", out.display());
    let watch = ["watch", "--once", "--debounce", "0", "--exec", &command];
    user_sends(&platform, "hello");

    let ran = run(&watch.iter().fold(launch.clone(), |launch, argument| launch.arg(argument)), "").await?;

    let out = fs::read_to_string(out)?;
    let (environment, input) = out.split_once("---\n").context("no input")?;
    assert_eq!(ran.status.code(), Some(7));
    assert!(environment.contains("MOLECULE_UNREAD=1\n") && !environment.contains("hello"), "{environment}");
    assert!(!environment.contains("MOLECULE_WORKSPACE_TOKEN"), "{environment}");
    assert_eq!(serde_json::from_str::<Value>(input)?["text"], "hello");
    let mut program = Program::start(&launch)?;
    program.initialize().await?;
    let message = program.call("wait_for_message", json!({ "timeout_secs": 30 })).await?.json();
    assert_eq!((&message["text"], message.get("redelivered")), (&json!("hello"), None));
    Ok(())
}

#[tokio::test]
async fn two_do_not_watch_at_the_same_time() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.arg("watch");
    let mut first = Program::start(&launch)?;
    platform.until("the first", |platform| platform.count("POST /registry/register") > 0).await?;

    let second = run(&launch, "").await?;

    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("end that first"), "{second:?}");
    first.signal(Signal::TERM)?;
    assert_eq!(first.exit().await?.code(), Some(0));
    Ok(())
}

/// A client of this name begins a session.
async fn greet(program: &mut Program, name: &str) -> Result<()> {
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": name, "version": "1" },
    });
    program.request("initialize", hello).await?;
    program.notify("notifications/initialized", json!({})).await
}

/// The lines that a client is sent over one connection.
async fn told(listener: &UnixListener) -> Result<Vec<Value>> {
    let (mut stream, _) = time::timeout(DEADLINE, listener.accept()).await.context("nobody rang")??;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    text.lines().map(|line| serde_json::from_str(line).context("no JSON")).collect()
}

async fn peek(program: &mut Program) -> Result<Vec<String>> {
    let seen = program.call("inbox_peek", json!({})).await?.json();
    let messages = seen["messages"].as_array().context("no messages")?;
    Ok(messages.iter().filter_map(|message| Some(message["activity_id"].as_str()?.to_owned())).collect())
}

fn journal(launch: &Launch) -> String {
    let files = fs::read_dir(launch.configs()).into_iter().flatten().flatten().map(|file| file.path());
    let journals = files.filter(|path| path.extension().is_some_and(|extension| extension == "journal"));
    journals.filter_map(|path| fs::read_to_string(path).ok()).collect()
}

/// Runs a command to its end.
async fn run(launch: &Launch, input: &str) -> Result<Output> {
    let (launch, input) = (launch.clone(), input.to_owned());
    task::spawn_blocking(move || {
        let mut command = launch.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // A command that reads no input ends all the same.
        let _ = child.stdin.take().context("no input")?.write_all(input.as_bytes());
        Ok(child.wait_with_output()?)
    })
    .await?
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or("(no text)")
}

fn user_sends(platform: &Served, words: &str) {
    platform.with(|standin| standin.user_sends(platform.me.id, words));
}
