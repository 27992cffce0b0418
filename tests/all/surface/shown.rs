//! Snapshots of what users and agents see. After a change that is meant: `INSTA_UPDATE=always make test`,
//! which also writes the tables of the pages.

use std::{env, fmt::Write, fs, path::Path, sync::Mutex};

use molecule_mcp::commands;
use molecule_runtime::guest::wire::ToolSpec;
use serde_json::Value;

use crate::component::guest;

#[tokio::test]
async fn the_tools() {
    let specs = guest().specs().await.unwrap();

    insta::assert_snapshot!("tools", specs.iter().map(shown).collect::<String>());
}

#[tokio::test]
async fn the_instructions() {
    insta::assert_snapshot!("instructions", guest().instructions().await.unwrap());
}

#[test]
fn the_help() {
    insta::assert_snapshot!("help", commands::help());
}

/// The README's table of tools: the name of each, and how its description begins.
#[tokio::test]
async fn the_readme_lists_the_tools() {
    let rows: Vec<String> = guest().specs().await.unwrap().iter().map(row).collect();

    has_table("README.md", &format!("| Tool | What it does |\n|---|---|\n{}", rows.join("\n")));
}

#[test]
fn the_page_of_settings_lists_every_one() {
    has_table("docs/settings.md", molecule_mcp::env::markdown().trim_end());
}

/// The page has the table, which begins with its head; where snapshots are updated, it gets it.
fn has_table(page: &str, table: &str) {
    // Several tests write the same page.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
    let text = fs::read_to_string(&page).unwrap();
    let head = table.lines().next().unwrap();
    let (before, rest) = text.split_once(head).unwrap();
    let (old, after) = rest.split_once("\n\n").unwrap();
    if env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        fs::write(page, format!("{before}{table}\n\n{after}")).unwrap();
    } else {
        assert_eq!(format!("{head}{old}"), table);
    }
}

fn row(spec: &ToolSpec) -> String {
    let beginning = spec.description.split(['.', ':', ';']).next().unwrap();
    format!("| `{}` | {beginning} |", spec.name)
}

fn shown(spec: &ToolSpec) -> String {
    let marks = [
        ("read-only", spec.read_only),
        ("destructive", spec.destructive),
        ("idempotent", spec.idempotent),
        ("open-world", spec.open_world),
    ];
    let marks: Vec<_> = marks.iter().filter(|(_, set)| *set).map(|(mark, _)| *mark).collect();
    let schema: Value = serde_json::from_str(&spec.input_schema).unwrap();
    let mut text = format!("# {} ({})\n\n{}\n\n", spec.name, spec.title, spec.description);
    writeln!(text, "marks: {}\nmeta: {}", marks.join(", "), spec.meta.as_deref().unwrap_or("none")).unwrap();
    writeln!(text, "{}\n", serde_json::to_string_pretty(&schema).unwrap()).unwrap();
    text
}
