//! Questions and answers over real sockets.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    task::JoinSet,
};

use super::*;
use crate::hidden;

#[tokio::test]
async fn a_process_answers_those_who_ask_at_its_socket_and_no_other_user_can() {
    let directory = TempDir::new().unwrap();
    let serving = Serving::start(directory.path(), report()).await;

    let asked = ask_all(directory.path()).await;

    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].report, Ok(report()));
    assert_eq!(asked[0].pid, Some(std::process::id()));
    let metadata = asked[0].socket.symlink_metadata().unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the draft is gone");
    serving.end();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_path_longer_than_the_system_takes_is_no_obstacle() {
    let above = TempDir::new().unwrap();
    let directory = above.path().join("d".repeat(120));
    let _serving = Serving::start(&directory, report()).await;

    assert_eq!(ask_all(&directory).await[0].report, Ok(report()));
}

#[tokio::test]
async fn what_ended_processes_have_left_is_passed_over_and_removed_by_the_next() {
    let directory = TempDir::new().unwrap();
    let stale = directory.path().join(".mcp_status_4711_0000abcd.sock");
    drop(UnixListener::bind(&stale).unwrap());
    let no_socket = directory.path().join(".mcp_status_1_00000000.sock");
    fs::write(&no_socket, "kept").unwrap();
    assert_eq!(ask_all(directory.path()).await, []);

    let _serving = Serving::start(directory.path(), report()).await;

    until(|| !stale.exists()).await;
    assert!(no_socket.exists());
}

#[tokio::test]
async fn a_process_that_does_not_answer_is_told() {
    let directory = TempDir::new().unwrap();
    let _stopped = UnixListener::bind(directory.path().join(".mcp_status_4711_0000abcd.sock")).unwrap();

    let asked = ask_all(directory.path()).await;

    assert_eq!(asked[0].pid, Some(4711));
    assert!(asked[0].report.as_ref().unwrap_err().contains("no answer within 2 s"), "{asked:?}");
}

#[tokio::test]
async fn what_is_no_question_is_answered_with_the_one_that_is_known() {
    let directory = TempDir::new().unwrap();
    let serving = Serving::start(directory.path(), report()).await;

    for line in ["", "status", "{}", r#"{"question":"stop"}"#, r#"{"question":7}"#] {
        let answer = exchange(&serving.socket(directory.path()), &format!("{line}\n")).await;
        assert!(answer.contains("the question is not known"), "{line}: {answer}");
    }
    let too_long = "x".repeat(2_000);
    assert_eq!(exchange(&serving.socket(directory.path()), &too_long).await, "");
    assert_eq!(ask_all(directory.path()).await[0].report, Ok(report()));
}

#[tokio::test]
async fn no_token_is_told() {
    hidden::hide("canary-status-1");
    let directory = TempDir::new().unwrap();
    let mut told = report();
    told.workspaces[0].inbox.trouble = Some("the token is canary-status-1".to_owned());
    let _serving = Serving::start(directory.path(), told).await;

    let asked = ask_all(directory.path()).await;

    let trouble = asked[0].report.as_ref().unwrap().workspaces[0].inbox.trouble.clone();
    assert_eq!(trouble.as_deref(), Some("the token is [token]"));
}

/// Answers with the same report for as long as it lives.
struct Serving {
    place: Arc<Place>,
    _task: JoinSet<()>,
}

impl Serving {
    async fn start(directory: &Path, report: Report) -> Self {
        let place = Arc::<Place>::default();
        let mut task = JoinSet::new();
        let (at, listed) = (directory.to_owned(), Arc::clone(&place));
        task.spawn(async move {
            keep_answering(at, listed, move || {
                let report = report.clone();
                async move { report }
            })
            .await;
        });
        let own = format!(".mcp_status_{}_", std::process::id());
        until(|| socket::all_in(directory).iter().any(|path| path.to_string_lossy().contains(&own))).await;
        Self { place, _task: task }
    }

    fn socket(&self, directory: &Path) -> PathBuf {
        socket::all_in(directory).remove(0)
    }

    fn end(&self) {
        self.place.remove();
    }
}

async fn exchange(socket: &Path, line: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = BufReader::new(stream).read_line(&mut answer).await;
    answer
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

fn report() -> Report {
    Report {
        version: "1.2.3".to_owned(),
        pid: 7,
        uptime_s: 61,
        workspaces: vec![WorkspaceReport { workspace: "w".to_owned(), ..WorkspaceReport::default() }],
        ..Report::default()
    }
}
