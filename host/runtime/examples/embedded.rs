//! An agent of twenty lines: it lists its peers, and answers each message with its own words.
//!
//! `cargo run -p molecule-runtime --example embedded -- PLATFORM WORKSPACE TOKEN_FILE STATE_DIR`

#![expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]

use std::{path::PathBuf, pin::pin};

use futures::StreamExt as _;
use molecule_runtime::{Runtime, account::TokenSource};
use serde_json::json;

/// Where the agent works, and how many messages it answers before it ends.
pub struct Job {
    /// The base address of the platform.
    pub platform: String,
    /// The id of the workspace.
    pub workspace: String,
    /// The file that holds its token.
    pub token_file: PathBuf,
    /// A directory for the state.
    pub state_dir: PathBuf,
    /// Messages to answer.
    pub messages: usize,
}

/// Does the job.
///
/// # Errors
/// When there is no runtime, or it stops.
pub async fn run(job: Job) -> anyhow::Result<()> {
    let runtime = Runtime::builder()
        .platform(job.platform)
        .workspace(job.workspace)
        .token(TokenSource::file(job.token_file))
        .state_dir(job.state_dir)
        .build()
        .await?;
    eprintln!("{} tools", runtime.tools().await?.len());
    eprintln!("{}", runtime.call_tool("list_peers", json!({})).await?.text.join("\n"));
    let mut messages = pin!(runtime.messages().take(job.messages));
    while let Some(message) = messages.next().await {
        let answer = format!("You said: {}", message.text);
        // A message is removed when the next one is asked for, so this one comes again if the answer fails.
        runtime.call_tool("send_message_to_user", json!({ "message": answer })).await?;
    }
    runtime.shutdown().await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = move || arguments.next().unwrap_or_default();
    let (platform, workspace) = (next(), next());
    let (token_file, state_dir) = (next().into(), next().into());
    run(Job { platform, workspace, token_file, state_dir, messages: usize::MAX }).await
}
