//! The real component and the real driver, a platform in memory, and time by hand.
//!
//! ```text
//! test ──► Story ──► Driver ──► Guest (WebAssembly)
//!                      │
//!                      └──► Powers ──► standin::Platform, files in memory, paused clock
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use molecule_mcp::{
    driver::{Driver, Ports},
    guest::{
        Guest,
        wire::{
            Answer, Effect, FileChange, FileUpdate, Finish, Level as LogLevel, Method, Outcome, Permissions,
            PlatformRequest, PlatformResponse, Rest, Settings, Unreachable, UploadRequest, WorkspaceSettings,
        },
    },
};
use serde_json::Value;
use standin::{Level, Now, Platform, Reply, Request, Response, Switches, world::Credentials};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{self, Instant},
};

/// What a request takes to the platform and back.
pub const LATENCY: Duration = Duration::from_millis(2);

/// The platform's clock at the start: 2026-05-20T12:00:00Z.
const EPOCH_MICROS: i64 = 1_779_278_400_000_000;

const HOST: &str = "platform.test";

/// An agent, its platform, and everything that happened.
pub struct Story {
    driver: Arc<Driver<World>>,
    /// The workspace that the agent is.
    pub me: Credentials,
    inbox: Option<JoinHandle<()>>,
}

/// The powers of a story.
pub struct World {
    start: Instant,
    me: Credentials,
    platform: Mutex<Platform>,
    files: Mutex<Files>,
    attachments: BTreeMap<String, Bytes>,
    log: Mutex<Vec<(LogLevel, String)>>,
    arrivals: watch::Sender<u64>,
}

/// What is on disk.
#[derive(Debug, Default, Clone)]
struct Files {
    cursor: Option<String>,
    secret: Option<String>,
    writes: usize,
    /// Why nothing can be written, while that is so.
    trouble: Option<String>,
}

/// A story before it begins.
pub struct Setting {
    level: Level,
    switches: Vec<&'static str>,
    settings: fn(&mut Settings),
    attachments: BTreeMap<String, Bytes>,
}

impl Default for Setting {
    fn default() -> Self {
        Self { level: Level::Later, switches: Vec::new(), settings: |_| (), attachments: BTreeMap::new() }
    }
}

impl Setting {
    /// The platform is of this version.
    #[must_use]
    pub fn level(self, level: Level) -> Self {
        Self { level, ..self }
    }

    /// The platform has a switch set, as in `inbox_push=true`.
    #[must_use]
    pub fn switch(mut self, switch: &'static str) -> Self {
        self.switches.push(switch);
        self
    }

    /// The operator has configured something.
    #[must_use]
    pub fn settings(self, settings: fn(&mut Settings)) -> Self {
        Self { settings, ..self }
    }

    /// The agent has a file.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.attachments.insert(path.to_owned(), Bytes::copy_from_slice(content.as_bytes()));
        self
    }

    /// Begins the story. The inbox is not fetched yet.
    ///
    /// # Panics
    /// When the component or a switch does not fit, which no story can go on with.
    #[must_use]
    pub fn begin(self) -> Story {
        let mut switches = Switches::new(self.level);
        for switch in self.switches {
            assert!(switches.set(switch).is_ok(), "no such switch: {switch}");
        }
        let mut platform = Platform::new(self.level, switches, 7, Now::from_micros(EPOCH_MICROS));
        let me = platform.external_workspace("agent");
        let world = World {
            start: Instant::now(),
            me: me.clone(),
            platform: Mutex::new(platform),
            files: Mutex::default(),
            attachments: self.attachments,
            log: Mutex::default(),
            arrivals: watch::Sender::new(0),
        };
        let mut settings = settings(&me);
        (self.settings)(&mut settings);
        Story { driver: driver(settings, Arc::new(world)), me, inbox: None }
    }
}

#[expect(clippy::expect_used, reason = "a story without its component cannot go on")]
fn driver(settings: Settings, world: Arc<World>) -> Arc<Driver<World>> {
    Driver::new(Guest::embedded(settings).expect("the embedded component fits this program"), world)
}

fn settings(me: &Credentials) -> Settings {
    Settings {
        seed: (1, 2, 3, 4),
        workspaces: vec![WorkspaceSettings { id: me.id.to_string(), platform: format!("http://{HOST}") }],
        inbox: true,
        structured: false,
        bare_peer_text: false,
        delegate_durably: false,
        durable_budget_secs: 300,
        poll_timeout_secs: 2,
        permissions: Permissions { roles: vec!["operator".to_owned()], allowed_actions: Vec::new(), tier: 1 },
    }
}

impl Story {
    /// A platform of the later level, an inbox that has been fetched once and found empty.
    pub async fn new() -> Self {
        let mut story = Setting::default().begin();
        story.fetch().await;
        story
    }

    /// Begins to fetch the inbox from what is on disk, and waits for the first fetch to end.
    pub async fn fetch(&mut self) {
        let driver = Arc::clone(&self.driver);
        let fetches = self.world().fetches();
        self.inbox = Some(tokio::spawn(async move {
            let cursor = driver.ports().files().cursor.clone();
            // A guest that traps ends the fetching, and with it the story's inbox.
            let _ = driver.fetch_inbox(0, cursor.as_deref()).await;
        }));
        while self.world().fetches() == fetches {
            time::sleep(LATENCY).await;
        }
        time::sleep(LATENCY).await;
    }

    /// Ends the process without a farewell, and starts another one on the same disk.
    ///
    /// # Panics
    /// Never while the component fits, see [`Setting::begin`].
    pub async fn crash(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.abort();
            let _ = inbox.await;
        }
        let old = self.driver.ports();
        let world = World {
            start: old.start,
            me: old.me.clone(),
            platform: Mutex::new(std::mem::replace(
                &mut *self.world().platform(),
                Platform::new(Level::Later, Switches::new(Level::Later), 0, Now::default()),
            )),
            files: Mutex::new(old.files().clone()),
            attachments: old.attachments.clone(),
            log: Mutex::default(),
            arrivals: watch::Sender::new(0),
        };
        self.driver = driver(settings(&self.me), Arc::new(world));
    }

    /// What happened, and what is there.
    #[must_use]
    pub fn world(&self) -> &World {
        self.driver.ports()
    }

    /// Shows the guest the body of a heartbeat.
    pub async fn hears(&self, body: &Value) {
        let _ = self.driver.learn_secret(0, body.to_string().as_bytes()).await;
    }

    /// Begins a call, which goes on by itself.
    #[must_use]
    pub fn call(&self, tool: &'static str, arguments: Value) -> JoinHandle<Said> {
        let driver = Arc::clone(&self.driver);
        tokio::spawn(async move { said(driver.call_tool(tool, &arguments.to_string()).await) })
    }

    /// Calls a tool and waits for its answer.
    pub async fn asks(&self, tool: &str, arguments: Value) -> Said {
        said(self.driver.call_tool(tool, &arguments.to_string()).await)
    }
}

fn said<E: std::fmt::Display>(finished: Result<Finish, E>) -> Said {
    match finished {
        Ok(Finish::Answer(answer)) => Said(answer),
        Ok(Finish::Done) => {
            Said(Answer { text: vec!["no answer".to_owned()], is_error: true, structured: None })
        }
        Err(down) => Said(Answer { text: vec![down.to_string()], is_error: true, structured: None }),
    }
}

/// What a tool answered.
#[derive(Debug)]
pub struct Said(pub Answer);

impl Said {
    /// The first text block.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.text.first().map_or("", String::as_str)
    }

    /// The text as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }

    /// Whether the tool failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.0.is_error
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// The platform, to look at and to play with.
    pub fn platform(&self) -> MutexGuard<'_, Platform> {
        let mut platform = locked(&self.platform);
        platform.tick(self.platform_time());
        platform
    }

    /// Milliseconds since the story began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The cursor on disk.
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        self.files().cursor.clone()
    }

    /// The inbound secret on disk.
    #[must_use]
    pub fn secret(&self) -> Option<String> {
        self.files().secret.clone()
    }

    /// How many files were written.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.files().writes
    }

    /// Nothing can be written any more, or everything can again.
    pub fn disk_trouble(&self, why: Option<&str>) {
        self.files().trouble = why.map(str::to_owned);
    }

    /// The lines of one level for the operator.
    #[must_use]
    pub fn logged(&self, level: LogLevel) -> Vec<String> {
        locked(&self.log).iter().filter(|(of, _)| *of == level).map(|(_, text)| text.clone()).collect()
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        locked(&self.files)
    }

    fn fetches(&self) -> usize {
        let path = format!("/workspaces/{}/activity", self.me.id);
        let platform = self.platform();
        platform.requests(0).iter().filter(|entry| entry.request.path == path).count()
    }

    fn platform_time(&self) -> Now {
        Now::from_micros(EPOCH_MICROS).plus(self.start.elapsed())
    }

    async fn exchange(&self, request: Request, total_ms: u32) -> Outcome {
        time::sleep(LATENCY / 2).await;
        let reply = self.platform().handle(&request, self.platform_time());
        let answered = async {
            let response = settle(reply).await;
            time::sleep(LATENCY / 2).await;
            response
        };
        match time::timeout(Duration::from_millis(total_ms.into()), answered).await {
            Ok(Some(response)) => Outcome::Responded(self.response(response)),
            Ok(None) => unreachable("the connection was closed without an answer"),
            Err(_) => unreachable("no answer in time"),
        }
    }

    fn response(&self, response: Response) -> PlatformResponse {
        let header = |name| response.headers.get(name);
        PlatformResponse {
            status: response.status,
            json: header("Content-Type").is_some_and(|kind| kind.starts_with("application/json")),
            retry_after_ms: header("Retry-After")
                .and_then(|secs| secs.parse::<u64>().ok())
                .map(|secs| secs.max(1) * 1_000),
            server_time_ms: u64::try_from(self.platform_time().micros() / 1_000).ok(),
            body: response.body.to_vec(),
        }
    }

    fn request(&self, asked: &PlatformRequest) -> Request {
        let method = match asked.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let mut target = String::new();
        for segment in &asked.path {
            target.push('/');
            target.push_str(&encoded(segment));
        }
        for (place, (name, value)) in asked.query.iter().enumerate() {
            target.push(if place == 0 { '?' } else { '&' });
            target.push_str(&format!("{}={}", encoded(name), encoded(value)));
        }
        let mut request = self.authorised(Request::new(method, &target));
        if asked.identify {
            request = request.header("X-Workspace-ID", &self.me.id.to_string());
        }
        if let Some(body) = &asked.body {
            request.body = Bytes::copy_from_slice(body);
        }
        request
    }

    fn authorised(&self, request: Request) -> Request {
        request.header("Host", HOST).header("Origin", &format!("http://{HOST}")).bearer(&self.me.token)
    }
}

fn unreachable(reason: &str) -> Outcome {
    Outcome::Unreachable(Unreachable { reason: reason.to_owned(), maybe_sent: true })
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

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

impl Ports for World {
    fn now(&self) -> u64 {
        self.elapsed_ms()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Arrived(count) => {
                self.arrivals.send_replace(count);
            }
            Effect::Log(line) => locked(&self.log).push((line.level, line.text)),
            Effect::Report(request) => {
                let _ = self.platform().handle(&self.request(&request), self.platform_time());
            }
            Effect::Working(_) => {}
        }
    }

    async fn send(&self, request: PlatformRequest) -> Outcome {
        self.exchange(self.request(&request), request.limits.total_ms).await
    }

    async fn store(&self, update: FileUpdate) -> Outcome {
        let mut files = self.files();
        if let Some(why) = &files.trouble {
            return Outcome::StoreFailed(why.clone());
        }
        files.writes += 1;
        match update.change {
            FileChange::Cursor(cursor) => files.cursor = cursor,
            FileChange::InboundSecret(secret) => files.secret = Some(secret),
        }
        Outcome::Stored
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        let until = time::sleep_until(self.start + Duration::from_millis(rest.until));
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

    async fn upload(&self, request: UploadRequest) -> Outcome {
        let mut parts: VecDeque<u8> = VecDeque::new();
        for path in &request.files {
            let Some(content) = self.attachments.get(path) else {
                return Outcome::Refused(format!("attachment not found: {path}"));
            };
            let name = PathBuf::from(path).file_name().map(|name| name.to_string_lossy().into_owned());
            let head = format!(
                "--limit\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{}\"\r\nContent-Type: \
                 text/plain\r\n\r\n",
                name.unwrap_or_default()
            );
            parts.extend(head.bytes().chain(content.iter().copied()).chain(*b"\r\n"));
        }
        parts.extend(*b"--limit--\r\n");
        let mut upload = self
            .authorised(Request::new("POST", &format!("/workspaces/{}/chat/uploads", self.me.id)))
            .header("Content-Type", "multipart/form-data; boundary=limit");
        upload.body = Bytes::from(Vec::from(parts));
        self.exchange(upload, request.limits.total_ms).await
    }
}
