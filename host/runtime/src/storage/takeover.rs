//! How a process that follows asks the one that leads for the lead.
//!
//! ```text
//! follower ── "<process> <deadline>\n" ──► fifo ──► leader: stops, syncs, lets go of the lock
//!     └── tries the lock until it is free, or the time is over ◄──────────────┘
//! ```
//!
//! Only the lock, which is the kernel's, says who leads: a request takes nothing from a process. A leader that is
//! stopped keeps the lock, and finds the deadline passed when it goes on.

use std::{
    fs::{File, OpenOptions},
    future::pending,
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    path::Path,
    process, str,
    time::Duration,
};

use rustix::io::Errno;
use tokio::net::unix::pipe;

use super::small_file::{self, Links};
use crate::sys::clock;

/// How long a request is good: a leader that is not stopped hands over in milliseconds.
const GOOD_FOR: Duration = Duration::from_secs(4);
/// More than any request has.
const REQUEST_BYTES: usize = 512;

/// The requests that arrive at the process that leads. Waiting for them costs nothing.
#[derive(Debug)]
pub(crate) struct Requests {
    incoming: pipe::Receiver,
    /// With one writer that stays, the requests never end.
    _writer: File,
}

impl Requests {
    /// Receives the requests that are written to the fifo at `path`, which is made if there is nothing. Does work on
    /// the disk, and needs the runtime.
    ///
    /// # Errors
    /// When the file system knows no such files, or there is something else.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make(path)?;
        let incoming = pipe::Receiver::from_file(opened(path, OpenOptions::new().read(true))?)?;
        Ok(Self { incoming, _writer: opened(path, OpenOptions::new().write(true))? })
    }

    /// The id of the next process that asks for the lead, and still waits for it.
    pub(crate) async fn next(&self) -> u32 {
        loop {
            let mut bytes = [0; REQUEST_BYTES];
            let read = match self.incoming.readable().await {
                Ok(()) => self.incoming.try_read(&mut bytes),
                Err(cause) => Err(cause),
            };
            match read {
                Ok(count) => {
                    let requests = bytes.get(..count).unwrap_or_default();
                    if let Some(process) = in_time(requests, clock::machine_ms()) {
                        return process;
                    }
                }
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => {}
                // The lock changes hands all the same when this process ends.
                Err(_) => return pending().await,
            }
        }
    }
}

/// Asks the process that reads the fifo at `path` for the lead; false if no process reads it.
pub(super) fn request(path: &Path) -> io::Result<bool> {
    let mut fifo = match opened(path, OpenOptions::new().write(true)) {
        Ok(fifo) => fifo,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(false),
        Err(cause) if Errno::from_io_error(&cause) == Some(Errno::NXIO) => return Ok(false),
        Err(cause) => return Err(cause),
    };
    if !fifo.metadata()?.file_type().is_fifo() {
        return Ok(false);
    }
    let deadline = clock::machine_ms().saturating_add(clock::ms(GOOD_FOR));
    // In one piece: it is shorter than what a pipe takes at once.
    fifo.write_all(format!("{} {deadline}\n", process::id()).as_bytes())?;
    Ok(true)
}

/// Waits for no other end, and follows no link.
fn opened(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.custom_flags(small_file::flags(Links::Refused)).open(path)
}

/// Makes a fifo, open to this user alone, if there is nothing.
fn make(path: &Path) -> io::Result<()> {
    match make_fifo(path) {
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(not(target_vendor = "apple"))]
fn make_fifo(path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, Mode, mkfifoat};
    Ok(mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?)
}

#[cfg(target_vendor = "apple")]
#[expect(unsafe_code, reason = "rustix makes no fifo here")]
fn make_fifo(path: &Path) -> io::Result<()> {
    use std::{ffi::CString, os::unix::ffi::OsStrExt as _};
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name ends in a NUL and lives longer than the call.
    let made = unsafe { libc::mkfifo(name.as_ptr(), libc::S_IRUSR | libc::S_IWUSR) };
    if made == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The process that asked last, of those whose deadline has not passed.
fn in_time(requests: &[u8], now: u64) -> Option<u32> {
    let one = |line: &[u8]| {
        let (process, deadline) = str::from_utf8(line).ok()?.split_once(' ')?;
        (deadline.parse::<u64>().ok()? >= now).then(|| process.parse().ok())?
    };
    requests.split(|byte| *byte == b'\n').rev().find_map(one)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use futures::FutureExt as _;
    use tempfile::TempDir;

    use super::*;

    #[tokio::test]
    async fn a_leader_hears_who_asks_and_without_a_leader_nothing_is_asked() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("requests");
        assert!(!request(&path).unwrap());
        let requests = Requests::open(&path).unwrap();
        assert!(requests.next().now_or_never().is_none());

        assert!(request(&path).unwrap());

        assert_eq!(requests.next().await, process::id());
        assert!(requests.next().now_or_never().is_none(), "asked once");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(requests);
        assert!(!request(&path).unwrap());
        let requests = Requests::open(&path).unwrap();
        assert!(request(&path).unwrap());
        assert_eq!(requests.next().await, process::id());
    }

    #[tokio::test]
    async fn what_is_no_fifo_is_left_alone() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("requests");
        fs::write(&path, "words").unwrap();

        assert!(Requests::open(&path).is_err());
        assert!(!request(&path).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "words");
    }

    #[test]
    fn a_request_is_good_until_its_deadline() {
        assert_eq!(in_time(b"7 100\n", 100), Some(7));
        assert_eq!(in_time(b"7 100\n", 101), None);
        assert_eq!(in_time(b"7 300\n8 200\n9 100\n", 150), Some(8));
        for noise in [&b""[..], b"\n", b"7\n", b"x 100\n", b"7 x\n", b"-1 100\n", b"\xff \xff\n"] {
            assert_eq!(in_time(noise, 0), None, "{noise:?}");
        }
    }
}
