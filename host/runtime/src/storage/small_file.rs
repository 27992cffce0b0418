//! Reads a small file that somebody else may have put there: never blocks, never reads without end.

use std::{
    fs::{Metadata, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};
use thiserror::Error;

/// Bits of a mode that let group or others in.
const OTHERS: u32 = 0o077;
/// Bits of a mode that let group or others change the file.
const OTHERS_WRITE: u32 = 0o022;

/// What a file held at one moment.
#[derive(Debug)]
pub struct SmallFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// What the system says of it.
    pub metadata: Metadata,
}

/// Whether a link in place of the file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// What it leads to is read.
    Followed,
    /// It is an error.
    Refused,
}

/// Who can get at a file beside the user of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposure {
    /// It belongs to somebody else, who alone can change it.
    Foreign,
    /// It belongs to somebody else, and not only that user can change it.
    ForeignAndWritable,
    /// Group or others can read or change it.
    Open,
    /// Nobody.
    Private,
}

/// Why there is nothing to read. The texts follow the name of the file.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// There is none.
    #[error("does not exist")]
    Absent,
    /// This user may not read it.
    #[error("cannot be read: permission denied")]
    Denied,
    /// The system reports something else.
    #[error("could not be read: {0}")]
    Failed(io::Error),
    /// It is a link.
    #[error("is a link, which is not followed")]
    Link,
    /// It is a directory, a pipe or the like.
    #[error("is not a regular file")]
    NotAFile,
    /// It is larger than the limit, in bytes.
    #[error("is larger than {0} bytes")]
    TooLarge(u64),
}

/// Reads `path` if it is a regular file of at most `limit` bytes.
///
/// # Errors
/// When it is anything else, or cannot be read.
pub fn read(path: &Path, limit: u64, links: Links) -> Result<SmallFile, Unreadable> {
    let file = OpenOptions::new().read(true).custom_flags(flags(links)).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(Unreadable::TooLarge(limit));
    }
    Ok(SmallFile { bytes, metadata })
}

/// Flags to open whatever is at a path without waiting for anything, such as the other end of a pipe.
pub fn flags(links: Links) -> i32 {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if links == Links::Refused {
        flags |= OFlags::NOFOLLOW;
    }
    i32::try_from(flags.bits()).unwrap_or_default()
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl From<Metadata> for Identity {
    fn from(metadata: Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl SmallFile {
    /// The text without a byte order mark and without white space around it; none unless it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        Some(text.trim_start_matches('\u{feff}').trim())
    }

    /// Permission bits.
    pub fn mode(&self) -> u32 {
        self.metadata.mode() & 0o7777
    }

    /// Who else can get at it.
    pub fn exposure(&self) -> Exposure {
        let is_own = self.metadata.uid() == rustix::process::geteuid().as_raw();
        Exposure::of(is_own, self.mode())
    }
}

impl Exposure {
    fn of(is_own: bool, mode: u32) -> Self {
        match (is_own, mode & OTHERS, mode & OTHERS_WRITE) {
            (true, 0, _) => Self::Private,
            (true, _, _) => Self::Open,
            (false, _, 0) => Self::Foreign,
            (false, _, _) => Self::ForeignAndWritable,
        }
    }
}

/// Why nothing can be read, from what the system says.
pub fn unreadable(cause: io::Error) -> Unreadable {
    match Errno::from_io_error(&cause) {
        Some(Errno::LOOP) => return Unreadable::Link,
        // A socket, or a device without a driver.
        Some(Errno::NXIO | Errno::NODEV) => return Unreadable::NotAFile,
        Some(Errno::NOTDIR) => return Unreadable::Absent,
        Some(_) | None => {}
    }
    if cause.kind() == ErrorKind::NotFound {
        return Unreadable::Absent;
    }
    if cause.kind() == ErrorKind::PermissionDenied {
        return Unreadable::Denied;
    }
    Unreadable::Failed(cause)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::{fs::symlink, net::UnixListener},
    };

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_up_to_the_limit_is_read_and_a_larger_one_is_not() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "12345").unwrap();

        assert_eq!(read(&path, 5, Links::Refused).unwrap().bytes, b"12345");
        assert!(matches!(read(&path, 4, Links::Refused), Err(Unreadable::TooLarge(4))));
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let dir = TempDir::new().unwrap();
        let fifo = dir.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();

        for path in [dir.path(), &fifo, &socket, Path::new("/dev/null")] {
            let refused = read(path, 100, Links::Refused);
            assert!(matches!(refused, Err(Unreadable::NotAFile)), "{}", path.display());
        }
    }

    #[test]
    fn a_link_is_followed_only_on_request() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("f"), "x").unwrap();
        let link = dir.path().join("link");
        symlink("f", &link).unwrap();

        assert!(matches!(read(&link, 9, Links::Refused), Err(Unreadable::Link)));
        assert_eq!(read(&link, 9, Links::Followed).unwrap().bytes, b"x");
    }

    #[test]
    fn white_space_and_a_byte_order_mark_are_no_content() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("f");
        for (content, text) in
            [("\u{feff}abc\r\n", Some("abc")), (" \n", Some("")), ("a b", Some("a b")), ("\t a\n", Some("a"))]
        {
            fs::write(&path, content).unwrap();
            assert_eq!(read(&path, 100, Links::Refused).unwrap().text(), text, "{content:?}");
        }
        fs::write(&path, b"\xff\xfe").unwrap();
        assert_eq!(read(&path, 100, Links::Refused).unwrap().text(), None);
    }

    #[test]
    fn the_mode_and_the_owner_say_who_else_gets_in() {
        for (is_own, mode, exposure) in [
            (true, 0o600, Exposure::Private),
            (true, 0o400, Exposure::Private),
            (true, 0o644, Exposure::Open),
            (true, 0o620, Exposure::Open),
            (false, 0o444, Exposure::Foreign),
            (false, 0o640, Exposure::Foreign),
            (false, 0o660, Exposure::ForeignAndWritable),
            (false, 0o602, Exposure::ForeignAndWritable),
        ] {
            assert_eq!(Exposure::of(is_own, mode), exposure, "{is_own} {mode:o}");
        }
    }
}
