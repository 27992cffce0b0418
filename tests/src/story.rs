//! The real component and the real driver, a platform in memory, and time by hand.
//!
//! ```text
//! test ──► Story ──► Driver ──► Guest (WebAssembly)
//!                      │
//!                      └──► Process ──► Machine: standin::Platform, files in memory, paused clock
//! ```
//!
//! A crash ends the process: driver, guest, and whatever was under way. The machine stays.

mod hints;
mod machine;
mod powers;
mod said;
mod setting;
mod transcript;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::select_all;
use molecule_runtime::{
    account,
    driver::Driver,
    guest::{
        Guest, GuestDown,
        wire::{Settings, WakeRules},
    },
    presence::{Presence, Rejected, Tokens, teach},
    session::Session,
};
use serde_json::Value;
use standin::{Now, Request, Response, world::Credentials};
use tokio::{
    task::{AbortHandle, JoinHandle},
    time,
};

use self::machine::{HOST, Machine};
pub use self::{machine::Held, powers::Process, said::Said, setting::Setting};

/// What a request takes to the platform and back.
pub const LATENCY: Duration = Duration::from_millis(2);

/// How often a fetch is looked for before there is none.
const PATIENCE: u32 = 10;

/// As many as in the program.
const FILE_LANES: u32 = 3;

/// Before the inbox is opened again after a trap.
const REOPEN: Duration = Duration::from_secs(1);

/// An agent, its platform, and everything that happened.
pub struct Story {
    /// The workspace that the agent is.
    pub me: Credentials,
    settings: Settings,
    machine: Arc<Machine>,
    driver: Arc<Driver<Process>>,
    /// What the process does besides.
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Story {
    /// A platform of the later level, an inbox that has been fetched once and found empty.
    pub async fn new() -> Self {
        let story = Setting::default().begin();
        story.fetch().await;
        story
    }

    fn start(settings: Settings, machine: Arc<Machine>) -> Self {
        let me = machine.me.clone();
        let driver = driver(&settings, &machine);
        Self { me, settings, machine, driver, tasks: Mutex::default() }
    }

    /// Begins to fetch the inbox from what is on disk, and waits until it rests.
    pub async fn fetch(&self) {
        let driver = Arc::clone(&self.driver);
        let begun = self.fetches();
        drop(self.begin::<()>(async move {
            // It only ends by a trap, and is opened again with what is on disk, as the program does.
            loop {
                let saved = driver.ports().saved();
                let files = select_all((0..FILE_LANES).map(|lane| Box::pin(driver.keep_files(0, lane))));
                tokio::select! {
                    biased;
                    _ = driver.fetch_inbox(0, saved) => {}
                    _ = files => {}
                }
                time::sleep(REOPEN).await;
            }
        }));
        // An inbox that is full from the start asks for nothing.
        let mut patience = PATIENCE;
        let mut seen = begun;
        while (seen == begun && patience > 0) || seen != self.fetches() {
            seen = self.fetches();
            patience = patience.saturating_sub(1);
            time::sleep(2 * LATENCY).await;
        }
    }

    /// Rings for the agent from now on.
    pub fn wakes(&self, rules: WakeRules) {
        let driver = Arc::clone(&self.driver);
        drop(self.begin::<()>(async move {
            loop {
                let _ = driver.wake(&rules).await;
                time::sleep(REOPEN).await;
            }
        }));
    }

    /// The last ring has reached nobody, and there is none before a time in milliseconds since the story began.
    pub async fn was_not_rung(&self, why: &str, again: u64) {
        // A guest that traps here has forgotten the ring.
        self.process().end_transcript();
        let _ = self.driver.guest().not_rung(why, again).await;
    }

    /// What became of the messages that the agent has not seen: codes, with how many there are of each.
    pub async fn wake_states(&self) -> Vec<(String, u32)> {
        let states = self.driver.guest().wake_state(self.elapsed_ms()).await.unwrap_or_default();
        states.into_iter().map(|state| (state.code, state.messages)).collect()
    }

    /// Registers and beats, from now on; ends only if the platform refuses the first register.
    #[must_use]
    pub fn appear(&self) -> JoinHandle<Rejected> {
        let account = Arc::new(account_of(&self.me));
        let learn = teach(Arc::clone(&self.driver), account.handle());
        let ports = Arc::clone(self.driver.ports());
        let mut presence = Presence::new(ports, account, Arc::clone(self.process().busy()), learn)
            .with_tokens(Arc::clone(self.driver.ports()) as Arc<dyn Tokens>);
        self.begin(async move {
            let session = Session::default();
            session.tool_called();
            presence.run(&session).await
        })
    }

    /// Ends the process without a farewell, and starts another one on the same machine.
    pub fn crash(&mut self) {
        for task in self.tasks().drain(..) {
            task.abort();
        }
        self.driver = driver(&self.settings, &self.machine);
    }

    /// Begins a call, which goes on by itself. Aborting it cancels the call.
    #[must_use]
    pub fn call(&self, tool: &'static str, arguments: Value) -> JoinHandle<Said> {
        let driver = Arc::clone(&self.driver);
        self.begin(async move { said(&driver, tool, &arguments).await })
    }

    /// Calls a tool and waits for its answer.
    pub async fn asks(&self, tool: &str, arguments: Value) -> Said {
        said(&self.driver, tool, &arguments).await
    }

    /// Calls a tool whose answer is never written to the client.
    pub async fn asks_in_vain(&self, tool: &str, arguments: Value) -> Said {
        let answered = self.driver.call_tool(tool, &arguments.to_string()).await;
        let said = Said::of(answered.map(|(answer, _receipt)| answer));
        // That the receipt is dropped gets to the guest by itself.
        time::sleep(LATENCY).await;
        said
    }

    /// The names of all tools.
    ///
    /// # Errors
    /// When the guest traps.
    pub async fn tools(&self) -> Result<Vec<String>, GuestDown> {
        let specs = self.driver.guest().specs().await?;
        Ok(specs.into_iter().map(|spec| spec.name).collect())
    }

    /// Shows the guest the body of a heartbeat.
    pub async fn hears(&self, body: &Value) {
        // A guest that traps here has heard nothing, and the next beat is as good.
        let _ = self.driver.learn_secret(0, body.to_string().as_bytes()).await;
    }

    /// Tells the guest what the secret file holds, as at every start.
    pub async fn remembers_its_secret(&self) {
        if let Some(secret) = self.secret() {
            self.process().end_transcript();
            // A guest that traps here writes the secret once more than needed.
            let _ = self.driver.guest().remember_secret(0, &secret).await;
        }
    }

    /// Whether a new instance of the guest has taken the place of the one before, as nothing is lost by that.
    pub async fn renews(&self) -> bool {
        // A guest that traps is replaced as well, with what is lost by that.
        self.driver.renew().await.unwrap_or(false)
    }

    /// Bytes of memory that the guest has.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.driver.guest().memory()
    }

    /// Lets time pass.
    pub async fn pass(&self, span: Duration) {
        time::sleep(span).await;
    }

    /// What the process does and sees.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.driver.ports()
    }

    /// The platform, to look at and to play with.
    pub fn platform(&self) -> Held<'_> {
        self.machine.platform()
    }

    /// Somebody else sends a request to the platform, or a test hook is used; none if there is no answer at once.
    pub fn somebody_sends(&self, request: &Request) -> Option<Response> {
        self.platform().handle(request, self.machine.platform_time()).answer()
    }

    /// Milliseconds since the story began.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        self.machine.elapsed_ms()
    }

    /// The platform's clock.
    #[must_use]
    pub fn platform_time(&self) -> Now {
        self.machine.platform_time()
    }

    /// When something happened on the platform, in milliseconds since the story began.
    #[must_use]
    pub fn ms_of(&self, at: Now) -> u64 {
        self.machine.ms_of(at)
    }

    /// The cursor on disk.
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        self.machine.files().cursor.clone()
    }

    /// Somebody has written into the cursor file.
    pub fn put_cursor(&self, cursor: &str) {
        self.machine.files().cursor = Some(cursor.to_owned());
    }

    /// The records of the journal on disk, oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<String> {
        self.machine.files().journal.clone()
    }

    /// The journal on disk is of these records. With `damaged_after`, something is missing behind so many of them.
    pub fn put_journal(&self, records: &[String], damaged_after: Option<u32>) {
        let mut files = self.machine.files();
        files.journal = records.to_vec();
        files.damaged_after = damaged_after;
    }

    /// What the journals were that were kept as copies, oldest first.
    #[must_use]
    pub fn journal_copies(&self) -> Vec<Vec<String>> {
        self.machine.files().copies.clone()
    }

    /// The platform's events come through from now on, or no longer; without them its streams are closed.
    pub fn bring_events(&self, on: bool) {
        self.machine.bring_events(on);
    }

    /// The inbound secret on disk.
    #[must_use]
    pub fn secret(&self) -> Option<String> {
        self.machine.files().secret.clone()
    }

    /// What is on disk of the files of the user, by path.
    #[must_use]
    pub fn uploads(&self) -> BTreeMap<String, Bytes> {
        self.machine.files().uploads.clone()
    }

    /// The user sends a file: its address, and the row of the platform about it is there.
    ///
    /// # Panics
    /// When the platform does not take it.
    pub fn user_sends_file(&self, name: &str, content: &str) -> String {
        let address = self.platform().user_sends_file(&self.me, name, content);
        assert!(address.is_some(), "the platform does not take the file");
        address.unwrap_or_default()
    }

    /// How many times a file was written.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.machine.files().writes
    }

    /// Nothing can be written any more, or everything can again.
    pub fn disk_trouble(&self, why: Option<&str>) {
        self.machine.files().trouble = why.map(str::to_owned);
    }

    /// The bodies of the requests of this method whose path ends like this, oldest first.
    #[must_use]
    pub fn sent(&self, method: &str, end_of_path: &str) -> Vec<Value> {
        let platform = self.platform();
        let sent = platform.requests(0).into_iter().map(|entry| &entry.request);
        let sent = sent.filter(|request| request.method == method && request.path.ends_with(end_of_path));
        sent.map(|request| serde_json::from_slice(&request.body).unwrap_or_default()).collect()
    }

    /// How often the inbox was asked for, page by page.
    #[must_use]
    pub fn fetches(&self) -> usize {
        let path = format!("/workspaces/{}/activity", self.me.id);
        let platform = self.platform();
        let fetches = platform.requests(0).into_iter().map(|entry| &entry.request);
        fetches.filter(|request| request.path == path && request.query.contains("type=a2a_receive")).count()
    }

    fn begin<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let task = tokio::spawn(task);
        self.tasks().push(task.abort_handle());
        task
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        locked(&self.tasks)
    }
}

/// The client gets the answer as soon as there is one.
async fn said(driver: &Arc<Driver<Process>>, tool: &str, arguments: &Value) -> Said {
    match driver.call_tool(tool, &arguments.to_string()).await {
        Ok((answer, receipt)) => {
            receipt.written().await;
            Said::of(Ok(answer))
        }
        Err(down) => Said::of(Err(down)),
    }
}

/// The workspace as the program would be told of it.
#[expect(clippy::expect_used, reason = "a story whose platform is none cannot go on")]
fn account_of(me: &Credentials) -> account::Account {
    let platform = format!("https://{HOST}").parse().expect("the platform of a story has an address");
    let token = account::Token::parse(&me.token).expect("the platform of a story gives tokens");
    let source = account::TokenSource::setting("MOLECULE_WORKSPACE_TOKEN");
    let mut account =
        account::Account::new(me.id.to_string(), platform, account::Credentials::new(source, token));
    account.card = account::AgentCard { name: "agent".to_owned(), description: None, skills: Vec::new() };
    account
}

#[expect(clippy::expect_used, reason = "a story without its component cannot go on")]
fn driver(settings: &Settings, machine: &Arc<Machine>) -> Arc<Driver<Process>> {
    let guest = Guest::embedded(settings.clone()).expect("the embedded component fits this program");
    Driver::new(guest, Arc::new(Process::new(Arc::clone(machine), settings)))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
