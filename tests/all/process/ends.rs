//! How the program ends, and with which code.

use std::time::Duration;

use anyhow::{Context, Result};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use rustix::process::Signal;
use serde_json::json;
use standin::{
    Script,
    faults::{Effect, Fault},
};

/// Budgets of 200 and 300 ms are held in the bench; here only that nothing waits for anything.
const AT_ONCE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(5);

#[tokio::test]
async fn the_end_of_the_input_ends_an_idle_program() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = working(&platform).await?;

    program.end_input();
    let status = program.exit_within(AT_ONCE).await?;

    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn the_end_of_the_input_ends_a_busy_program() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = busy(&platform).await?;

    program.end_input();
    let status = program.exit_within(BUSY).await?;

    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn an_input_that_ends_before_it_begins_is_a_clean_end() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;

    program.end_input();
    let status = program.exit_within(AT_ONCE).await?;

    assert_eq!(status.code(), Some(0));
    assert_eq!(platform.requests(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn signals_end_an_idle_program_with_its_input_open() -> Result<()> {
    let platform = Served::start().await?;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut program = working(&platform).await?;

        program.signal(signal)?;
        let status = program.exit_within(AT_ONCE).await?;

        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
    Ok(())
}

#[tokio::test]
async fn signals_end_a_busy_program_with_its_input_open() -> Result<()> {
    let platform = Served::start().await?;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut program = busy(&platform).await?;

        program.signal(signal)?;
        let status = program.exit_within(AT_ONCE).await?;

        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_signal_changes_nothing() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = busy(&platform).await?;

    program.signal(Signal::INT)?;
    // Gone already, maybe.
    let _ = program.signal(Signal::TERM);

    program.exit_within(AT_ONCE).await?;
    Ok(())
}

#[tokio::test]
async fn a_client_that_does_not_read_any_more_ends_the_program() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = working(&platform).await?;

    // Its input stays open, as if a child of a client that was killed still held it.
    program.stop_reading();
    let status = program.exit_within(AT_ONCE).await?;

    assert_eq!(status.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn missing_settings_end_it_with_2() -> Result<()> {
    let mut program = Program::start(&Launch::new()?)?;

    let status = program.exit().await?;

    assert_eq!(status.code(), Some(2));
    assert!(
        program.stderr().contains("Currently missing: WORKSPACE_ID, PLATFORM_URL"),
        "{}",
        program.stderr()
    );
    assert!(program.remaining().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_token_that_the_platform_refuses_ends_it_with_3_and_names_its_source() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let file = launch.write_config(".auth_token", "wrong-token")?;
    let file = file.to_str().context("a path that is no text")?.to_owned();
    let named = launch.home().join("token");
    std::fs::write(&named, "wrong-token")?;
    let named = named.to_str().context("a path that is no text")?.to_owned();
    let sources = [
        (launch.clone().env("MOLECULE_WORKSPACE_TOKEN", "wrong-token"), "MOLECULE_WORKSPACE_TOKEN"),
        (launch.clone().without("MOLECULE_WORKSPACE_TOKEN"), file.as_str()),
        (
            launch.without("MOLECULE_WORKSPACE_TOKEN").env("MOLECULE_WORKSPACE_TOKEN_FILE", &named),
            named.as_str(),
        ),
    ];
    for (launch, source) in sources {
        let mut program = Program::start(&launch)?;
        program.ask_tool("inbox_peek", json!({})).await?;

        let status = program.exit().await?;

        let said = program.stderr();
        assert_eq!(status.code(), Some(3), "{said}");
        for word in [source, "401", "Tokens tab", &platform.me.id.to_string()] {
            assert!(said.contains(word), "{word} in {said}");
        }
        assert!(!said.contains("wrong-token"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn help_and_version_go_to_standard_output() -> Result<()> {
    for argument in ["--help", "-h", "help"] {
        let said = output(&[argument]).await?;
        for word in ["PLATFORM_URL", "WORKSPACE_ID", "MOLECULE_WORKSPACE_TOKEN_FILE"] {
            assert!(said.contains(word), "{word} in {said}");
        }
    }
    assert!(output(&["--version"]).await?.starts_with("molecule-mcp "));
    Ok(())
}

#[tokio::test]
async fn completions_and_the_manual_page_name_the_commands() -> Result<()> {
    for arguments in [&["completions", "bash"][..], &["completions", "zsh"], &["man"]] {
        let said = output(arguments).await?;
        assert!(said.contains("inbox") && said.contains("completions"), "{arguments:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_command_that_does_not_know_an_argument_ends_with_2_and_prints_nothing() -> Result<()> {
    let launch = Launch::new()?.arg("inbox").arg("--jsn");
    let mut command = launch.command();

    let output = tokio::task::spawn_blocking(move || command.output()).await??;

    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--json") && output.stdout.is_empty(), "{said}");
    Ok(())
}

#[tokio::test]
async fn stray_arguments_are_warned_about_and_ignored() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?.arg("--stdio"))?;

    program.initialize().await?;

    // Counted and not named: an argument may hold a secret.
    program.complains("1 command line arguments are ignored").await
}

/// What a program without any settings prints for `arguments`.
async fn output(arguments: &[&str]) -> Result<String> {
    // Holds the directories of the program.
    let mut launch = Launch::new()?;
    for argument in arguments {
        launch = launch.arg(argument);
    }
    let mut command = launch.command();
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    Ok(String::from_utf8(output.stdout)?)
}

/// A program in the middle of its session.
async fn working(platform: &Served) -> Result<Program> {
    let before = platform.latest();
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    program.call("inbox_peek", json!({})).await?;
    platform.until("a beat", |platform| platform.count_since(before, "POST /registry/heartbeat") > 0).await?;
    Ok(program)
}

/// A program that waits for a message, for a list of peers, and for a peer.
async fn busy(platform: &Served) -> Result<Program> {
    let mut program = working(platform).await?;
    let before = platform.latest();
    let slow = Fault::new(Effect::Delay(Duration::from_secs(3_600))).method("GET").path("/registry/");
    let peer = platform.with(|platform| {
        platform.clear_faults();
        platform.inject(slow.times(2));
        platform.push_peer("slow", Script::Echo).id.to_string()
    });
    program.ask_tool("wait_for_message", json!({ "timeout_secs": 300 })).await?;
    program.ask_tool("list_peers", json!({})).await?;
    program.ask_tool("delegate_task", json!({ "workspace_id": peer, "task": "wait" })).await?;
    platform.until("two requests", |platform| platform.count_since(before, "GET /registry/") == 2).await?;
    Ok(program)
}
