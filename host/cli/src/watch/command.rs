//! The command of `molecule-mcp watch --exec`.

use std::{process::Stdio, time::Duration};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value, json};
use tokio::{io::AsyncWriteExt as _, process::Command, time};

use crate::{env, wake::CREDENTIALS_OF_CLIENTS};

/// Between asking a command to end, and ending it.
const GRACE: Duration = Duration::from_secs(5);

/// As `timeout` of coreutils has it.
const TIMED_OUT: i32 = 124;

/// What is run for messages.
#[derive(Debug)]
pub struct Job {
    /// For a shell.
    pub command: String,
    /// How long it may run.
    pub timeout: Duration,
}

impl Job {
    /// Runs it: numbers and ids are in its environment, the messages come on its standard input, a JSON object a line.
    /// Returns its exit code.
    pub(super) async fn run(&self, messages: &[Map<String, Value>]) -> anyhow::Result<i32> {
        let is_of_user = |message: &&Map<String, Value>| message.get("kind") == Some(&json!("canvas_user"));
        let ids: Vec<_> =
            messages.iter().filter_map(|message| message.get("activity_id")?.as_str()).collect();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &self.command]).stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
        command.env("MOLECULE_UNREAD", messages.len().to_string());
        command.env("MOLECULE_UNREAD_OF_USERS", messages.iter().filter(is_of_user).count().to_string());
        command.env("MOLECULE_UNREAD_IDS", ids.join(","));
        without_credentials(&mut command);
        let mut child = command.spawn().context("the command does not start")?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let lines: String = messages.iter().map(|message| format!("{}\n", json!(message))).collect();
        let mut input = child.stdin.take();
        let told = async move {
            if let Some(input) = &mut input {
                // A command that does not read them needs none.
                let _ = input.write_all(lines.as_bytes()).await;
            }
        };
        let ended = async { tokio::join!(child.wait(), told).0 };
        if let Ok(status) = time::timeout(self.timeout, ended).await {
            return Ok(status.context("the command is lost")?.code().unwrap_or(TIMED_OUT));
        }
        tracing::warn!("the command has run for {} s, and is ended", self.timeout.as_secs());
        for signal in [Signal::TERM, Signal::KILL] {
            if let Some(group) = group {
                let _ = kill_process_group(group, signal);
            }
            if time::timeout(GRACE, child.wait()).await.is_ok() {
                break;
            }
        }
        Ok(TIMED_OUT)
    }
}

/// No credential of ours, or of a session that started this process, goes on to another program.
fn without_credentials(command: &mut Command) {
    for name in CREDENTIALS_OF_CLIENTS.into_iter().chain([env::WORKSPACE_TOKEN.name, env::WORKSPACES.name]) {
        command.env_remove(name);
    }
}

/// Shows a notice on the desktop, if there is one: numbers alone.
pub(super) fn notify(messages: usize) {
    let text = if messages == 1 { "1 message waits".to_owned() } else { format!("{messages} messages wait") };
    let mut command = if cfg!(target_os = "macos") {
        let mut command = Command::new("osascript");
        command.args(["-e", &format!("display notification \"{text}\" with title \"molecule-mcp\"")]);
        command
    } else {
        let mut command = Command::new("notify-send");
        command.args(["molecule-mcp", &text]);
        command
    };
    without_credentials(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(mut child) => {
            tokio::spawn(async move { child.wait().await });
        }
        Err(cause) => tracing::warn!("no notice is shown: {cause}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_command_has_counts_and_ids_in_its_environment_and_the_words_on_its_input_alone() {
        let directory = TempDir::new().unwrap();
        let seen = directory.path().join("seen");
        let job = job(&format!("(env; echo ---; cat) > {}; exit 3", seen.display()), 30);

        let code = job.run(&[message("row-1", "canvas_user"), message("row-2", "peer_agent")]).await.unwrap();

        let seen = fs::read_to_string(seen).unwrap();
        let (environment, input) = seen.split_once("---\n").unwrap();
        assert_eq!(code, 3);
        assert!(environment.contains("MOLECULE_UNREAD=2\n"), "{environment}");
        assert!(environment.contains("MOLECULE_UNREAD_OF_USERS=1\n"), "{environment}");
        assert!(environment.contains("MOLECULE_UNREAD_IDS=row-1,row-2\n") && !environment.contains("canary"));
        assert_eq!(input.lines().count(), 2);
        assert!(input.contains("canary of row-1"), "{input}");
    }

    #[tokio::test]
    async fn a_command_that_takes_too_long_is_ended_with_all_that_it_has_started() {
        let job = job("sleep 60 & sleep 60; wait", 0);

        assert_eq!(job.run(&[message("row-1", "canvas_user")]).await.unwrap(), TIMED_OUT);
    }

    #[tokio::test]
    async fn a_command_that_reads_nothing_is_no_failure() {
        assert_eq!(job("true", 30).run(&[message("row-1", "canvas_user")]).await.unwrap(), 0);
    }

    fn job(command: &str, secs: u64) -> Job {
        Job { command: command.to_owned(), timeout: Duration::from_secs(secs) }
    }

    fn message(id: &str, kind: &str) -> Map<String, Value> {
        let json = json!({"activity_id": id, "kind": kind, "text": format!("canary of {id}")});
        json.as_object().cloned().unwrap()
    }
}
