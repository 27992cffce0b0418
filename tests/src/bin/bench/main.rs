//! What `molecule-mcp` costs beside an MCP server that does nothing: `bench DIRECTORY [--write FILE | --only GROUP]`,
//! and what many workspaces cost in one process: `bench DIRECTORY --fleet WORKSPACES [SECONDS]`.
//!
//! ```text
//! driver ── raw pipes ──► molecule-mcp, then bare-server ── HTTP ──► standin
//! ```
//!
//! All three lie in the directory, built with the same flags. Both servers are measured in turn, several times,
//! and the medians are compared, so that a busy machine is unfair to both. Ends with 0 if every budget is held.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a table is what this program is for")]

mod driver;
mod fleet;
mod inbox;
mod loads;
mod machine;
mod measures;
mod platform;
mod proxy;
mod table;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::measures::Bench;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let Some(directory) = arguments.next().map(PathBuf::from) else {
        eprintln!(
            "usage: bench DIRECTORY [--write FILE | --only GROUP | --fleet WORKSPACES [SECONDS]]; the directory holds \
             molecule-mcp, bare-server and standin"
        );
        return ExitCode::from(2);
    };
    let (option, value) = (arguments.next(), arguments.next());
    let held = match option.as_deref() {
        Some("--write") => run(directory, value.map(PathBuf::from), None),
        Some("--only") => run(directory, None, value.as_deref()),
        Some("--fleet") => fleet(&directory, value.as_deref(), arguments.next().as_deref()),
        _ => run(directory, None, None),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a budget is broken");
            ExitCode::FAILURE
        }
        Err(err) => {
            eprintln!("the bench failed: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether many workspaces in one process hold their budgets.
fn fleet(directory: &Path, workspaces: Option<&str>, seconds: Option<&str>) -> Result<bool> {
    let number = |text: Option<&str>, default| text.map_or(Ok(default), str::parse);
    let workspaces = number(workspaces, 1_000).context("how many workspaces?")?;
    let seconds = number(seconds, 900).context("for how many seconds?")?;
    let rows = fleet::rows(directory, workspaces, Duration::from_secs(seconds.into()))?;
    println!("{workspaces} workspaces for {seconds} s\n\n{}", table::markdown(&rows));
    Ok(rows.iter().all(|row| row.held))
}

/// Whether every budget is held.
fn run(directory: PathBuf, file: Option<PathBuf>, only: Option<&str>) -> Result<bool> {
    let bench = Bench::new(directory);
    let rows = bench.rows(only, |done| eprintln!("measured: {done}"))?;
    let table = table::markdown(&rows);
    println!("{table}");
    if let Some(file) = file {
        let page = table::page(&machine::shape()?, &table);
        fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(rows.iter().all(|row| row.held))
}
