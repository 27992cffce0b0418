//! An inbox as it lies on the disk.
//!
//! ```text
//! files ── read, never changed ──► component: what it means ──┐
//!   └── sizes, damage, lock ──────────────────────────────────┴──► facts
//! ```
//!
//! A process that serves meanwhile is not disturbed, and may be a moment ahead.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use molecule_journal::{self as journal, JOURNAL_BYTES, Recovered};
use serde_json::{Map, Value, json};
use url::Url;

pub use crate::storage::paths::Naming;
use crate::{
    config::ToolOptions,
    guest::{
        Guest,
        wire::{self, Saved, WorkspaceSettings},
    },
    storage::{
        atomic,
        lock::{self, Holder},
        paths::InboxPaths,
        small_file::{self, Links, Unreadable},
    },
};

/// Where the files of a workspace are, and which workspace it is: all that is needed to look at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The base of all platform addresses, as in [`crate::Config`].
    pub platform: Url,
    /// The id of the workspace.
    pub workspace: String,
    /// The directory of state, also if it cannot be written.
    pub state: Option<PathBuf>,
    /// How its files are named.
    pub naming: Naming,
}

/// Looks at the inbox of a workspace: what waits, how far fetching and handling have come, and the files.
///
/// # Errors
/// When the component cannot be loaded, or stops at what it finds.
pub async fn at(place: &Place) -> anyhow::Result<Map<String, Value>> {
    let paths = place
        .state
        .as_ref()
        .map(|state| InboxPaths::new(state, &place.platform, &place.workspace, &place.naming));
    let file = paths.as_ref().map(|paths| JournalSeen::at(&paths.journal)).unwrap_or_default();
    let saved = Saved {
        cursor: paths.as_ref().and_then(InboxPaths::read_cursor),
        journal: file.recovered.records.clone(),
        damaged_after: file.damaged_after(),
    };
    let said = Guest::embedded(settings(place))?.describe(0, &saved).await?;
    let mut seen = match serde_json::from_str(&said) {
        Ok(Value::Object(seen)) => seen,
        Ok(_) | Err(_) => Map::new(),
    };
    seen.insert("workspace".to_owned(), json!(place.workspace));
    seen.insert("platform".to_owned(), json!(place.platform.as_str().trim_end_matches('/')));
    seen.insert("files".to_owned(), paths.map_or(Value::Null, |paths| files(&paths, &saved, &file)));
    Ok(seen)
}

/// Who holds the lock of an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// No process.
    Free,
    /// A process.
    Held {
        /// Its id, if it has written that down.
        process: Option<u32>,
        /// Which it is and since when, for people.
        holder: String,
    },
    /// That cannot be told.
    Unknown {
        /// The file of the lock.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// Who holds the lock of the inbox at `place`; none where nothing is kept. Disturbs no process that takes it.
#[must_use]
pub fn lock(place: &Place) -> Option<Lock> {
    let state = place.state.as_ref()?;
    let path = InboxPaths::new(state, &place.platform, &place.workspace, &place.naming).lock;
    Some(match lock::holder(&path) {
        Holder::Held(holder) => Lock::Held { process: holder.process(), holder: holder.to_string() },
        Holder::Nobody => Lock::Free,
        Holder::Unknown(why) => Lock::Unknown { path, why },
    })
}

/// Loads the component and makes an instance of it.
///
/// # Errors
/// When the component cannot be loaded, or the system does not give what an instance needs.
pub async fn component() -> anyhow::Result<()> {
    let workspace = WorkspaceSettings { id: "doctor".to_owned(), platform: String::new() };
    Guest::embedded(ToolOptions::default().settings((0, 0, 0, 0), vec![workspace], false))?.prepare().await
}

/// Writes a file in `directory`, as state is written, and removes it.
///
/// # Errors
/// When it cannot be written.
pub fn try_to_write(directory: &Path) -> io::Result<()> {
    let mut file = atomic::temporary(directory)?;
    file.write_all(&[b'x'; 4_096])?;
    file.as_file().sync_all()
}

/// What the file of a journal holds.
#[derive(Debug, Default)]
struct JournalSeen {
    /// None if there is no file, or it cannot be read.
    bytes: Option<usize>,
    recovered: Recovered,
    /// Why it cannot be read.
    unreadable: Option<String>,
}

impl JournalSeen {
    fn at(path: &Path) -> Self {
        match small_file::read(path, JOURNAL_BYTES, Links::Refused) {
            Ok(file) => Self {
                bytes: Some(file.bytes.len()),
                recovered: journal::recover(&file.bytes),
                unreadable: None,
            },
            Err(Unreadable::Absent) => Self::default(),
            Err(why) => Self { unreadable: Some(why.to_string()), ..Self::default() },
        }
    }

    fn damaged_after(&self) -> Option<u32> {
        self.recovered.damage().or(self.unreadable.is_some().then_some(0))
    }
}

fn files(paths: &InboxPaths, saved: &Saved, file: &JournalSeen) -> Value {
    let (held, holder, unknown) = match lock::holder(&paths.lock) {
        Holder::Held(holder) => (Some(true), Some(holder.to_string()), None),
        Holder::Nobody => (Some(false), None, None),
        Holder::Unknown(why) => (None, None, Some(why)),
    };
    let copies: Vec<_> = paths.copies.iter().filter(|copy| copy.exists()).map(|copy| shown(copy)).collect();
    json!({
        "cursor": { "path": shown(&paths.cursor), "id": saved.cursor },
        "journal": {
            "path": shown(&paths.journal),
            "bytes": file.bytes,
            "records": saved.journal.len(),
            "damaged_after": saved.damaged_after,
            "torn_bytes": file.recovered.torn,
            "unreadable": file.unreadable,
        },
        "lock": { "path": shown(&paths.lock), "held": held, "holder": holder, "unknown": unknown },
        "copies_of_damage": copies,
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Enough for a component that is asked nothing else.
fn settings(place: &Place) -> wire::Settings {
    let workspace = WorkspaceSettings { id: place.workspace.clone(), platform: String::new() };
    ToolOptions::default().settings((0, 0, 0, 0), vec![workspace], true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn nothing_on_disk_is_an_empty_inbox_and_stays_nothing() {
        let above = TempDir::new().unwrap();
        let place = place(Some(above.path().join("configs")));

        let seen = at(&place).await.unwrap();

        let json = Value::Object(seen);
        assert_eq!(
            (&json["workspace"], &json["platform"]),
            (&json!("w"), &json!("https://acme.example.com"))
        );
        assert_eq!(json["files"]["journal"]["bytes"], Value::Null);
        assert_eq!(json["files"]["lock"]["held"], json!(false));
        assert!(!above.path().join("configs").exists());
    }

    #[tokio::test]
    async fn sizes_and_damage_are_told_and_no_file_is_touched() {
        let directory = TempDir::new().unwrap();
        let place = place(Some(directory.path().to_owned()));
        let paths = InboxPaths::new(directory.path(), &place.platform, "w", &place.naming);
        let content = b"not a line\ntorn";
        fs::write(&paths.journal, content).unwrap();
        fs::write(&paths.cursor, "row-1").unwrap();
        fs::write(&paths.copies[0], "").unwrap();

        let seen = at(&place).await.unwrap();

        let json = Value::Object(seen);
        let journal = &json["files"]["journal"];
        assert_eq!((&journal["bytes"], &journal["torn_bytes"]), (&json!(15), &json!(4)));
        assert_eq!((&journal["records"], &journal["damaged_after"]), (&json!(0), &json!(0)));
        assert_eq!(json["files"]["cursor"]["id"], json!("row-1"));
        assert_eq!(json["files"]["copies_of_damage"], json!([shown(&paths.copies[0])]));
        assert_eq!(fs::read(&paths.journal).unwrap(), content);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }

    #[tokio::test]
    async fn a_journal_that_cannot_be_read_is_told() {
        let directory = TempDir::new().unwrap();
        let place = place(Some(directory.path().to_owned()));
        let paths = InboxPaths::new(directory.path(), &place.platform, "w", &place.naming);
        fs::create_dir(&paths.journal).unwrap();

        let seen = at(&place).await.unwrap();

        assert_eq!(seen["files"]["journal"]["unreadable"], json!("is not a regular file"));
    }

    #[tokio::test]
    async fn without_a_directory_there_is_nothing_to_see() {
        let seen = at(&place(None)).await.unwrap();

        assert_eq!(seen["files"], Value::Null);
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
