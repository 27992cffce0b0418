//! Snapshots of what users and agents see. After a change that is meant: `INSTA_UPDATE=always make test`.

use std::fmt::Write;

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
