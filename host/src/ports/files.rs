//! The two files of a workspace: the inbox cursor and the inbound secret.
//!
//! ```text
//! content ──► the same? ──► temporary file, 0600, synced ──► renamed ──► directory synced
//! ```
//!
//! A file is replaced as a whole, so that a crash leaves the old one or the new one. Renaming also
//! replaces links instead of following them. The directory is made by the first change, and made
//! again if somebody removes it.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use tempfile::NamedTempFile;
use tokio::{sync::Mutex, task};

use crate::{
    guest::wire::{CursorChange, FileChange, FileUpdate, Outcome},
    log,
    small_file::{self, Exposure, Links, SmallFile, Unreadable},
};

const CURSOR: &str = ".mcp_inbox_cursor";
const SECRET: &str = ".platform_inbound_secret";

/// A row id has 36 characters.
const CURSOR_BYTES: u64 = 256;
const SECRET_BYTES: u64 = 64 << 10;

const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_DIRECTORY: u32 = 0o700;

const TEMPORARY_PREFIX: &str = ".molecule-mcp-";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// A temporary file lives for milliseconds; another process may be writing a younger one.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// The files in one directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Files {
    configs: Option<PathBuf>,
    /// Held while a file changes: changes happen one after the other, in the order they were asked for.
    writer: Arc<Mutex<Writer>>,
}

/// What the process knows about the state of the disk.
#[derive(Debug, Default)]
struct Writer {
    /// Temporary files of a crashed process have been removed.
    swept: bool,
    /// The last change failed, so that a file that looks right may not survive a crash.
    in_doubt: bool,
}

impl Files {
    /// Files in `configs`; with none, nothing is kept.
    #[must_use]
    pub fn new(configs: Option<PathBuf>) -> Self {
        Self { configs, writer: Arc::default() }
    }

    /// Carries out a change: `Stored` once it would survive a crash, else `StoreFailed`.
    ///
    /// A change goes on to its end also if the future is dropped.
    pub async fn store(&self, update: FileUpdate) -> Outcome {
        let Some(configs) = self.configs.clone() else {
            return Outcome::StoreFailed("no directory for state can be written".to_owned());
        };
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let change = task::spawn_blocking(move || {
            let changed = writer.change(&configs, update.change);
            changed.map_err(|cause| format!("{}: {cause}", configs.display()))
        });
        match change.await {
            Ok(Ok(())) => Outcome::Stored,
            Ok(Err(why)) => Outcome::StoreFailed(why),
            Err(cause) => Outcome::StoreFailed(cause.to_string()),
        }
    }

    /// The id in the cursor file; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_cursor(&self) -> Option<String> {
        let path = self.configs.as_ref()?.join(CURSOR);
        let file = read(&path, CURSOR_BYTES)?;
        word(&file)
    }

    /// The secret on disk; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_secret(&self) -> Option<String> {
        let path = self.configs.as_ref()?.join(SECRET);
        let file = read(&path, SECRET_BYTES)?;
        if file.exposure() != Exposure::Private {
            let shown = path.display();
            tracing::warn!(
                "{shown} is open to other users (mode {:04o}): run chmod 600 {shown}",
                file.mode()
            );
        }
        let secret = word(&file)?;
        log::hide(&secret);
        Some(secret)
    }
}

impl Writer {
    fn change(&mut self, configs: &Path, change: FileChange) -> io::Result<()> {
        let changed = match change {
            FileChange::Append(_) | FileChange::Rewrite(_) => {
                Err(io::Error::new(ErrorKind::Unsupported, "there is no journal"))
            }
            FileChange::Cursor(CursorChange { id: Some(id), .. }) => self.put(configs, CURSOR, &id),
            FileChange::Cursor(CursorChange { id: None, .. }) => self.remove(configs, CURSOR),
            FileChange::InboundSecret(secret) => {
                log::hide(&secret);
                self.put(configs, SECRET, &secret)
            }
        };
        self.in_doubt = changed.is_err();
        changed
    }

    fn put(&mut self, configs: &Path, name: &str, content: &str) -> io::Result<()> {
        let path = configs.join(name);
        if !self.in_doubt && holds(&path, content) {
            return Ok(());
        }
        make_directory(configs)?;
        self.sweep(configs);
        let mut file = temporary(configs)?;
        file.write_all(content.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|failed| failed.error)?;
        sync_directory(configs)
    }

    fn remove(&mut self, configs: &Path, name: &str) -> io::Result<()> {
        match fs::remove_file(configs.join(name)) {
            Ok(()) => sync_directory(configs),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(cause),
        }
    }

    /// Removes what a crash left behind; failing at that harms nobody.
    fn sweep(&mut self, configs: &Path) {
        if self.swept {
            return;
        }
        self.swept = true;
        for entry in fs::read_dir(configs).into_iter().flatten().flatten() {
            if is_temporary(&entry.file_name().to_string_lossy()) && is_left_behind(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn read(path: &Path, limit: u64) -> Option<SmallFile> {
    match small_file::read(path, limit, Links::Refused) {
        Ok(file) => Some(file),
        Err(Unreadable::Absent) => None,
        Err(why) => {
            tracing::warn!("{} {why}, and is ignored", path.display());
            None
        }
    }
}

/// The one word of visible ASCII that is all there is in the file.
fn word(file: &SmallFile) -> Option<String> {
    let text = file.text()?;
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then(|| text.to_owned())
}

/// Whether `path` is already what it should be, in content and mode.
fn holds(path: &Path, content: &str) -> bool {
    small_file::read(path, SECRET_BYTES, Links::Refused)
        .is_ok_and(|file| file.bytes == content.as_bytes() && file.exposure() == Exposure::Private)
}

/// A file that nobody else can open, whatever the umask.
fn temporary(configs: &Path) -> io::Result<NamedTempFile> {
    let mode = || Permissions::from_mode(OWNER_ONLY);
    let file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .suffix(TEMPORARY_SUFFIX)
        .rand_bytes(16)
        .permissions(mode())
        .tempfile_in(configs)?;
    file.as_file().set_permissions(mode())?;
    Ok(file)
}

/// Makes `path` and what is missing above it, open to nobody else, whatever the umask.
fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    if parent != path {
        make_directory(parent)?;
    }
    match DirBuilder::new().mode(OWNER_ONLY_DIRECTORY).create(path) {
        Ok(()) => {
            fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY_DIRECTORY))?;
            // A parent that may be entered and not read cannot be synced, and is no reason to keep nothing.
            let _ = sync_directory(parent);
            Ok(())
        }
        // Somebody was faster.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(cause) => Err(cause),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX)
}

fn is_left_behind(path: &Path) -> bool {
    let Ok(metadata) = path.symlink_metadata() else {
        return false;
    };
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    let age = metadata.modified().ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    metadata.is_file() && is_own && age.is_some_and(|age| age >= LEFT_BEHIND)
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
