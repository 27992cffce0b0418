//! Modules that import each other in a circle, counted from their `use` lines.
//!
//! Within a file nothing is a circle, and what a module says of its own children is none: a parent may name them. A
//! child that names its parent counts, if the parent imports something that leads back to the child.

use std::collections::{BTreeMap, BTreeSet};

use crate::boundaries::sources;

/// Modules by what they import.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
#[ignore = "the modules of the inbox and four pairs of the host still do"]
fn no_modules_import_each_other_in_a_circle() {
    for folder in ["guest/logic/src", "host/runtime/src", "host/cli/src"] {
        let imports = imports(folder);
        let circle: Vec<_> = imports
            .keys()
            .filter(|module| reaches(&imports, module, module))
            .map(|module| format!("{module} -> {:?}", imports[module]))
            .collect();

        assert!(circle.is_empty(), "{folder}:\n{}", circle.join("\n"));
    }
}

#[test]
fn a_circle_is_noticed() {
    let imports: Imports = [("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]
        .map(|(from, to)| (from.to_owned(), BTreeSet::from([to.to_owned()])))
        .into();

    assert!(["a", "b", "c"].iter().all(|module| reaches(&imports, module, module)));
    assert!(!reaches(&imports, "d", "d"));
}

#[test]
fn the_paths_of_a_use_are_found_however_they_are_nested() {
    assert_eq!(
        paths("crate::{a::{self, b::C}, d as e}"),
        ["crate::a::self", "crate::a::b::C", "crate::d as e"]
    );
    assert_eq!(paths("super::x"), ["super::x"]);
}

/// Whether a chain of imports leads from one module to another.
fn reaches(imports: &Imports, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in imports.get(module).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

fn imports(folder: &str) -> Imports {
    let sources: BTreeMap<Vec<String>, String> = sources(folder)
        .into_iter()
        .map(|(place, text)| {
            let path = place.strip_prefix(folder).unwrap().trim_start_matches('/').trim_end_matches(".rs");
            let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
            if parts.last().is_some_and(|last| ["lib", "main", "mod"].contains(&last.as_str())) {
                parts.pop();
            }
            (parts, text)
        })
        .collect();
    let mut imports = Imports::new();
    for (module, text) in &sources {
        for statement in uses(text) {
            for path in paths(&statement) {
                let target = target(module, &path, &sources);
                if let Some(target) = target.filter(|target| target != module) {
                    imports.entry(module.join("::")).or_default().insert(target.join("::"));
                }
            }
        }
    }
    imports
}

/// The `use` statements of a source, without the word and the semicolon, that name the crate or a parent.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find("use ") {
        let begins_line = rest[..place].rsplit('\n').next().is_some_and(|before| {
            before.is_empty() || (before.starts_with("pub") && !before.contains(['/', '"']))
        });
        rest = &rest[place + "use ".len()..];
        let statement = rest.split(';').next().unwrap_or_default();
        if begins_line && (statement.starts_with("crate::") || statement.starts_with("super::")) {
            found.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

/// Every path that a `use` names.
fn paths(statement: &str) -> Vec<String> {
    let Some((prefix, rest)) = statement.split_once('{') else { return vec![statement.trim().to_owned()] };
    let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let (mut found, mut depth, mut start) = (Vec::new(), 0_usize, 0);
    for (place, character) in inner.char_indices().chain([(inner.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner[start..place].trim();
                if !part.is_empty() {
                    found.extend(paths(&format!("{}{part}", prefix.trim())));
                }
                start = place + 1;
            }
            _ => {}
        }
    }
    found
}

/// The module that a path leads into.
fn target(module: &[String], path: &str, sources: &BTreeMap<Vec<String>, String>) -> Option<Vec<String>> {
    let mut parts = path.split(" as ").next()?.split("::").peekable();
    let mut at = match parts.next()? {
        "crate" => Vec::new(),
        _ => module.split_last()?.1.to_vec(),
    };
    while parts.next_if_eq(&"super").is_some() {
        at.pop();
    }
    let mut found = sources.contains_key(&at).then(|| at.clone());
    for part in parts {
        at.push(part.to_owned());
        if !sources.contains_key(&at) {
            break;
        }
        found = Some(at.clone());
    }
    found
}
