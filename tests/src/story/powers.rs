//! The powers of a process, and what is seen of their use.

use std::{
    future,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use molecule_runtime::{
    account::Token,
    driver::Ports,
    guest::wire::{
        Arrival, Effect, FetchRequest, FetchedFile, FileUpdate, Level, Limits, Listen, Method, Outcome,
        PlatformRequest, PlatformResponse, Rest, Ring, Saved, Settings, SweepRequest, Unreachable,
        UploadRequest, Workspace,
    },
    passage::Passage,
    presence::{Tokens, Working},
};
use standin::{Reply, Request, Response};
use tokio::{sync::watch, time};

use super::{
    LATENCY,
    hints::{Hints, hints},
    locked,
    machine::{HOST, Machine},
    transcript::Transcript,
};
use crate::target::target;

/// More than the memory that a guest may have.
const FLOOD_BYTES: usize = 300 << 20;

/// Where files of the user are.
const UPLOADS: &str = "/configs/chat-uploads/w";

/// A larger file of the user is not fetched.
const MOST_UPLOAD_BYTES: u64 = 1_000;

/// Whoever asks for more within a millisecond goes round in circles.
const MOST_AT_ONCE: usize = 10_000;

/// A process of the program, without its guest.
pub struct Process {
    machine: Arc<Machine>,
    seen: Mutex<Seen>,
    busy: Arc<Working>,
    trouble: Mutex<Trouble>,
    arrivals: watch::Sender<u64>,
    hints: Hints,
    transcript: Option<Mutex<Transcript>>,
}

/// What the guest asked for.
#[derive(Default)]
struct Seen {
    asked: Vec<String>,
    /// When the latest of them was asked for, in milliseconds, and how many with it.
    latest: u64,
    at_once: usize,
    log: Vec<(Level, String)>,
    working: Vec<(u32, String)>,
    adopted: Option<String>,
    rings: Vec<(u64, Ring)>,
}

/// What is still to go wrong.
#[derive(Default)]
struct Trouble {
    /// So many requests do not even find a connection.
    unconnected: usize,
    /// The next answer is larger than the guest.
    flood: bool,
    /// Contents of files take so long.
    slow_contents: Duration,
}

impl Process {
    pub(super) fn new(machine: Arc<Machine>, settings: &Settings) -> Self {
        let stream = Request::new("GET", &format!("/workspaces/{}/events/stream", machine.me.id));
        let hints = hints(&machine, authorised(&machine, stream));
        Self {
            transcript: Transcript::begin(settings).map(Mutex::new),
            machine,
            seen: Mutex::default(),
            busy: Arc::default(),
            trouble: Mutex::default(),
            arrivals: watch::Sender::new(0),
            hints,
        }
    }

    /// The guest is told something that no transcript holds.
    pub(super) fn end_transcript(&self) {
        if let Some(transcript) = &self.transcript {
            locked(transcript).end();
        }
    }

    /// Everything that the guest wanted done, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        locked(&self.seen).asked.clone()
    }

    /// The lines of one level for the operator.
    #[must_use]
    pub fn logged(&self, level: Level) -> Vec<String> {
        let seen = locked(&self.seen);
        seen.log.iter().filter(|(of, _)| *of == level).map(|(_, text)| text.clone()).collect()
    }

    /// What the heartbeats were to tell, one after the other: how many tasks, and the latest of them.
    #[must_use]
    pub fn working(&self) -> Vec<(u32, String)> {
        locked(&self.seen).working.clone()
    }

    /// The rings, each with the milliseconds since the story began.
    #[must_use]
    pub fn rings(&self) -> Vec<(u64, Ring)> {
        locked(&self.seen).rings.clone()
    }

    /// The token that is used in place of the configured one.
    #[must_use]
    pub fn adopted(&self) -> Option<String> {
        locked(&self.seen).adopted.clone()
    }

    /// The next requests, so many, do not find a connection.
    pub fn disconnect(&self, times: usize) {
        locked(&self.trouble).unconnected = times;
    }

    /// The next answer does not fit into the guest, which traps over it. The real host accepts none of that size.
    pub fn flood(&self) {
        locked(&self.trouble).flood = true;
    }

    /// Contents of files take so long from now on.
    pub fn slow_contents(&self, span: Duration) {
        locked(&self.trouble).slow_contents = span;
    }

    /// What the next heartbeat is to tell.
    pub(super) fn busy(&self) -> &Arc<Working> {
        &self.busy
    }

    pub(super) fn saved(&self) -> Saved {
        self.machine.files().saved()
    }

    async fn exchange(&self, request: Request, limits: Limits) -> Outcome {
        if self.is_unconnected() {
            return unreachable("connection refused", false);
        }
        time::sleep(LATENCY / 2).await;
        let reply = self.machine.platform().handle(&request, self.machine.platform_time());
        let answered = async {
            let response = settle(reply).await;
            time::sleep(LATENCY / 2).await;
            response
        };
        match time::timeout(Duration::from_millis(limits.total_ms.into()), answered).await {
            Ok(Some(response)) if response.body.len() > limits.body_bytes as usize => Outcome::Overflowed,
            Ok(Some(response)) => Outcome::Responded(self.response(response)),
            Ok(None) => unreachable("the connection was closed without an answer", true),
            Err(_) => unreachable("no answer in time", true),
        }
    }

    fn is_unconnected(&self) -> bool {
        let mut trouble = locked(&self.trouble);
        let unconnected = trouble.unconnected > 0;
        trouble.unconnected = trouble.unconnected.saturating_sub(1);
        unconnected
    }

    fn response(&self, response: Response) -> PlatformResponse {
        let header = |name| response.headers.get(name);
        let flood = std::mem::take(&mut locked(&self.trouble).flood);
        PlatformResponse {
            status: response.status,
            json: header("Content-Type").is_some_and(|kind| kind.starts_with("application/json")),
            retry_after_ms: header("Retry-After")
                .and_then(|secs| secs.parse::<u64>().ok())
                .map(|secs| secs.max(1) * 1_000),
            server_time_ms: u64::try_from(self.machine.platform_time().micros() / 1_000).ok(),
            body: if flood { vec![0; FLOOD_BYTES] } else { response.body.to_vec() },
        }
    }

    fn request(&self, asked: &PlatformRequest) -> Request {
        let method = match asked.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let request = Request::new(method, &target(&asked.path, &asked.query));
        let mut request = match self.adopted() {
            Some(token) => with_token(request, &token),
            None => authorised(&self.machine, request),
        };
        if asked.identify {
            request = request.header("X-Workspace-ID", &self.machine.me.id.to_string());
        }
        if let Some(body) = &asked.body {
            request.body = Bytes::copy_from_slice(body);
        }
        request
    }

    fn note(&self, what: String) {
        let (seen, now) = (&mut *locked(&self.seen), self.machine.elapsed_ms());
        seen.at_once = if seen.latest == now { seen.at_once + 1 } else { 0 };
        seen.latest = now;
        // On a paused clock nothing else would end it.
        assert!(seen.at_once < MOST_AT_ONCE, "the guest spins: {what}");
        seen.asked.push(what);
    }

    fn note_request(&self, kind: &str, request: &PlatformRequest) {
        let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default());
        self.note(format!(
            "{kind} {:?} {} {:?} {body}",
            request.method,
            target(&request.path, &request.query),
            request.limits
        ));
    }
}

fn authorised(machine: &Machine, request: Request) -> Request {
    with_token(request, &machine.me.token)
}

fn with_token(request: Request, token: &str) -> Request {
    let origin = format!("http://{HOST}");
    request.header("Host", HOST).header("Origin", &origin).bearer(token)
}

impl Tokens for Process {
    fn send_with<'a>(&'a self, token: &'a Token, request: PlatformRequest) -> BoxFuture<'a, Outcome> {
        let asked = Request::new("GET", &target(&request.path, &request.query));
        Box::pin(self.exchange(with_token(asked, token.reveal()), request.limits))
    }

    fn adopt(&self, token: Token) {
        locked(&self.seen).adopted = Some(token.reveal().to_owned());
    }
}

fn unreachable(reason: &str, maybe_sent: bool) -> Outcome {
    Outcome::Unreachable(Unreachable { reason: reason.to_owned(), maybe_sent })
}

/// Waits for what the platform holds back; none if it hangs up.
async fn settle(mut reply: Reply) -> Option<Response> {
    loop {
        match reply {
            Reply::Answer(response) => return Some(response),
            Reply::Delay(span, later) => {
                time::sleep(span).await;
                reply = *later;
            }
            Reply::Close => return None,
            // Peers of stories are scripted, and nobody here reads events.
            Reply::Dispatch(_) | Reply::Events(..) | Reply::Upgrade(_) => return future::pending().await,
        }
    }
}

impl Ports for Process {
    fn now(&self) -> u64 {
        self.machine.elapsed_ms()
    }

    fn passed(&self, passage: &Passage<'_>) {
        if let Some(transcript) = &self.transcript {
            locked(transcript).add(passage);
        }
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Arrived(Arrival { count, .. }) => {
                self.note(format!("arrived {count}"));
                self.arrivals.send_modify(|arrived| *arrived = count.max(*arrived));
            }
            // The driver sees to it.
            Effect::Handled(_) => {}
            Effect::Log(line) => {
                self.note(format!("log {}", line.text));
                locked(&self.seen).log.push((line.level, line.text));
            }
            Effect::LookAgain(workspace) => {
                self.note(format!("look again {workspace}"));
                self.hints.hint();
            }
            Effect::Report(request) => {
                self.note_request("report", &request);
                // Nobody reads the answer.
                let _ = self.machine.platform().handle(&self.request(&request), self.machine.platform_time());
            }
            Effect::Ring(ring) => {
                self.note(format!("ring {}", ring.unread));
                let at = self.machine.elapsed_ms();
                locked(&self.seen).rings.push((at, ring));
            }
            Effect::Working(working) => {
                self.note(format!("working {working:?}"));
                self.busy.note(&working);
                locked(&self.seen).working.push((working.active_tasks, working.current_task));
            }
        }
    }

    async fn send(&self, request: PlatformRequest) -> Outcome {
        self.note_request("send", &request);
        self.exchange(self.request(&request), request.limits).await
    }

    async fn store(&self, update: FileUpdate) -> Outcome {
        self.note(format!("store {update:?}"));
        self.machine.files().change(update.change)
    }

    async fn listen(&self, listen: Listen) -> Outcome {
        self.note(format!("listen {listen:?}"));
        Outcome::Heard(self.hints.listen(&listen).await)
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        self.note(format!("rest {rest:?}"));
        let until = time::sleep_until(self.machine.instant(rest.until));
        match rest.arrivals_over {
            None => until.await,
            Some(seen) => {
                let mut arrivals = self.arrivals.subscribe();
                tokio::select! {
                    () = until => {}
                    _ = arrivals.wait_for(|count| *count > seen) => {}
                }
            }
        }
        Outcome::Rested
    }

    async fn take_over(&self, workspace: Workspace) -> Outcome {
        self.note(format!("take over {workspace}"));
        Outcome::Rested
    }

    async fn upload(&self, request: UploadRequest) -> Outcome {
        self.note(format!("upload {request:?}"));
        let mut parts = Vec::new();
        for path in &request.files {
            let Some(content) = self.machine.attachments.get(path) else {
                return Outcome::Refused(format!("attachment not found: {path}"));
            };
            let name = PathBuf::from(path).file_name().map(|name| name.to_string_lossy().into_owned());
            let head = format!(
                "--limit\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{}\"\r\nContent-Type: \
                 text/plain\r\n\r\n",
                name.unwrap_or_default()
            );
            parts.extend_from_slice(head.as_bytes());
            parts.extend_from_slice(content);
            parts.extend_from_slice(b"\r\n");
        }
        parts.extend_from_slice(b"--limit--\r\n");
        let upload = Request::new("POST", &format!("/workspaces/{}/chat/uploads", self.machine.me.id));
        let mut upload =
            authorised(&self.machine, upload).header("Content-Type", "multipart/form-data; boundary=limit");
        upload.body = Bytes::from(parts);
        self.exchange(upload, request.limits).await
    }

    async fn fetch(&self, request: FetchRequest) -> Outcome {
        self.note(format!("fetch {request:?}"));
        let path = format!("{UPLOADS}/{}-{}", request.id, request.name);
        if let Some(why) = self.machine.files().trouble.clone() {
            return Outcome::StoreFailed(why);
        }
        let slow = locked(&self.trouble).slow_contents;
        time::sleep(slow).await;
        let question = authorised(&self.machine, Request::new("GET", &target(&request.path, &[])));
        let limits = Limits { body_bytes: u32::MAX, ..request.limits };
        let outcome = self.exchange(question, limits).await;
        let Outcome::Responded(answer) = outcome else { return outcome };
        if answer.status != 200 {
            return Outcome::Responded(answer);
        }
        let bytes = answer.body.len() as u64;
        if bytes > MOST_UPLOAD_BYTES {
            return Outcome::Refused(format!("it has {bytes} bytes"));
        }
        if request.bytes.is_some_and(|expected| expected != bytes) {
            return unreachable("the content has another length", true);
        }
        self.machine.files().uploads.insert(path.clone(), answer.body.into());
        Outcome::Fetched(FetchedFile { path, bytes, mime_type: String::new() })
    }

    async fn sweep(&self, request: SweepRequest) -> Outcome {
        self.note(format!("sweep {request:?}"));
        Outcome::Swept(Vec::new())
    }
}
