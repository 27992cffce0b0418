//! A system that gives less than others: the program works, or says in one line why not.

use std::{ops::RangeInclusive, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use molecule_tests::{
    launch::{CANNOT, Launch},
    process::{DEADLINE, Program},
    served::Served,
};
use rustix::process::geteuid;
use serde_json::json;
use tokio::{task::JoinSet, time};

use crate::crash::shows;

/// The system gives too little.
const TOO_LITTLE: i32 = 4;
/// What the loader of programs says if it cannot load the libraries.
const NOT_LOADED: i32 = 127;
/// A user of whom nothing else runs, in the sweep over threads.
const USERS: RangeInclusive<u32> = 54_400..=54_409;

#[tokio::test]
async fn too_few_descriptors_are_told_or_enough() -> Result<()> {
    for limit in [3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 33, 40, 64] {
        let ended = works_or_ends(&format!("nofile={limit}")).await?;
        ensure!(ended == (limit <= 32), "{limit} descriptors: ended {ended}");
    }
    Ok(())
}

#[tokio::test]
async fn too_few_threads_are_told_or_enough() -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let mut ended = Vec::new();
    for (limit, user) in (1..).zip(USERS) {
        ended.push(works_or_ends(&format!("uid={user} nproc={limit}")).await?);
    }
    assert_eq!((ended.first(), ended.last()), (Some(&true), Some(&false)), "{ended:?}");
    assert!(ended.is_sorted_by(|fewer, more| fewer >= more), "{ended:?}");
    Ok(())
}

#[tokio::test]
async fn too_little_address_space_is_told_or_enough() -> Result<()> {
    for mib in [48_u64, 64, 96, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384] {
        works_or_ends(&format!("as={}", mib << 20)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn memory_that_cannot_be_made_executable_is_told() -> Result<()> {
    let mut program = Program::start(&alone()?.under("mdwe=1"))?;

    let status = program.exit().await?;

    if status.code() != Some(CANNOT) {
        assert_eq!(status.code(), Some(TOO_LITTLE), "{}", program.stderr());
        assert!(program.stderr().contains("executable"), "{}", program.stderr());
    }
    Ok(())
}

#[tokio::test]
async fn a_limit_on_the_size_of_files_is_like_a_full_disk() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.under("fsize=1048576");
    let me = platform.me.id;
    let texts: Vec<_> = (0..5).map(|number| format!("{number}{}", "x".repeat(300_000))).collect();
    let mut program = Program::start(&launch)?;
    program.initialize().await?;
    let mut last = String::new();
    for text in &texts {
        last = platform.with(|platform| platform.user_sends(me, text)).to_string();
    }
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();

    for _ in 0..2 {
        shows(&mut program, &texts).await?;
        program.complains("ulimit -f").await?;
        program = program.again()?;
    }
    let popped = async {
        shows(&mut program, &texts).await?;
        program.call("inbox_pop", json!({ "activity_id": last })).await
    };
    let popped = popped.await?.json();
    assert_eq!((&popped["removed"], &popped["durable"]), (&json!(true), &json!(false)));
    Ok(())
}

#[tokio::test]
async fn where_modes_cannot_be_changed_everything_is_saved() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.under("chmod=0");
    let me = platform.me.id;
    let handled = platform.with(|platform| platform.user_sends(me, "handled")).to_string();
    let mut program = Program::start(&launch)?;
    if let Ok(status) = program.exit_within(Duration::from_millis(300)).await
        && status.code() == Some(CANNOT)
    {
        return Ok(());
    }
    shows(&mut program, &["handled"]).await?;
    let popped = program.call("inbox_pop", json!({ "activity_id": handled })).await?.json();
    assert_eq!(popped, json!({ "removed": true, "activity_id": handled }), "{}", program.stderr());
    platform.until("the secret", |_| launch.configs().join(".platform_inbound_secret").is_file()).await?;

    let mut again = program.again()?;
    drop(program);
    platform.with(|platform| platform.user_sends(me, "next"));

    shows(&mut again, &["next"]).await?;
    Ok(())
}

#[tokio::test]
async fn eight_starts_at_a_time_see_no_damage_in_a_new_directory() -> Result<()> {
    for round in 0..3 {
        let platform = Served::start().await?;
        let launch = platform.launch()?;
        let mut starts = JoinSet::new();
        for _ in 0..8 {
            starts.spawn(looks_and_leaves(launch.clone()));
        }
        while let Some(said) = starts.join_next().await {
            let said = said??;
            for complaint in ["damaged", "not locked", "not saved", "defect", "cancelled"] {
                ensure!(!said.contains(complaint), "round {round}: {said}");
            }
        }
    }
    Ok(())
}

/// As a client does that lists, asks once and ends: what the program has said.
async fn looks_and_leaves(launch: Launch) -> Result<String> {
    let mut program = Program::start(&launch)?;
    program.initialize().await?;
    program.ask_tool("inbox_peek", json!({})).await?;
    program.end_input();
    program.exit().await?;
    Ok(program.stderr())
}

/// Whether the program ends at once, with a code and a line; if not, it has to work.
async fn works_or_ends(hardship: &str) -> Result<bool> {
    let mut program = Program::start(&alone()?.under(hardship))?;
    // It may have ended already.
    let _ = program.ask("ping", json!({})).await;
    let answer = match time::timeout(DEADLINE, program.receive()).await {
        Ok(answer) => answer.ok(),
        Err(_) => bail!("{hardship}: neither an answer nor an end: {}", program.stderr()),
    };
    if answer.is_some() {
        let call = program.call("inbox_peek", json!({})).await.context(hardship.to_owned())?;
        ensure!(!call.text().is_empty(), "{hardship}: {call:?}");
        program.end_input();
    }
    let code = program.exit().await.context(hardship.to_owned())?.code();
    let said = program.stderr();
    let refusals = said.lines().filter(|line| line.contains("gives this process too little: ")).count();
    match (&answer, code) {
        (Some(_), Some(0)) => Ok(false),
        (None, Some(TOO_LITTLE)) if refusals == 1 => Ok(true),
        (None, Some(NOT_LOADED)) if said.contains("shared libraries") => Ok(true),
        (Some(_) | None, _) => bail!("{hardship}: ends with {code:?}, and says {said:?}"),
    }
}

/// A program without a platform: nothing of this needs one.
fn alone() -> Result<Launch> {
    Ok(Launch::new()?
        .env("PLATFORM_URL", "http://127.0.0.1:9")
        .env("WORKSPACE_ID", "00000000-0000-4000-8000-000000000000")
        .env("MOLECULE_WORKSPACE_TOKEN", "token"))
}
