//! `molecule-mcp doctor`.

use std::{io, io::IsTerminal as _, path::PathBuf};

use clap::Args;

use super::{Context, DONE, FAILED, MISCONFIGURED, print};
use crate::{
    doctor::{self, Patient},
    log, system,
};

/// How `molecule-mcp doctor` looks.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print an object in a line, for programs
    #[arg(long)]
    json: bool,
    /// Start this program, as a client would, in place of this one; `none` starts no program
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

impl Doctor {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let program = match self.program {
            Some(chosen) => Some(chosen).filter(|chosen| chosen.as_os_str() != "none"),
            None => std::env::current_exe().ok(),
        };
        let patient = Patient {
            variable: context.variable,
            names: context.names.clone(),
            home: context.home.clone(),
            program,
        };
        let runtime = match system::runtime() {
            Ok(runtime) => runtime,
            Err(cause) => {
                log::say(&format!("molecule-mcp doctor cannot run: {cause:#}"));
                return Ok(MISCONFIGURED);
            }
        };
        let report = runtime.block_on(doctor::examine(patient));
        // A look-up of a name, or a file system that hangs, is not waited for.
        runtime.shutdown_background();
        let is_coloured =
            io::stdout().is_terminal() && (context.variable)("NO_COLOR").is_none_or(|set| set.is_empty());
        print(&if self.json { report.json() } else { report.text(is_coloured) });
        Ok(if report.is_well() { DONE } else { FAILED })
    }
}
