//! What `molecule-mcp wake` has noted for all processes of a directory of state: off, or muted for a while.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

const FILE: &str = ".mcp_wake.json";

/// More than that is not ours.
const MOST_BYTES: u64 = 4_096;

/// The file that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch(Option<PathBuf>);

/// What it says; nothing where there is no file.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Nothing rings.
    #[serde(default)]
    pub off: bool,
    /// Nothing rings before this time.
    #[serde(default)]
    pub muted_until: Option<Timestamp>,
}

impl Switch {
    /// Where nothing is kept.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// In a directory of state.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self(Some(directory.join(FILE)))
    }

    /// What is noted; a file that cannot be read says nothing.
    #[must_use]
    pub fn read(&self) -> Noted {
        let Some(path) = &self.0 else { return Noted::default() };
        let is_small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MOST_BYTES);
        let text = is_small.then(|| fs::read_to_string(path).ok()).flatten();
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Switches rings on, which also ends a pause, or off.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn turn(&self, on: bool) -> io::Result<()> {
        self.write(&Noted { off: !on, muted_until: None })
    }

    /// There are no rings before `until`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn mute_until(&self, until: Timestamp) -> io::Result<()> {
        self.write(&Noted { muted_until: Some(until), ..self.read() })
    }

    fn write(&self, noted: &Noted) -> io::Result<()> {
        let no_place = || io::Error::new(io::ErrorKind::NotFound, "there is no directory for state");
        let path = self.0.as_deref().ok_or_else(no_place)?;
        let directory = path.parent().ok_or_else(no_place)?;
        fs::create_dir_all(directory)?;
        let mut file = NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut file, noted)?;
        file.flush()?;
        file.persist(path)?;
        Ok(())
    }
}
