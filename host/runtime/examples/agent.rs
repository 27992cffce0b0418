//! An agent of thirty lines: a program thinks of the answers.
//!
//! `cargo run -p molecule-runtime --example agent -- PLATFORM WORKSPACE TOKEN_FILE STATE_DIR PROGRAM [ARGUMENT…]`

use std::{pin::pin, process::Stdio};

use futures::StreamExt as _;
use molecule_runtime::{Runtime, account::TokenSource};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// Answers messages until the user says `bye`.
///
/// # Errors
/// When there is no runtime, or it or the program fails.
pub async fn run(runtime: Runtime, thinker: &[String]) -> anyhow::Result<()> {
    let mut messages = pin!(runtime.messages());
    while let Some(message) = messages.next().await {
        let answer = think(thinker, &message.text).await?;
        match message.kind.as_str() {
            "canvas_user" => runtime.call_tool("send_message_to_user", json!({ "message": answer })).await?,
            _ => {
                let task = json!({ "workspace_id": message.peer_id, "task": answer });
                runtime.call_tool("delegate_task_async", task).await?
            }
        };
        if message.text == "bye" {
            break;
        }
    }
    Ok(())
}

/// What the program says of `question`.
async fn think(thinker: &[String], question: &str) -> anyhow::Result<String> {
    let (program, arguments) = thinker.split_first().ok_or_else(|| anyhow::anyhow!("there is no program"))?;
    let mut thinking =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut input) = thinking.stdin.take() {
        input.write_all(question.as_bytes()).await?;
    }
    Ok(String::from_utf8_lossy(&thinking.wait_with_output().await?.stdout).into_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [platform, workspace, token_file, state_dir, thinker @ ..] = &*arguments else {
        anyhow::bail!("say PLATFORM WORKSPACE TOKEN_FILE STATE_DIR PROGRAM [ARGUMENT…]");
    };
    let builder = Runtime::builder().platform(platform).workspace(workspace).state_dir(state_dir);
    run(builder.token(TokenSource::file(token_file)).build().await?, thinker).await
}
