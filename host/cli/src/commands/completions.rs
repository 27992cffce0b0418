//! `molecule-mcp completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{CommandLine, Context, print};

/// For which shell.
#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, _: &Context) -> anyhow::Result<i32> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "molecule-mcp", &mut script);
        Ok(print(&String::from_utf8_lossy(&script)))
    }
}
