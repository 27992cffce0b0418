//! What `molecule-mcp inbox` prints: an inbox as it lies on the disk, as a table for people or as JSON.
//!
//! A process that serves meanwhile is not disturbed, and may be a moment ahead.

mod table;

use molecule_runtime::inspect::{self, Place};
use serde_json::{Map, Value};

/// An inbox as it was at one moment.
#[derive(Debug)]
pub struct Seen(Map<String, Value>);

/// Looks at the inbox of a workspace.
///
/// # Errors
/// When the component cannot be loaded, or stops at what it finds.
pub async fn at(place: &Place) -> anyhow::Result<Seen> {
    Ok(Seen(inspect::at(place).await?))
}

impl Seen {
    /// For programs: an object in one line.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{}\n", Value::Object(self.0.clone()))
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        table::of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use molecule_runtime::inspect::Naming;
    use tempfile::TempDir;
    use url::Url;

    use super::*;

    #[tokio::test]
    async fn nothing_on_disk_is_an_empty_inbox() {
        let above = TempDir::new().unwrap();

        let seen = at(&place(Some(above.path().join("configs")))).await.unwrap();

        assert!(seen.table().contains("nobody"), "{}", seen.table());
        assert!(seen.json().contains(r#""workspace":"w""#), "{}", seen.json());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_told() {
        let directory = TempDir::new().unwrap();
        let place = place(Some(directory.path().to_owned()));
        let seen = at(&place).await.unwrap();
        let journal = seen.0["files"]["journal"]["path"].as_str().unwrap().to_owned();

        fs::write(&journal, "not a line\ntorn").unwrap();
        let damaged = at(&place).await.unwrap().table();
        fs::remove_file(&journal).unwrap();
        fs::create_dir(&journal).unwrap();
        let unreadable = at(&place).await.unwrap().table();

        assert!(damaged.contains("damaged"), "{damaged}");
        assert!(unreadable.contains("is not a regular file"), "{unreadable}");
    }

    #[tokio::test]
    async fn without_a_directory_there_is_nothing_to_see() {
        let seen = at(&place(None)).await.unwrap();

        assert!(seen.json().contains(r#""files":null"#), "{}", seen.json());
        assert!(seen.table().contains("CONFIGS_DIR"), "{}", seen.table());
    }

    fn place(state: Option<PathBuf>) -> Place {
        Place {
            platform: Url::parse("https://acme.example.com/").unwrap(),
            workspace: "w".to_owned(),
            state,
            naming: Naming::of(&["w"]).remove(0),
        }
    }
}
