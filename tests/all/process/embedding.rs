//! The examples of the library, against the platform.

use std::{fs, path::Path, pin::pin};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use molecule_runtime::{Builder, Runtime, account::TokenSource};
use molecule_tests::served::Served;
use serde_json::{Value, json};
use tempfile::TempDir;

#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../host/runtime/examples/agent.rs"]
mod agent;
#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../host/runtime/examples/embedded.rs"]
mod embedded;
#[expect(dead_code, unreachable_pub, reason = "it is a program of its own")]
#[path = "../../../host/runtime/examples/sqlite.rs"]
mod sqlite;

#[tokio::test]
async fn the_example_answers_its_messages_and_leaves_none_behind() -> Result<()> {
    let (platform, disk) = (Served::start().await?, TempDir::new()?);
    let me = platform.me.id;
    let token_file = disk.path().join("token");
    fs::write(&token_file, &platform.me.token)?;
    for text in ["first", "second"] {
        platform.with(|platform| platform.user_sends(me, text));
    }

    let job = |messages| embedded::Job {
        platform: platform.url().to_owned(),
        workspace: me.to_string(),
        token_file: token_file.clone(),
        state_dir: disk.path().join("state"),
        messages,
    };
    embedded::run(job(2)).await?;
    platform.with(|platform| platform.user_sends(me, "third"));
    embedded::run(job(2)).await?;

    let said = platform.requests().into_iter().filter(|line| line.ends_with("/notify")).count();
    assert_eq!(
        said, 4,
        "first, second, and after the start second again, because it was not popped, and third"
    );
    platform.hears("POST /registry/register").await
}

#[test]
fn the_readme_shows_the_agent() {
    let (readme, example) = (
        include_str!("../../../host/runtime/README.md"),
        include_str!("../../../host/runtime/examples/agent.rs"),
    );
    assert!(readme.contains(example), "copy examples/agent.rs into README.md");
}

#[tokio::test]
async fn a_program_thinks_of_the_answers() -> Result<()> {
    let (platform, disk) = (Served::start().await?, TempDir::new()?);
    let me = platform.me.id;
    for text in ["hello", "bye"] {
        platform.with(|platform| platform.user_sends(me, text));
    }
    let runtime = builder(&platform, disk.path())?.state_dir(disk.path().join("state")).build().await?;

    agent::run(runtime, &["tr", "a-z", "A-Z"].map(str::to_owned)).await?;

    let said = platform.requests().into_iter().filter(|line| line.ends_with("/notify")).count();
    assert_eq!(said, 2);
    Ok(())
}

#[tokio::test]
async fn what_was_popped_stays_away_where_a_database_keeps_the_inbox() -> Result<()> {
    let (platform, disk) = (Served::start().await?, TempDir::new()?);
    let me = platform.me.id;
    let start = async || {
        let database = sqlite::Database::open(&disk.path().join("inbox.db"))?;
        anyhow::Ok(builder(&platform, disk.path())?.store(database).build().await?)
    };
    for text in ["popped", "seen"] {
        platform.with(|platform| platform.user_sends(me, text));
    }
    let runtime = start().await?;
    let mut messages = pin!(runtime.messages());
    for text in ["popped", "seen"] {
        assert_eq!(messages.next().await.context("no message")?.text, text);
    }
    // Without a farewell.
    drop(runtime);

    let runtime = start().await?;
    let answer = runtime.call_tool("wait_for_message", json!({ "timeout_secs": 20 })).await?;
    let message: Value = serde_json::from_str(answer.text.first().context("no text")?)?;
    assert_eq!((&message["text"], &message["redelivered"]), (&json!("seen"), &json!(true)), "{message}");
    assert!(!disk.path().join(".mcp_inbox_cursor").exists());
    Ok(())
}

fn builder(platform: &Served, disk: &Path) -> Result<Builder> {
    let token_file = disk.join("token");
    fs::write(&token_file, &platform.me.token)?;
    let builder = Runtime::builder().platform(platform.url()).workspace(platform.me.id.to_string());
    Ok(builder.token(TokenSource::file(token_file)))
}
