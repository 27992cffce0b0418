//! Replaces a file as a whole, so that a crash leaves the old one or the new one.
//!
//! ```text
//! content ──► temporary file, 0600, synced ──► renamed ──► directory synced
//! ```
//!
//! Renaming also replaces links instead of following them. The directory is made when it is missing.

use std::{
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
    sync::Once,
    time::{Duration, SystemTime},
};

use tempfile::{NamedTempFile, TempDir};

use crate::names::names;

pub(crate) const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_DIRECTORY: u32 = 0o700;

const TEMPORARY_PREFIX: &str = ".molecule-mcp-";
const TEMPORARY_SUFFIX: &str = ".tmp";
/// A temporary file lives for milliseconds; another process may be writing a younger one.
const LEFT_BEHIND: Duration = Duration::from_secs(60);

/// The operator was told that files cannot be made private.
static SAID: Once = Once::new();

/// Makes the file `path`, or replaces it; returns it, open for writing at its end.
///
/// # Errors
/// When the directory cannot be made or written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let directory = directory_of(path);
    make_directory(directory)?;
    let mut file = temporary(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    let file = file.persist(path).map_err(|failed| failed.error)?;
    sync_directory(directory)?;
    Ok(file)
}

/// Removes `path`, if it is there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory(directory_of(path)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// Removes what a crash left behind in `directory`; failing at that harms nobody.
pub(crate) fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_temporary(&entry.file_name().to_string_lossy()) && is_older_than(&entry.path(), LEFT_BEHIND) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `path` is a file of this user that was written so long ago.
pub(crate) fn is_older_than(path: &Path, limit: Duration) -> bool {
    let Ok(metadata) = path.symlink_metadata() else {
        return false;
    };
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    let age = metadata.modified().ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    metadata.is_file() && is_own && age.is_some_and(|age| age >= limit)
}

/// Makes `path` and what is missing above it, open to nobody else, whatever the umask.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    if parent != path {
        make_directory(parent)?;
    }
    match DirBuilder::new().mode(OWNER_ONLY_DIRECTORY).create(path) {
        Ok(()) => {
            make_private(path, OWNER_ONLY_DIRECTORY);
            // A parent that may be entered and not read cannot be synced, and is no reason to keep nothing.
            let _ = sync_directory(parent);
            Ok(())
        }
        // Somebody was faster.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// Makes sure of the names in a directory, where its file system can.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Lets nobody else at `path`, whatever the umask. Where the file system refuses that, nothing is kept from
/// being saved.
fn make_private(path: &Path, mode: u32) {
    let refused = fs::set_permissions(path, Permissions::from_mode(mode)).is_err();
    let shown = path.symlink_metadata().map_or(mode, |metadata| metadata.mode());
    if is_open(refused, shown) {
        SAID.call_once(|| {
            tracing::warn!(
                "other users of this machine may be able to read what is kept in {}, messages and a secret, because its \
                 file system refuses permissions: set {} to a directory on another one",
                directory_of(path).display(),
                names().state
            );
        });
    }
}

/// Whether others get at something whose mode was not set, and is shown as `mode`. Many file systems without
/// modes show one that fits.
const fn is_open(refused: bool, mode: u32) -> bool {
    refused && mode & 0o077 != 0
}

pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// A file that nobody else can open, whatever the umask.
pub(crate) fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    let file = tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .suffix(TEMPORARY_SUFFIX)
        .rand_bytes(16)
        .permissions(Permissions::from_mode(OWNER_ONLY))
        .tempfile_in(directory)?;
    make_private(file.path(), OWNER_ONLY);
    Ok(file)
}

/// A directory that nobody else can enter, gone when it is dropped.
pub(crate) fn temporary_directory(directory: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(TEMPORARY_PREFIX)
        .suffix(TEMPORARY_SUFFIX)
        .rand_bytes(8)
        .permissions(Permissions::from_mode(OWNER_ONLY_DIRECTORY))
        .tempdir_in(directory)
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(TEMPORARY_PREFIX) && name.ends_with(TEMPORARY_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_mode_matters_only_where_others_get_in() {
        for (refused, mode, open) in
            [(true, 0o755, true), (true, 0o640, true), (true, 0o700, false), (false, 0o755, false)]
        {
            assert_eq!(is_open(refused, mode), open, "{refused} {mode:o}");
        }
    }
}
