//! Small files that only their owner may read.

use std::{io, path::Path};

use super::atomic;

/// Makes `path` and what is missing above it, open to nobody else.
///
/// # Errors
/// When it cannot be made.
pub fn make_directory(path: &Path) -> io::Result<()> {
    atomic::make_directory(path)
}

/// Makes the file `path`, or replaces it as a whole: 0600, and on disk when this returns. Its directory is made, 0700,
/// where it is missing.
///
/// # Errors
/// When it cannot be written.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    atomic::replace(path, content).map(drop)
}
