//! `molecule-mcp man`.

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;

use super::{CommandLine, Context, print};

/// There is one page.
#[derive(Debug, Args)]
pub struct Man {}

impl Man {
    pub(super) fn run(self, _: &Context) -> anyhow::Result<i32> {
        let mut page = Vec::new();
        Page::new(CommandLine::command()).render(&mut page)?;
        Ok(print(&String::from_utf8_lossy(&page)))
    }
}
