//! The door between two processes of one inbox: who follows asks who leads to hand over.
//!
//! ```text
//! follower ── "<process> <deadline>\n" ──► fifo ──► leader: stops, syncs, lets go of the lock
//!     └── tries the lock until it is free, or the time is over ◄──────────────┘
//! ```
//!
//! Only the lock, which is the kernel's, says who leads: the door takes nothing from anybody. A leader that is
//! stopped keeps the lock, and finds the deadline passed when it goes on.

use std::{
    ffi::CString,
    fs::OpenOptions,
    io::{self, ErrorKind, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, OpenOptionsExt as _},
    },
    path::Path,
    process, str,
    time::Duration,
};

use rustix::io::Errno;
use tokio::net::unix::pipe;

use super::{atomic, clock};
use crate::small_file::{self, Links};

/// How long a request is good: a leader that is not stopped hands over in milliseconds.
const GOOD_FOR: Duration = Duration::from_secs(4);
/// More than any request has.
const REQUEST_BYTES: usize = 512;

/// The end of the process that leads. Nothing is done while nobody asks.
#[derive(Debug)]
pub(crate) struct Door {
    requests: pipe::Receiver,
    /// With one writer that stays, the requests never end.
    _open: pipe::Sender,
}

impl Door {
    /// Opens the door at `path`, which is made if there is nothing.
    ///
    /// # Errors
    /// When the file system knows no such files, or there is something else.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        make(path)?;
        let requests = pipe::OpenOptions::new().open_receiver(path)?;
        let open = pipe::OpenOptions::new().open_sender(path)?;
        Ok(Self { requests, _open: open })
    }

    /// Returns the id of the process that asks for the lead, and still waits for it.
    pub(crate) async fn asked(&self) -> u32 {
        loop {
            let mut bytes = [0; REQUEST_BYTES];
            let read = match self.requests.readable().await {
                Ok(()) => self.requests.try_read(&mut bytes),
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
                // It never worked, or never will again; the lock changes hands all the same when this process ends.
                Err(_) => return std::future::pending().await,
            }
        }
    }
}

/// Asks the process behind the door at `path` for the lead; false if there is none.
pub(super) fn knock(path: &Path) -> io::Result<bool> {
    let fifo = OpenOptions::new().write(true).custom_flags(small_file::flags(Links::Refused)).open(path);
    let mut fifo = match fifo {
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

#[expect(unsafe_code, reason = "no library makes such a file on every unix")]
fn make(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mode = libc::mode_t::try_from(atomic::OWNER_ONLY).unwrap_or(libc::S_IRUSR | libc::S_IWUSR);
    // SAFETY: the name ends in a NUL and lives longer than the call.
    let made = unsafe { libc::mkfifo(name.as_ptr(), mode) };
    match io::Error::last_os_error() {
        _ if made == 0 => Ok(()),
        cause if cause.kind() == ErrorKind::AlreadyExists => {
            let is_fifo = path.symlink_metadata()?.file_type().is_fifo();
            if is_fifo { Ok(()) } else { Err(cause) }
        }
        cause => Err(cause),
    }
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

    use tempfile::TempDir;
    use tokio::time;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const A_WHILE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn who_leads_hears_who_asks_and_nobody_hears_without_a_leader() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("door");
        assert!(!knock(&path).unwrap());
        let door = Door::open(&path).unwrap();
        assert!(time::timeout(A_WHILE, door.asked()).await.is_err());

        assert!(knock(&path).unwrap());

        assert_eq!(time::timeout(SOON, door.asked()).await.unwrap(), process::id());
        assert!(time::timeout(A_WHILE, door.asked()).await.is_err(), "asked once");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(door);
        assert!(!knock(&path).unwrap());
        let door = Door::open(&path).unwrap();
        assert!(knock(&path).unwrap() && time::timeout(SOON, door.asked()).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_door_is_left_alone() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("door");
        fs::write(&path, "words").unwrap();

        assert!(Door::open(&path).is_err());
        assert!(!knock(&path).unwrap());
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
