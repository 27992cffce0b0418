//! Links between the pages lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_link_of_a_page_leads_to_a_file_and_a_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "host/node/README.md", "host/python/README.md"]
            .map(|page| root.join(page))
            .into();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|page| page.extension().is_some_and(|extension| extension == "md")));

    let dead: Vec<_> = pages
        .iter()
        .flat_map(|page| links(&fs::read_to_string(page).unwrap()).into_iter().map(move |link| (page, link)))
        .filter(|(page, link)| !leads_somewhere(page, link))
        .collect();

    assert_eq!(dead, []);
}

/// Those to other places of the repository.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://") && !target.is_empty()).map(str::to_owned).collect()
}

fn leads_somewhere(page: &Path, link: &str) -> bool {
    let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    let Some(heading) = heading else { return target.exists() };
    let text = fs::read_to_string(target).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
}

/// As the book and the hosts of repositories make it of a heading.
fn anchor(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase();
    words
        .chars()
        .filter(|letter| letter.is_alphanumeric() || "-_ ".contains(*letter))
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn a_dead_link_is_found() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");

    assert!(leads_somewhere(&here, "docs/inbox.md") && leads_somewhere(&here, "#settings"));
    assert!(!leads_somewhere(&here, "docs/none.md") && !leads_somewhere(&here, "docs/inbox.md#none"));
}
