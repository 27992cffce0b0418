//! An agent whose inbox is in a database in place of files.
//!
//! `cargo run -p molecule-runtime --example sqlite -- PLATFORM WORKSPACE TOKEN_FILE DATABASE`

#![expect(clippy::print_stderr, reason = "an example talks to whoever runs it")]

use std::{
    path::Path,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use futures::StreamExt as _;
use molecule_runtime::{FileChange, Kept, Runtime, Store, account::TokenSource};
use rusqlite::{Connection, OptionalExtension as _, Transaction};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, workspace TEXT NOT NULL, record TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS words (workspace TEXT, name TEXT, word TEXT NOT NULL, PRIMARY KEY (workspace, name));
";

/// The state of workspaces in a database of SQLite.
#[derive(Debug)]
pub struct Database(Mutex<Connection>);

impl Database {
    /// Opens the database, and makes it if there is none.
    ///
    /// # Errors
    /// When there can be none.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        // What was committed survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(TABLES)?;
        Ok(Self(Mutex::new(connection)))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Database {
    fn load(&self, workspace: &str) -> Result<Kept> {
        let connection = self.connection();
        let word = |name| {
            let query = "SELECT word FROM words WHERE workspace = ?1 AND name = ?2";
            connection.query_row(query, [workspace, name], |row| row.get(0)).optional()
        };
        let mut query =
            connection.prepare("SELECT record FROM records WHERE workspace = ?1 ORDER BY number")?;
        let records = query.query_map([workspace], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        Ok(Kept { cursor: word("cursor")?, records, secret: word("secret")? })
    }

    fn change(&self, workspace: &str, change: FileChange) -> Result<()> {
        let mut connection = self.connection();
        let change_of = connection.transaction()?;
        match change {
            FileChange::Append(append) => add(&change_of, workspace, &append.records)?,
            FileChange::Rewrite(rewrite) => {
                change_of.execute("DELETE FROM records WHERE workspace = ?1", [workspace])?;
                add(&change_of, workspace, &rewrite.records)?;
            }
            FileChange::Cursor(cursor) => set(&change_of, workspace, "cursor", cursor.id)?,
            FileChange::InboundSecret(secret) => set(&change_of, workspace, "secret", Some(secret))?,
        }
        Ok(change_of.commit()?)
    }
}

fn add(change: &Transaction<'_>, workspace: &str, records: &[String]) -> Result<()> {
    let mut insert = change.prepare_cached("INSERT INTO records (workspace, record) VALUES (?1, ?2)")?;
    for record in records {
        insert.execute([workspace, record])?;
    }
    Ok(())
}

fn set(change: &Transaction<'_>, workspace: &str, name: &str, word: Option<String>) -> Result<()> {
    change.execute("DELETE FROM words WHERE workspace = ?1 AND name = ?2", [workspace, name])?;
    if let Some(word) = word {
        change.execute("INSERT INTO words VALUES (?1, ?2, ?3)", [workspace, name, &word])?;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [platform, workspace, token_file, database] = &*arguments else {
        anyhow::bail!("say PLATFORM WORKSPACE TOKEN_FILE DATABASE");
    };
    let runtime = Runtime::builder()
        .platform(platform)
        .workspace(workspace)
        .token(TokenSource::file(token_file))
        .store(Database::open(Path::new(database))?)
        .build()
        .await?;
    let mut messages = pin!(runtime.messages());
    while let Some(message) = messages.next().await {
        eprintln!("{}", message.text);
    }
    Ok(())
}
