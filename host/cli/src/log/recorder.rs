//! The last lines of this process in a file, because clients show what a server says to nobody.
//!
//! ```text
//! line ──► memory, until a session begins ──► thread ──► file, 0600, at most 256 KiB ──► molecule-mcp logs
//! ```
//!
//! The file is locked for as long as its process lives. Nothing waits for the disk: lines that it does not take in time
//! are dropped.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, SystemTime},
};

use molecule_runtime::storage::{
    private_file,
    small_file::{self, Links},
};
use serde::{Deserialize, Serialize};

const PREFIX: &str = ".mcp_log_";
const SUFFIX: &str = ".jsonl";
const OWNER_ONLY: u32 = 0o600;

/// Lines that wait for a session, or for the disk.
const QUEUE: usize = 256;
/// Of a file; then its older half goes.
const FILE_BYTES: usize = 256 << 10;
/// Files of processes that have ended; older ones are removed by the next that begins.
const ENDED_KEPT: usize = 8;
const KEPT_FOR: Duration = Duration::from_secs(14 * 86_400);
/// Of a file, read for people.
const READ_BYTES: u64 = 1 << 20;

static STATE: Mutex<State> = Mutex::new(State::Waiting(VecDeque::new()));

enum State {
    /// No session has begun.
    Waiting(VecDeque<Entry>),
    /// To the thread that writes.
    Writing(SyncSender<Entry>),
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, as `2026-05-01T12:00:00.123Z`.
    pub at: String,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// The part of the program that says it.
    pub area: String,
    /// The workspace that it is about, where the process acts for several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// What it says, without secrets.
    pub text: String,
}

/// The lines of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub pid: Option<u32>,
    /// Whether it still runs.
    pub runs: bool,
    /// The oldest first.
    pub entries: Vec<Entry>,
}

/// Keeps a line, once there is a place for it.
pub(super) fn note(entry: Entry) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *state {
        State::Waiting(entries) => {
            if entries.len() == QUEUE {
                entries.pop_front();
            }
            entries.push_back(entry);
        }
        State::Writing(queue) => {
            let _ = queue.try_send(entry);
        }
    }
}

/// Keeps all lines in a file of this process in `directory` from here on, and those that were said before.
pub fn keep_in(directory: &Path) {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let State::Waiting(waiting) = &mut *state else { return };
    let waiting = std::mem::take(waiting);
    let (queue, entries) = mpsc::sync_channel(QUEUE);
    let directory = directory.to_owned();
    let write = move || {
        remove_old(&directory);
        // Where nothing can be kept, the lines are on stderr all the same.
        if let Ok(mut ring) = Ring::create(&directory) {
            ring.write_all(waiting, &entries);
        }
    };
    if thread::Builder::new().name("recorder".to_owned()).spawn(write).is_ok() {
        *state = State::Writing(queue);
    }
}

/// The file of this process.
struct Ring {
    file: File,
    lines: VecDeque<String>,
    bytes: usize,
}

impl Ring {
    fn create(directory: &Path) -> io::Result<Self> {
        private_file::make_directory(directory)?;
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name = format!("{PREFIX}{}_{:08x}{SUFFIX}", process::id(), started.as_millis() & 0xffff_ffff);
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(OWNER_ONLY).open(directory.join(name))?;
        // A file system without locks shows the process as one that has ended.
        let _ = file.try_lock();
        Ok(Self { file, lines: VecDeque::new(), bytes: 0 })
    }

    /// Ends with the process, or when the disk takes no more.
    fn write_all(&mut self, waiting: VecDeque<Entry>, entries: &Receiver<Entry>) {
        for entry in waiting.into_iter().chain(entries) {
            if self.write(&entry).is_err() {
                return;
            }
        }
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let line = serde_json::to_string(entry).map_err(io::Error::other)? + "\n";
        self.bytes += line.len();
        self.file.write_all(line.as_bytes())?;
        self.lines.push_back(line);
        if self.bytes <= FILE_BYTES {
            return Ok(());
        }
        while self.bytes > FILE_BYTES / 2
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
        self.rewrite()
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let text: String = self.lines.iter().map(String::as_str).collect();
        self.file.set_len(0)?;
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())
    }
}

/// The lines that the processes of `directory` have left, the latest process last.
#[must_use]
pub fn recorded(directory: &Path) -> Vec<Recorded> {
    let read = |path: &PathBuf| {
        let file = small_file::read(path, READ_BYTES, Links::Refused);
        let text = String::from_utf8_lossy(&file.ok()?.bytes).into_owned();
        // The last line may be half written.
        let entries = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Some(Recorded { pid: pid_of(path), runs: runs(path), entries })
    };
    files(directory).iter().rev().filter_map(read).collect()
}

/// The files, the newest first.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_log = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX)
    };
    let mut files: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_log(path)).collect();
    files.sort_by_cached_key(|path| std::cmp::Reverse((written(path), path.clone())));
    files
}

fn written(path: &Path) -> Option<SystemTime> {
    path.symlink_metadata().ok()?.modified().ok()
}

/// Whether its process holds the lock.
fn runs(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

fn remove_old(directory: &Path) {
    let ended = files(directory).into_iter().filter(|path| !runs(path));
    for (place, path) in ended.enumerate() {
        let age = written(&path).and_then(|written| SystemTime::now().duration_since(written).ok());
        if place >= ENDED_KEPT || age.is_some_and(|age| age > KEPT_FOR) {
            let _ = fs::remove_file(path);
        }
    }
}

fn pid_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.split('_').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_holds_the_last_lines_and_stays_small() {
        let directory = TempDir::new().unwrap();
        let mut ring = Ring::create(directory.path()).unwrap();
        for number in 0..5_000 {
            ring.write(&entry(&format!("line {number} {}", "x".repeat(100)))).unwrap();
        }

        let recorded = recorded(directory.path());

        let path = files(directory.path()).remove(0);
        let metadata = path.metadata().unwrap();
        assert!(metadata.len() <= FILE_BYTES as u64, "{} bytes", metadata.len());
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert!(recorded[0].runs && recorded[0].pid == Some(process::id()), "{recorded:?}");
        assert!(recorded[0].entries.len() > 500);
        assert!(recorded[0].entries.last().unwrap().text.starts_with("line 4999 "));
    }

    #[test]
    fn a_line_that_was_not_finished_is_passed_over() {
        let directory = TempDir::new().unwrap();
        let mut ring = Ring::create(directory.path()).unwrap();
        ring.write(&entry("whole")).unwrap();
        ring.file.write_all(b"{\"at\":\"2026").unwrap();
        drop(ring);

        let recorded = recorded(directory.path());

        assert_eq!(recorded[0].entries, [entry("whole")]);
        assert!(!recorded[0].runs);
    }

    #[test]
    fn of_processes_that_have_ended_the_latest_are_kept() {
        let directory = TempDir::new().unwrap();
        for pid in 0..12 {
            fs::write(directory.path().join(format!("{PREFIX}{pid}_00000000{SUFFIX}")), "").unwrap();
        }
        let running = Ring::create(directory.path()).unwrap();
        fs::write(directory.path().join("other"), "").unwrap();

        remove_old(directory.path());

        assert_eq!(files(directory.path()).len(), ENDED_KEPT + 1);
        assert!(directory.path().join("other").exists());
        drop(running);
    }

    fn entry(text: &str) -> Entry {
        Entry {
            at: "2026-05-01T12:00:00.123Z".to_owned(),
            level: "warn".to_owned(),
            area: "http".to_owned(),
            workspace: None,
            text: text.to_owned(),
        }
    }
}
