//! The table of measures, as Markdown.

use std::fmt::Write;

/// One measure.
pub(crate) struct Row {
    pub(crate) measure: &'static str,
    pub(crate) ours: String,
    /// Of the bare server, where it has one.
    pub(crate) floor: String,
    pub(crate) ratio: String,
    pub(crate) budget: String,
    pub(crate) held: bool,
}

pub(crate) fn markdown(rows: &[Row]) -> String {
    let head = ["Measure", "molecule-mcp", "bare server", "ratio", "budget", "verdict"].map(str::to_owned);
    let mut lines = vec![head];
    for row in rows {
        let verdict = if row.held { "held" } else { "**broken**" };
        let cells = [row.measure, &row.ours, &row.floor, &row.ratio, &row.budget, verdict];
        lines.push(cells.map(str::to_owned));
    }
    let mut widths = [0; 6];
    for cells in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut table = String::new();
    for (place, cells) in lines.iter().enumerate() {
        push(&mut table, cells, widths);
        if place == 0 {
            push(&mut table, &widths.map(|width| "-".repeat(width)), widths);
        }
    }
    table
}

fn push(table: &mut String, cells: &[String; 6], widths: [usize; 6]) {
    for (cell, width) in cells.iter().zip(widths) {
        let _ = write!(table, "| {cell:<width$} ");
    }
    table.push_str("|\n");
}

/// The page that the table stands on.
pub(crate) fn page(machine: &str, table: &str) -> String {
    format!(
        "# Benchmarks\n\n\
         `make bench` wrote this page: release builds with the same flags, measured in turn on one machine, \
         medians of several\nruns. The bare server is an MCP server over the same library with nothing behind \
         it (`tests/bench`); the platform is\nthe stand-in on the loopback interface, in a process of its own. A dash stands where the \
         bare server has no such thing.\nMany workspaces in one process: [fleet.md](fleet.md).\n\n\
         Machine: {machine}.\n\n{table}"
    )
}
