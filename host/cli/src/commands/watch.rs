//! `molecule-mcp watch`.

use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Context, DONE};
use crate::{
    log,
    settings::Settings,
    system,
    watch::{self, Job, Options},
};

/// How `molecule-mcp watch` waits for messages where no client is open.
#[derive(Debug, Args)]
#[command(after_help = "\
Without --exec each message is printed once, as a JSON object in a line, and counts as shown; it stays in the inbox until an agent
removes it. With --exec the command finds MOLECULE_UNREAD, MOLECULE_UNREAD_OF_USERS and MOLECULE_UNREAD_IDS in its environment and
the messages on its standard input; one run at a time, and while it runs an agent that it starts receives the messages. Messages that
are still there afterwards are run for again, after pauses that grow.

  molecule-mcp watch --exec 'claude -p \"Messages wait: call mcp__molecule__inbox_peek\" --allowedTools mcp__molecule < /dev/null'
  molecule-mcp watch --exec 'codex exec --skip-git-repo-check \"Messages wait: call inbox_peek of molecule\" < /dev/null'
  molecule-mcp watch --exec 'gemini -p \"Messages wait: call inbox_peek\" --allowed-mcp-server-names molecule < /dev/null'")]
pub struct Watch {
    /// Run this by /bin/sh when messages come
    #[arg(long, value_name = "COMMAND")]
    exec: Option<String>,
    /// End after the first messages, with the exit code of the command
    #[arg(long)]
    once: bool,
    /// Seconds to wait for more messages
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    debounce: u64,
    /// Seconds that the command may run
    #[arg(long, value_name = "SECONDS", default_value_t = 1_800, requires = "exec")]
    timeout: u64,
    /// How often the command is run in an hour at most
    #[arg(long, value_name = "N", default_value_t = 12, requires = "exec")]
    max_per_hour: u32,
    /// Also show a notice on the desktop
    #[arg(long)]
    notify: bool,
}

impl Watch {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let settings = Settings::from_env(context.variable)?;
        for warning in &settings.warnings {
            tracing::warn!("{warning}");
        }
        let Some(wake) = settings.wake.clone() else {
            log::say("MOLECULE_WAKE is 0, so that nothing is watched for");
            return Ok(super::MISCONFIGURED);
        };
        let config = settings.config(context.home.clone());
        let runtime = system::runtime()?;
        let ended = runtime.block_on(async {
            let (mut interrupt, mut terminate) =
                (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            tokio::select! {
                biased;
                _ = interrupt.recv() => Ok(DONE),
                _ = terminate.recv() => Ok(DONE),
                ended = watch::watch(&config, wake, self.options()) => ended,
            }
        });
        runtime.shutdown_background();
        ended
    }

    fn options(self) -> Options {
        let timeout = Duration::from_secs(self.timeout.max(1));
        Options {
            job: self.exec.map(|command| Job { command, timeout }),
            once: self.once,
            debounce: Duration::from_secs(self.debounce),
            most_an_hour: self.max_per_hour,
            notify: self.notify,
        }
    }
}
