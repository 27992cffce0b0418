//! Which part may know of what. Each rule is checked against the sources.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Where a word may stand: the folder that is searched, the word, and the places that may use it.
const RULES: &[(&str, &str, &[&str])] = &[
    ("guest", "export!(", &["guest/component", "guest/plugin", "guest/serve"]),
    // Of the crates for other hosts one alone names WASI, and one file in it has the token.
    ("guest", "wasip2::", &["guest/program/src/lines.rs", "guest/serve/src/exports.rs", "guest/wasi"]),
    ("guest", "\"authorization\"", &["guest/serve/src/lib.rs", "guest/wasi/src/platform.rs"]),
    ("guest", "\"registry\"", &["guest/logic/src/platform"]),
    ("guest", "\"workspaces\"", &["guest/logic/src/platform"]),
    ("host", "AUTHORIZATION", &["host/runtime/src/platform/http"]),
    ("host", "reqwest::", &["host/runtime/src/platform/http"]),
    ("host", "rmcp::", &["host/cli/src/mcp"]),
    ("host", "clap::", &["host/cli/src/commands"]),
    ("host", "wasmtime", &["host/runtime/build.rs", "host/runtime/src/guest"]),
    ("host", "\"registry\"", &["host/runtime/src/presence"]),
    // The environment and the command line are the program's: a runtime that is embedded has neither.
    ("host", "env::var", &["host/cli/src/main.rs", "host/runtime/build.rs"]),
    ("host", "env::args", &["host/cli/src/main.rs", "host/runtime/examples"]),
    ("host", "env::home_dir", &["host/cli/src/main.rs"]),
    ("host/runtime", "env::", &["host/runtime/build.rs", "host/runtime/examples"]),
    // Uploads are streamed by the host, events are read by it, and tokens tried: these addresses of the platform are
    // spelled here.
    (
        "host",
        "\"workspaces\"",
        &[
            "host/cli/src/settings/config_file.rs",
            "host/cli/src/settings/workspaces/file.rs",
            "host/runtime/src/platform/attachments",
            "host/runtime/src/platform/http/events.rs",
            "host/runtime/src/presence/examine.rs",
            "host/runtime/src/presence/issued.rs",
        ],
    ),
];

/// The crates that the guest is made of: none of them reaches for a clock, a file, the network or chance.
const GUEST_DEPENDENCIES: &[&str] = &[
    "rand_chacha",
    "regex-lite",
    "schemars",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "sha2",
    "thiserror",
    "time",
    "uuid",
    "wit-bindgen",
];

#[test]
fn each_word_stands_only_where_it_may() {
    let mut broken = Vec::new();
    for (folder, word, places) in RULES {
        for (place, text) in sources(folder) {
            if !belongs(&place, places) && text.contains(word) {
                broken.push(format!("{place} names {word}, which belongs into {places:?}"));
            }
        }
    }

    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_rule_guards_something() {
    for (folder, word, places) in RULES {
        let used = sources(folder).iter().any(|(place, text)| belongs(place, places) && text.contains(word));

        assert!(used, "nothing in {places:?} names {word} any more");
    }
}

#[test]
fn the_guest_is_made_of_crates_without_powers() {
    let manifest = fs::read_to_string(root().join("guest/logic/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let names: BTreeSet<&str> =
        dependencies.lines().filter_map(|line| line.split_once(" =")).map(|pair| pair.0).collect();
    let allowed: BTreeSet<&str> = GUEST_DEPENDENCIES.iter().copied().collect();

    assert_eq!(names.difference(&allowed).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn the_runtime_knows_no_transport_and_no_command_line() {
    let manifest = fs::read_to_string(root().join("host/runtime/Cargo.toml")).unwrap();
    for name in ["clap", "molecule-mcp", "rmcp", "tracing-subscriber"] {
        let named = format!("\n{name} =");
        assert!(!manifest.contains(&named), "the runtime depends on {name}");
    }
    let program = fs::read_to_string(root().join("host/cli/Cargo.toml")).unwrap();
    assert!(program.contains("\nrmcp =") && program.contains("\nmolecule-runtime ="));
}

/// Whoever adds a tool writes its file, its row, a story, and lets the snapshot be written; all else follows.
#[test]
fn a_tool_costs_four_files() {
    let files: Vec<(String, String)> = ["guest/logic/src", "host", "tests/all/stories", "tests/clients"]
        .into_iter()
        .flat_map(sources)
        .collect();
    let snapshot = root().join("tests/all/surface/snapshots/surface__shown__tools.snap");
    let snapshot = fs::read_to_string(snapshot).unwrap();
    let tools = files.iter().filter_map(|(place, text)| Some((place, text.split("name: \"").nth(1)?)));
    let tools = tools.filter(|(place, _)| place.starts_with("guest/logic/src/tools/"));
    let tools: Vec<_> = tools.map(|(place, rest)| (place, rest.split('"').next().unwrap())).collect();
    assert!(tools.len() >= 11, "{tools:?}");
    for (place, tool) in tools {
        let named: Vec<&String> = files
            .iter()
            .filter(|(_, text)| text.contains(&format!("{tool}::")))
            .map(|(place, _)| place)
            .collect();
        assert_eq!(named.len(), 1, "the row of {tool}, which is in {place}: {named:?}");
        assert!(snapshot.contains(&format!("\n# {tool} (")), "no snapshot of {tool}");
        let has_story = files.iter().any(|(place, text)| {
            place.starts_with("tests/all/stories") && text.contains(&format!("\"{tool}\""))
        });
        assert!(has_story, "no story of {tool}");
    }
}

#[test]
fn bugs_are_planted_in_tests_alone() {
    let planted_in =
        |manifest: &str| fs::read_to_string(root().join(manifest)).unwrap().contains("planted-bugs");
    for manifest in [
        "Cargo.toml",
        "guest/component/Cargo.toml",
        "host/cli/Cargo.toml",
        "host/runtime/Cargo.toml",
        "tests/bench/Cargo.toml",
        "tests/standin/Cargo.toml",
    ] {
        assert!(!planted_in(manifest), "{manifest} plants bugs");
    }
    let logic = fs::read_to_string(root().join("guest/logic/Cargo.toml")).unwrap();
    assert!(
        logic.contains("\nplanted-bugs = []") && !logic.contains("\ndefault = "),
        "on without being asked for"
    );
    assert!(planted_in("tests/Cargo.toml"), "the simulator plants none any more");
}

fn belongs(place: &str, places: &[&str]) -> bool {
    places.iter().any(|allowed| place.starts_with(allowed))
}

/// The sources below a folder, by their place in the project, without their tests.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            if path.is_dir() && !["rig", "target", "tests"].contains(&&*name) {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let place = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                found.push((place, code));
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
