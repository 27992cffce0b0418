//! The service over streams in memory: the real component, a pretended platform, a clock that is set by hand.

mod calls;
mod ends;
mod eras;
mod floods;
mod hygiene;
mod introductions;
mod progress;
mod resources;

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
    time,
};
use tokio_util::sync::CancellationToken;

use super::{Ended, Introduction, Links, serve};
use molecule_runtime::{
    config::ToolOptions,
    driver::{Driver, Ports},
    guest::{
        Guest,
        wire::{
            Effect, FileUpdate, Instant, Listen, Outcome, PlatformRequest, PlatformResponse, Rest, Settings,
            UploadRequest, Workspace, WorkspaceSettings,
        },
    },
    session::Session,
};

/// Far longer than anything here takes; on the paused clock it passes at once when nothing happens.
const LONG: Duration = Duration::from_secs(600);

/// A client, and the service behind its two pipes.
struct Wire {
    to: Option<DuplexStream>,
    from: BufReader<DuplexStream>,
    serving: JoinHandle<Ended>,
    stop: CancellationToken,
    session: Session,
    introduction: watch::Sender<Introduction>,
    arrivals: watch::Sender<u64>,
    platform: Arc<Platform>,
}

impl Wire {
    fn new() -> Self {
        Self::with_pipes(1 << 20)
    }

    /// Pipes that hold `bytes` each.
    fn with_pipes(bytes: usize) -> Self {
        let (to, input) = tokio::io::duplex(bytes);
        let (output, from) = tokio::io::duplex(bytes);
        let platform = Arc::new(Platform::default());
        let guest = Guest::embedded(settings()).unwrap();
        let driver = Driver::new(guest, Arc::clone(&platform));
        let (stop, session) = (CancellationToken::new(), Session::default());
        let (introduction, arrivals) = (watch::Sender::default(), watch::Sender::default());
        let links = Links { introduction: introduction.clone(), arrivals: arrivals.subscribe() };
        let serving = tokio::spawn(serve(driver, session.clone(), links, input, output, stop.clone()));
        Self {
            to: Some(to),
            from: BufReader::new(from),
            serving,
            stop,
            session,
            introduction,
            arrivals,
            platform,
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.to.as_mut().unwrap().write_all(bytes).await.unwrap();
    }

    async fn send(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    async fn request(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        let id: Value = id.into();
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string())
            .await;
    }

    /// Calls `list_peers`, the tool that makes one request of the platform.
    async fn call(&mut self, id: impl Into<Value>) {
        self.request(id, "tools/call", json!({ "name": "list_peers", "arguments": {} })).await;
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()).await;
    }

    /// The next line from the service; none at its end, or if none ever comes.
    async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match time::timeout(LONG, self.from.read_line(&mut line)).await {
            Ok(read) => (read.unwrap() > 0).then(|| serde_json::from_str(&line).unwrap()),
            Err(_) => None,
        }
    }

    async fn answer(&mut self) -> Value {
        self.next().await.expect("an answer")
    }

    /// Sends a request and returns its answer, which must be the next line.
    async fn ask(&mut self, id: impl Into<Value>, method: &str, params: Value) -> Value {
        let id = id.into();
        self.request(id.clone(), method, params).await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Asserts that the service is alive and has nothing further to say.
    async fn is_silent(&mut self) {
        let pong = self.ask("is silent", "ping", json!({})).await;
        assert_eq!(pong["result"], json!({}));
    }

    /// Closes the input and returns what was still answered, how the service ended, and after how long.
    async fn end(mut self) -> (Vec<Value>, Ended, Duration) {
        let start = time::Instant::now();
        drop(self.to.take());
        let mut answers = Vec::new();
        while let Some(answer) = self.next().await {
            answers.push(answer);
        }
        let ended = self.serving.await.unwrap();
        (answers, ended, start.elapsed())
    }
}

/// Answers every request with an empty list, as long as it has answers to give.
struct Platform {
    answers: Semaphore,
    asked: AtomicUsize,
    given_up: AtomicUsize,
    panics: AtomicUsize,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            answers: Semaphore::new(Semaphore::MAX_PERMITS),
            asked: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
            panics: AtomicUsize::new(0),
        }
    }
}

impl Platform {
    /// Answers nothing from now on, except what [`Platform::answer`] allows.
    fn hold(&self) {
        self.answers.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn answer(&self, requests: usize) {
        self.answers.add_permits(requests);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn given_up(&self) -> usize {
        self.given_up.load(Ordering::SeqCst)
    }

    /// Returns once `requests` were made of the platform.
    async fn was_asked(&self, requests: usize) {
        let asked = async {
            while self.asked() < requests {
                time::sleep(Duration::from_millis(1)).await;
            }
        };
        time::timeout(LONG, asked).await.expect("the platform is asked");
    }
}

impl Ports for Platform {
    fn now(&self) -> Instant {
        0
    }

    fn perform(&self, _effect: Effect) {}

    async fn send(&self, _request: PlatformRequest) -> Outcome {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert_eq!(self.panics.load(Ordering::SeqCst), 0, "a defect on purpose");
        let given_up = CountIfDropped(Some(&self.given_up));
        self.answers.acquire().await.unwrap().forget();
        given_up.disarm();
        Outcome::Responded(PlatformResponse {
            status: 200,
            json: true,
            retry_after_ms: None,
            server_time_ms: None,
            body: b"[]".to_vec(),
        })
    }

    async fn store(&self, _update: FileUpdate) -> Outcome {
        Outcome::Stored
    }

    async fn listen(&self, _listen: Listen) -> Outcome {
        pending().await
    }

    async fn rest(&self, _rest: Rest) -> Outcome {
        pending().await
    }

    async fn take_over(&self, _workspace: Workspace) -> Outcome {
        Outcome::Refused("not here".to_owned())
    }

    async fn upload(&self, _request: UploadRequest) -> Outcome {
        Outcome::Refused("not here".to_owned())
    }
}

struct CountIfDropped<'a>(Option<&'a AtomicUsize>);

impl CountIfDropped<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CountIfDropped<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn settings() -> Settings {
    let workspace = WorkspaceSettings {
        id: "11111111-1111-4111-8111-111111111111".to_owned(),
        platform: "http://platform.test".to_owned(),
    };
    ToolOptions::default().settings((1, 2, 3, 4), vec![workspace], true)
}

/// The `_meta` with which a client of the stateless era says what it speaks.
fn stateless(version: &str) -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": { "name": "claude-code", "version": "2.1.330" },
        "io.modelcontextprotocol/clientCapabilities": { "roots": { "listChanged": true } },
    })
}

fn code(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"))
}
