//! Files of the user, by the real program on a real disk.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use anyhow::{Context, Result, ensure};
use molecule_tests::{process::Program, served::Served};
use rustix::process::Signal;
use serde_json::{Value, json};

#[tokio::test]
async fn a_file_is_on_disk_when_its_message_is_read_and_the_platforms_until_it_is_popped() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.clone();
    let mut program = Program::start(&platform.launch()?)?;
    let content = "a plan ".repeat(40_000);
    let file = platform.with(|platform| platform.user_sends_file(&me, "the plan.txt", &content));
    let file = file.context("the platform takes no file")?;
    platform.with(|platform| platform.user_sends_with(me.id, "look", &[&file]));

    let message = waits(&mut program).await?;
    let path = path_of(&message)?;

    assert_eq!(
        (&message["text"], message["attachments"][0]["bytes"].as_u64()),
        (&json!("look"), Some(280_000))
    );
    assert_eq!(fs::read_to_string(&path)?, content);
    let directory = path.parent().context("a file has a directory")?;
    assert_eq!((path.metadata()?.mode() & 0o777, directory.metadata()?.mode() & 0o777), (0o600, 0o700));
    assert_eq!(directory, program.launch().configs().join("chat-uploads").join(me.id.to_string()));
    let id = file.rsplit('/').next().context("an address ends with an id")?;
    let acknowledgement = format!("POST /workspaces/{}/pending-uploads/{id}/ack", me.id);
    assert_eq!(platform.count(&acknowledgement), 0);

    // What was fetched is there for the next process, too.
    program.signal(Signal::KILL)?;
    program.exit().await?;
    let mut program = program.again()?;
    let message = waits(&mut program).await?;
    assert_eq!(path_of(&message)?, path);
    let popped = program.call("inbox_pop", json!({ "activity_id": message["activity_id"] })).await?.json();
    ensure!(popped["removed"] == true, "{popped}");
    platform.until("the acknowledgement", |platform| platform.count(&acknowledgement) == 1).await?;

    let content = format!("GET /workspaces/{}/pending-uploads/{id}/content", me.id);
    assert_eq!((platform.count(&content), path.exists()), (1, true));
    Ok(())
}

async fn waits(program: &mut Program) -> Result<Value> {
    Ok(program.call("wait_for_message", json!({ "timeout_secs": 30 })).await?.json())
}

fn path_of(message: &Value) -> Result<PathBuf> {
    let path = message["attachments"][0]["path"].as_str();
    Ok(path.with_context(|| format!("no path in {message}"))?.into())
}
