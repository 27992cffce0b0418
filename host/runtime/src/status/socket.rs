//! The socket at which a process answers.
//!
//! ```text
//! made in a directory that nobody else can enter ──► 0600 ──► renamed to its place ──► removed at the end
//! ```

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::OsStrExt as _,
            fs::{FileTypeExt as _, PermissionsExt as _},
            net::UnixListener as StdListener,
        },
    },
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    task::{self, JoinSet},
    time,
};
use tokio_util::codec::{Framed, LinesCodec};

use super::{Report, ask};
use crate::{hidden::without_secrets, storage::atomic};

pub(super) const PREFIX: &str = ".mcp_status_";
pub(super) const SUFFIX: &str = ".sock";

/// Longer paths cannot be given to the system as they are.
const PATH_BYTES: usize = 100;
const QUESTION_BYTES: usize = 1 << 10;
/// Whoever has nothing more to ask by then is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers at the same time.
const CONNECTIONS: usize = 8;
/// After the system refused a connection.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Question {
    question: String,
}

/// Where the socket is, once there is one.
#[derive(Debug, Default)]
pub(crate) struct Place(Mutex<Option<PathBuf>>);

impl Place {
    /// Removes the socket. Nobody can connect any more.
    pub(crate) fn remove(&self) {
        if let Some(path) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = fs::remove_file(path);
        }
    }

    fn is(&self, path: PathBuf) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(path);
    }
}

/// Answers questions at a socket in `directory` until the future is dropped, and removes the sockets that ended
/// processes have left. Where there can be no socket, that is logged, and it returns.
pub(crate) async fn keep_answering<F>(directory: PathBuf, place: Arc<Place>, report: impl Fn() -> F)
where
    F: Future<Output = Report> + Send + 'static,
{
    let made = {
        let directory = directory.clone();
        task::spawn_blocking(move || make(&directory))
            .await
            .unwrap_or_else(|cause| Err(io::Error::other(cause)))
    };
    let listener = made.and_then(|(listener, path)| {
        place.is(path);
        UnixListener::from_std(listener)
    });
    let listener = match listener {
        Ok(listener) => listener,
        Err(cause) => {
            tracing::info!("molecule-mcp status cannot ask this process: {}: {cause}", directory.display());
            return;
        }
    };
    ask::remove_stale(&directory).await;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // They end with this future.
    let mut answers = JoinSet::new();
    loop {
        // Never closed, so there is always a turn.
        let turn = Arc::clone(&room).acquire_owned().await;
        while answers.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let report = report();
                answers.spawn(async move {
                    let _turn = turn;
                    let _ = time::timeout(PATIENCE, answer(stream, report)).await;
                });
            }
            Err(_) => time::sleep(AFTER_A_FAILURE).await,
        }
    }
}

/// Answers one question, and hears the end of the connection.
async fn answer(stream: UnixStream, report: impl Future<Output = Report>) -> Option<()> {
    if !is_of_this_user(&stream) {
        return None;
    }
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(QUESTION_BYTES));
    let line = lines.next().await?.ok()?;
    let answer = match serde_json::from_str::<Question>(&line) {
        Ok(Question { question }) if question == "status" => serde_json::to_string(&report.await).ok()?,
        Ok(_) | Err(_) => {
            json!({"error": "the question is not known; ask {\"question\":\"status\"}"}).to_string()
        }
    };
    lines.send(without_secrets(&answer)).await.ok()
}

/// Also where a directory lets others in, and the file system keeps no modes.
fn is_of_this_user(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| [own, 0].contains(&peer.uid()))
}

/// Makes the socket of this process, listening.
fn make(directory: &Path) -> io::Result<(StdListener, PathBuf)> {
    atomic::make_directory(directory)?;
    let private = atomic::temporary_directory(directory)?;
    let draft = private.path().join("s");
    let listener = StdListener::bind(ShortPath::of(&draft)?)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&draft, Permissions::from_mode(atomic::OWNER_ONLY))?;
    let name = format!("{PREFIX}{}_{:08x}{SUFFIX}", process::id(), fastrand::u32(..));
    let path = directory.join(name);
    fs::rename(&draft, &path)?;
    Ok((listener, path))
}

/// The sockets in `directory`, also those that nobody answers at.
pub(super) fn all_in(directory: &Path) -> Vec<PathBuf> {
    let is_socket = |path: &Path| {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.starts_with(PREFIX)
            && name.ends_with(SUFFIX)
            && path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket())
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut sockets: Vec<_> = entries.map(|entry| entry.path()).filter(|path| is_socket(path)).collect();
    sockets.sort();
    sockets
}

/// A path that is short enough for the system, and leads to the same place for as long as this lives.
pub(super) struct ShortPath {
    path: PathBuf,
    _directory: Option<File>,
}

impl ShortPath {
    /// # Errors
    /// When there is no such path.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().len() <= PATH_BYTES {
            return Ok(Self { path: path.to_owned(), _directory: None });
        }
        if !cfg!(target_os = "linux") {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the path is too long for a socket"));
        }
        let directory = File::open(atomic::directory_of(path))?;
        let above = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let path = Path::new(&above).join(path.file_name().unwrap_or_default());
        Ok(Self { path, _directory: Some(directory) })
    }
}

impl AsRef<Path> for ShortPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}
