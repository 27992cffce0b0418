//! `molecule-mcp logs`, and what is logged where.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Output};

use anyhow::{Context as _, Result};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task;

#[tokio::test]
async fn the_last_lines_of_each_program_are_kept_without_secrets() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_MCP_VERBOSE", "1");
    let mut first = Program::start(&launch)?;
    first.call("list_peers", json!({})).await?;
    first.complains("is registered").await?;
    platform.until("a line on disk", |_| kept(&launch).contains("is registered")).await?;
    first.signal(Signal::KILL)?;
    first.exit().await?;
    let mut second = Program::start(&launch)?;
    second.call("list_peers", json!({})).await?;
    let own = format!(".mcp_log_{}_", second.pid()?);
    platform.until("a second file", |_| names(&launch).iter().any(|name| name.starts_with(&own))).await?;

    let people = String::from_utf8(logs(&launch, &[]).await?.stdout)?;

    let registered = people.lines().find(|line| line.contains("is registered")).context("no line")?;
    assert!(registered.starts_with("  20") && registered.contains(" info  workspace "), "{registered}");
    assert!(
        people.contains(" (has ended)\n") && people.contains(&format!("{} (runs)\n", second.pid()?)),
        "{people}"
    );
    assert!(!people.contains(&platform.me.token) && !kept(&launch).contains(&platform.me.token));
    let only =
        String::from_utf8(logs(&launch, &["--json", "-n", "1", &second.pid()?.to_string()]).await?.stdout)?;
    let line: Value = serde_json::from_str(&only)?;
    assert_eq!(line["pid"], json!(second.pid()?));
    for name in names(&launch) {
        let mode = launch.configs().join(&name).metadata()?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn no_file_is_made_before_a_session() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_LOG", "debug");
    let mut program = Program::start(&launch)?;
    program.initialize().await?;
    program.end_input();
    program.exit().await?;

    assert_eq!(names(&launch), Vec::<String>::new());
    let nothing = String::from_utf8(logs(&launch, &[]).await?.stdout)?;
    assert!(nothing.starts_with("No lines are kept in "), "{nothing}");
    Ok(())
}

#[tokio::test]
async fn lines_are_chosen_by_area_and_level() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_LOG", "off,http=info,gate=debug");
    let mut program = Program::start(&launch)?;

    program.call("list_peers", json!({})).await?;

    program.complains("GET /registry/").await?;
    let said = program.stderr();
    assert!(!said.contains("is registered"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_area_is_told_with_those_that_there_are() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?.env("MOLECULE_LOG", "gate=debug"))?;

    program.call("list_peers", json!({})).await?;

    program.complains("MOLECULE_LOG: gate=debug: the areas are account, component, events, http").await
}

#[tokio::test]
async fn programs_can_read_the_log() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_LOG", "info").env("MOLECULE_LOG_FORMAT", "json");
    let mut program = Program::start(&launch)?;

    program.call("list_peers", json!({})).await?;

    program.complains("is registered").await?;
    for line in program.stderr().lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        assert!(line["at"].is_string() && line["area"].is_string() && line["text"].is_string(), "{line}");
    }
    Ok(())
}

async fn logs(launch: &Launch, options: &[&str]) -> Result<Output> {
    let mut command = launch.clone().arg("logs").command();
    command.args(options);
    Ok(task::spawn_blocking(move || command.output()).await??)
}

fn names(launch: &Launch) -> Vec<String> {
    let entries = fs::read_dir(launch.configs()).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".mcp_log_")).collect()
}

fn kept(launch: &Launch) -> String {
    let texts =
        names(launch).into_iter().filter_map(|name| fs::read_to_string(launch.configs().join(name)).ok());
    texts.collect()
}
