//! Asks running processes how they are.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _, future::join_all};
use tokio::{net::UnixStream, time};
use tokio_util::codec::{Framed, LinesCodec};

use super::{
    QUESTION, Report,
    socket::{self, PREFIX, SUFFIX, ShortPath},
};

/// A process that is well answers within milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Of a process that acts for some thousand workspaces.
const ANSWER_BYTES: usize = 8 << 20;

/// A process that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its socket.
    pub socket: PathBuf,
    /// Its id, as the name of the socket says.
    pub pid: Option<u32>,
    /// What it answered, or why it did not.
    pub report: Result<Report, String>,
}

/// Asks all processes that keep their state in `directory`, side by side, for at most 2 s. Sockets of processes that
/// have ended are passed over.
pub async fn ask_all(directory: &Path) -> Vec<Asked> {
    let sockets = socket::all_in(directory);
    let asked = join_all(sockets.into_iter().map(|socket| async move {
        let report = match time::timeout(ANSWER_WITHIN, ask(&socket)).await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(cause)) if is_over(&cause) => return None,
            Ok(Err(cause)) => Err(cause.to_string()),
            Err(_) => Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
        };
        Some(Asked { pid: pid_of(&socket), socket, report })
    }));
    asked.await.into_iter().flatten().collect()
}

/// Removes the sockets in `directory` at which no process listens any more.
pub(super) async fn remove_stale(directory: &Path) {
    for socket in socket::all_in(directory) {
        if matches!(time::timeout(ANSWER_WITHIN, connect(&socket)).await, Ok(Err(cause)) if is_over(&cause)) {
            let _ = fs::remove_file(socket);
        }
    }
}

async fn ask(socket: &Path) -> io::Result<Report> {
    let mut lines = Framed::new(connect(socket).await?, LinesCodec::new_with_max_length(ANSWER_BYTES));
    lines.send(QUESTION).await.map_err(io::Error::other)?;
    let ended = || io::Error::new(ErrorKind::UnexpectedEof, "it closed the connection without an answer");
    let line = lines.next().await.ok_or_else(ended)?.map_err(io::Error::other)?;
    serde_json::from_str(&line)
        .map_err(|cause| io::Error::other(format!("the answer is not understood: {cause}")))
}

async fn connect(socket: &Path) -> io::Result<UnixStream> {
    let path = ShortPath::of(socket)?;
    UnixStream::connect(&path).await
}

/// The process has ended, or ends.
fn is_over(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
}

fn pid_of(socket: &Path) -> Option<u32> {
    let name = socket.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('_').next()?.parse().ok()
}
