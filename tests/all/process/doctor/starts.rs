//! How the program starts, and how it started before.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::Result;
use molecule_tests::{process::Program, served::Served};
use standin::faults::{Effect, Fault};

use super::{Diagnosis, finds};

#[tokio::test]
async fn a_program_that_does_not_start_or_is_slow() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let script = launch.home().join("client-starts-this");
    let binary = launch.binary().display().to_string();
    for (text, id, words) in [
        ("echo the wrapper is broken >&2; exit 9".to_owned(), "start-failed", "the wrapper is broken"),
        ("echo hello".to_owned(), "start-failed", "its first line is hello"),
        (format!("sleep 2.2; exec {binary}"), "start-slow", "answers after 2"),
        ("exec sleep 100".to_owned(), "start-failed", "no answer within 5 s"),
    ] {
        fs::write(&script, format!("#!/bin/sh\n{text}\n"))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700))?;
        let launch = launch.clone().env("PATH", "/usr/bin:/bin");

        let found = super::run(&launch, &["--json", "--program", &script.to_string_lossy()]).await?;

        let said = String::from_utf8(found.stdout)?;
        assert!(said.contains(&format!("\"{id}\"")) && said.contains(words), "{id}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_start_that_failed_before_is_remembered_with_its_words() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    launch.write_config("kept", "")?;
    let mut failing = Program::start(&launch.clone().without("WORKSPACE_ID"))?;
    assert_eq!(failing.exit().await?.code(), Some(2));

    let found = Diagnosis::of(&launch).await?;

    found.has("start-failed-before", &["WORKSPACE_ID", "ago"])?.has_nothing_but(&["start-failed-before"])?;
    let kept = launch.configs().join(".mcp_last_failure");
    assert_eq!(kept.metadata()?.permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(kept)?.contains(&platform.me.token));
    Ok(())
}

#[tokio::test]
async fn a_refused_token_is_a_start_that_failed() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("MOLECULE_WORKSPACE_TOKEN", "canary-no-token-of-this-platform");
    launch.write_config("kept", "")?;
    let mut failing = Program::start(&launch)?;
    failing.initialize().await?;
    assert_eq!(failing.exit().await?.code(), Some(3));

    let found = Diagnosis::of(&launch).await?;

    found.has("start-failed-before", &["HTTP 401"])?;
    assert!(!found.report.to_string().contains("canary"), "{:#}", found.report);
    Ok(())
}

#[tokio::test]
async fn what_takes_too_long_is_told_and_the_rest_is_there() -> Result<()> {
    let platform = Served::start().await?;
    for path in ["/health", "/workspaces", "/registry"] {
        let slow = Fault::new(Effect::Delay(Duration::from_millis(3_900))).path(path).times(100);
        platform.with(|world| world.inject(slow));
    }

    finds(&platform.launch()?, "unfinished", &["could not be looked at"]).await
}
