//! `molecule-mcp status`.

use std::{io, io::IsTerminal as _, thread, time::Duration};

use anyhow::Context as _;
use clap::Args;
use molecule_runtime::status::ask_all;

use super::{Context, DONE, FAILED};
use crate::{
    settings,
    status::{self, Seen},
    stdio::patient,
    system,
};

/// Between two looks.
const WATCH_EVERY: Duration = Duration::from_secs(2);
/// The cursor to the upper left, and nothing left below it.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// How `molecule-mcp status` shows them.
#[derive(Debug, Args)]
pub struct Status {
    /// Print an object in a line, for programs
    #[arg(long)]
    json: bool,
    /// Look again every 2 s, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let directory = settings::state_directory(context.variable)?.with_context(|| {
            format!("there is no directory of state to look in: set {}", crate::env::CONFIGS_DIR.name)
        })?;
        let runtime = system::runtime()?;
        let clears = self.watch && !self.json && io::stdout().is_terminal();
        loop {
            let seen =
                Seen { processes: runtime.block_on(ask_all(&directory)), directory: directory.clone() };
            let shown = if self.json { seen.json() } else { status::table(&seen) };
            let shown = if clears { format!("{CLEAR}{shown}") } else { shown };
            // A reader that has seen enough is no failure.
            let is_read = patient::write_all(io::stdout(), shown.as_bytes()).is_ok();
            if !self.watch || !is_read {
                return Ok(if seen.is_well() { DONE } else { FAILED });
            }
            thread::sleep(WATCH_EVERY);
        }
    }
}
