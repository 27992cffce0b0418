//! `molecule-mcp inbox`.

use clap::Args;

use super::{Context, print};
use crate::{inspect, settings, system};

/// How `molecule-mcp inbox` shows them.
#[derive(Debug, Args)]
pub struct Inbox {
    /// Print an object in a line for each workspace, for programs
    #[arg(long)]
    json: bool,
}

impl Inbox {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let places = settings::places(context.variable)?;
        let runtime = system::small_runtime()?;
        let mut shown = Vec::new();
        for place in &places {
            let seen = runtime.block_on(inspect::at(place))?;
            shown.push(if self.json { seen.json() } else { seen.table() });
        }
        Ok(print(&shown.join(if self.json { "" } else { "\n" })))
    }
}
