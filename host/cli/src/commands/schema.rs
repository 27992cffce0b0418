//! `molecule-mcp schema`.

use clap::Args;

use super::{Context, print};
use crate::settings;

/// There is one schema.
#[derive(Debug, Args)]
pub struct Schema {}

impl Schema {
    pub(super) fn run(self, _: &Context) -> anyhow::Result<i32> {
        Ok(print(&format!("{:#}\n", settings::schema())))
    }
}
