//! Opens a file below a directory without following a single link.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind},
    os::fd::OwnedFd,
    path::{Component, Path},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};

/// A directory on the way: it need not be readable.
#[cfg(target_os = "linux")]
const ON_THE_WAY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A directory on the way.
#[cfg(not(target_os = "linux"))]
const ON_THE_WAY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Never blocks, and never takes a terminal over.
const AT_THE_END: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens `path`, in which no links are left, below the canonical `root`.
///
/// Step by step from one open directory to the next: a link that somebody puts into the way after the
/// path was resolved is an error, so nothing outside of `root` can be reached.
///
/// None if it is no regular file.
///
/// # Errors
/// When a step is missing, a link or not permitted.
pub(super) fn below(root: &Path, path: &Path) -> io::Result<Option<File>> {
    let mut directory = openat(CWD, root, ON_THE_WAY, Mode::empty())?;
    let mut steps = path.components().peekable();
    while let Some(step) = steps.next() {
        let Component::Normal(step) = step else { return Err(ErrorKind::InvalidInput.into()) };
        if steps.peek().is_none() {
            return regular(&directory, step);
        }
        directory = openat(&directory, step, ON_THE_WAY, Mode::empty())?;
    }
    Ok(None)
}

fn regular(directory: &OwnedFd, name: &OsStr) -> io::Result<Option<File>> {
    // Opening a device can do something. The file itself is looked at again once it is open.
    let kind = FileType::from_raw_mode(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    if kind != FileType::RegularFile {
        return Ok(None);
    }
    Ok(Some(File::from(openat(directory, name, OFlags::RDONLY | AT_THE_END, Mode::empty())?)))
}
