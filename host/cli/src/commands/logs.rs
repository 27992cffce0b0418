//! `molecule-mcp logs`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::{Context, print};
use crate::{
    env,
    log::{self, Entry, Recorded},
    settings,
};

/// How `molecule-mcp logs` shows them.
#[derive(Debug, Args)]
pub struct Logs {
    /// Print an object in a line for each line, for programs
    #[arg(long)]
    json: bool,
    /// Print so many lines of each process
    #[arg(short = 'n', long, default_value_t = 50, value_name = "COUNT")]
    lines: usize,
    /// Print only those of this process
    pid: Option<u32>,
}

impl Logs {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let directory = settings::state_directory(context.variable)?.with_context(|| {
            format!("there is no directory of state to look in: set {}", env::CONFIGS_DIR.name)
        })?;
        let recorded = log::recorded(&directory);
        let wanted = recorded.iter().filter(|one| self.pid.is_none() || one.pid == self.pid);
        let texts: Vec<_> = wanted.map(|one| self.text(one)).collect();
        if texts.is_empty() && !self.json {
            return Ok(print(&format!(
                "No lines are kept in {}.\nA process keeps its lines from the beginning of its session on.\n",
                directory.display()
            )));
        }
        Ok(print(&texts.join(if self.json { "" } else { "\n" })))
    }

    fn text(&self, one: &Recorded) -> String {
        let entries = one.entries.iter().skip(one.entries.len().saturating_sub(self.lines));
        if self.json {
            let line = |entry: &Entry| {
                let mut line = json!(entry);
                if let Some(object) = line.as_object_mut() {
                    object.insert("pid".to_owned(), json!(one.pid));
                }
                format!("{line}\n")
            };
            return entries.map(line).collect();
        }
        let pid = one.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
        let state = if one.runs { "runs" } else { "has ended" };
        let lines: String = entries.map(line).collect();
        format!("Process {pid} ({state})\n{lines}")
    }
}

fn line(entry: &Entry) -> String {
    let Entry { at, level, area, workspace, text } = entry;
    let about = workspace.as_ref().map(|id| format!("[{id}] ")).unwrap_or_default();
    let text = log::escaped(&format!("{at} {level:<5} {area:<9} {about}{text}"));
    format!("  {text}\n")
}
