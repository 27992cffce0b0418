//! The powers of the program: HTTP, events, files, time and the log.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::Instrument as _;

use crate::{
    account::{self, Account},
    config::Config,
    driver::Ports,
    guest::wire::{
        Arrival, Effect, FetchRequest, FileUpdate, Instant, Level, Listen, LogLine, Outcome, PlatformRequest,
        Rest, Ring, SweepRequest, Unreachable, UploadRequest, Workspace,
    },
    platform::{
        attachments::{Attachments, Policy},
        chat_files::ChatFiles,
        events::{self, Events, Pace},
        http::{EventStream, Http, Pools},
    },
    presence::{Record, Working},
    storage::files::Files,
    sys::clock::Clock,
    text::one_line,
};

/// The powers of a process that is no test.
pub struct NativePorts {
    clock: Clock,
    /// By handle.
    lines: Vec<Line>,
    attachments: Attachments,
    /// Of all workspaces.
    arrivals: watch::Sender<u64>,
    rings: watch::Sender<Rung>,
}

/// How many rings there were, and the last of them.
pub(crate) type Rung = (u64, Option<Ring>);

/// What the process has for one account.
pub struct Line {
    account: Arc<Account>,
    http: Arc<Http>,
    events: Events<EventStream>,
    files: Files,
    chat_files: ChatFiles,
    working: Arc<Working>,
    record: Arc<Record>,
    arrivals: watch::Sender<u64>,
}

impl NativePorts {
    /// The powers that the operator has given. Nothing is opened, read or sent yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let clock = Clock::machine();
        let accounts = account::numbered(&config.accounts, config.state.as_deref());
        let mut pools = Pools::for_accounts(accounts.len());
        let lines = accounts.into_iter().map(|account| Line::new(account, config, &mut pools, clock));
        Self {
            clock,
            lines: lines.collect(),
            attachments: Attachments::new(Policy::of(config)),
            arrivals: watch::Sender::new(0),
            rings: watch::Sender::default(),
        }
    }

    /// How often calls of any workspace got a reason to go on.
    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// The rings for the agent.
    pub(crate) fn rings(&self) -> watch::Receiver<Rung> {
        self.rings.subscribe()
    }

    /// What there is for each account, by handle.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn line(&self, workspace: Workspace) -> Result<&Line, Outcome> {
        let line = usize::try_from(workspace).ok().and_then(|place| self.lines.get(place));
        line.ok_or_else(|| Outcome::Refused(format!("there is no workspace {workspace}")))
    }
}

impl Line {
    fn new(account: Arc<Account>, config: &Config, pools: &mut Pools, clock: Clock) -> Self {
        let http = Arc::new(Http::over(pools, Arc::clone(&account)));
        let stream = Arc::new(EventStream::new(Arc::clone(&http)));
        let files = Files::of(&account);
        Self {
            events: Events::new(stream, clock, Pace::default(), fastrand::Rng::new()),
            http,
            chat_files: ChatFiles::new(&config.chat_uploads, &account.id, files.uploads()),
            files,
            working: Arc::default(),
            record: Arc::default(),
            arrivals: watch::Sender::new(0),
            account,
        }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Exchanges with its platform.
    #[must_use]
    pub const fn http(&self) -> &Arc<Http> {
        &self.http
    }

    /// Its files.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// How its presence goes.
    #[must_use]
    pub const fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// How its event stream goes, and since when.
    #[must_use]
    pub fn stream(&self) -> (events::State, Instant) {
        self.events.state()
    }

    /// What it is busy with.
    #[must_use]
    pub const fn working(&self) -> &Arc<Working> {
        &self.working
    }
}

impl Ports for NativePorts {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Arrived(Arrival { workspace, count }) => {
                raise(&self.arrivals, count);
                if let Ok(line) = self.line(workspace) {
                    raise(&line.arrivals, count);
                }
            }
            // The driver sees to it.
            Effect::Handled(_) => {}
            Effect::Log(line) => log(&line),
            Effect::LookAgain(workspace) => {
                if let Ok(line) = self.line(workspace) {
                    line.events.hint();
                }
            }
            Effect::Report(request) => {
                if let Ok(line) = self.line(request.workspace) {
                    let http = Arc::clone(&line.http);
                    tokio::spawn(async move { http.send(request).await }.in_current_span());
                }
            }
            Effect::Ring(ring) => self.rings.send_modify(|rings| *rings = (rings.0 + 1, Some(ring))),
            Effect::Working(working) => {
                if let Ok(line) = self.line(working.workspace) {
                    line.working.note(&working);
                }
            }
        }
    }

    async fn send(&self, request: PlatformRequest) -> Outcome {
        let line = match self.line(request.workspace) {
            Ok(line) => line,
            Err(refused) => return refused,
        };
        let outcome = line.http.send(request).await;
        if matches!(&outcome, Outcome::Unreachable(Unreachable { maybe_sent: false, .. })) {
            line.events.platform_is_away();
        }
        outcome
    }

    async fn store(&self, update: FileUpdate) -> Outcome {
        match self.line(update.workspace) {
            Ok(line) => line.files.store(update).await,
            Err(refused) => refused,
        }
    }

    async fn listen(&self, listen: Listen) -> Outcome {
        match self.line(listen.workspace) {
            Ok(line) => Outcome::Heard(line.events.listen(&listen).await),
            Err(refused) => refused,
        }
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        let arrivals = match rest.workspace.map(|workspace| self.line(workspace)) {
            Some(Ok(line)) => &line.arrivals,
            Some(Err(_)) | None => &self.arrivals,
        };
        self.clock.rest(rest, arrivals.subscribe()).await;
        Outcome::Rested
    }

    async fn take_over(&self, workspace: Workspace) -> Outcome {
        match self.line(workspace) {
            Ok(line) => line.files.take_over().await.map_or_else(Outcome::Refused, |()| Outcome::Rested),
            Err(refused) => refused,
        }
    }

    async fn upload(&self, request: UploadRequest) -> Outcome {
        match self.line(request.workspace) {
            Ok(line) => self.attachments.upload(&line.http, request).await,
            Err(refused) => refused,
        }
    }

    async fn fetch(&self, request: FetchRequest) -> Outcome {
        match self.line(request.workspace) {
            Ok(line) => line.chat_files.fetch(&line.http, request).await,
            Err(refused) => refused,
        }
    }

    async fn sweep(&self, request: SweepRequest) -> Outcome {
        match self.line(request.workspace) {
            Ok(line) => line.chat_files.sweep(request).await,
            Err(refused) => refused,
        }
    }
}

/// Tells those who rest, unless the count is an old one.
fn raise(arrivals: &watch::Sender<u64>, count: u64) {
    arrivals.send_if_modified(|arrived| {
        let more = *arrived < count;
        *arrived = count.max(*arrived);
        more
    });
}

/// Writes a line of the guest to the operator's log.
pub fn log(line: &LogLine) {
    let text = one_line(&line.text);
    match line.level {
        Level::Error => tracing::error!("{text}"),
        Level::Info => tracing::info!("{text}"),
        Level::Warn => tracing::warn!("{text}"),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use url::Url;

    use super::*;
    use crate::{
        account::{Credentials, Token, TokenSource},
        config::{ChatUploads, ToolOptions},
        guest::wire::{Limits, Method},
    };

    #[tokio::test]
    async fn an_arrival_ends_the_rests_of_its_workspace_and_of_those_who_wait_for_all() {
        let ports = of_two();
        let ends = |workspace| {
            let rest = Rest { until: u64::MAX, arrivals_over: Some(3), workspace };
            ports.rest(rest).now_or_never().is_some()
        };

        ports.perform(Effect::Arrived(Arrival { workspace: 1, count: 4 }));

        assert_eq!([ends(Some(0)), ends(Some(1)), ends(None)], [false, true, true]);
    }

    #[tokio::test]
    async fn what_names_no_workspace_of_the_process_is_refused() {
        let request = PlatformRequest {
            workspace: 2,
            method: Method::Get,
            path: vec!["health".to_owned()],
            query: Vec::new(),
            identify: false,
            body: None,
            limits: Limits { first_byte_ms: 1, total_ms: 1, body_bytes: 1 },
        };

        let outcome = of_two().send(request).await;

        assert_eq!(outcome, Outcome::Refused("there is no workspace 2".to_owned()));
    }

    fn of_two() -> NativePorts {
        let account = |id: &str| {
            let credentials = Credentials::new(TokenSource::setting("TOKEN"), Token::parse("tok").unwrap());
            Account::new(id, Url::parse("http://localhost").unwrap(), credentials)
        };
        NativePorts::new(&Config {
            accounts: vec![account("a"), account("b")],
            secret_files: Vec::new(),
            state: None,
            presence: false,
            inbox: false,
            attach_roots: Vec::new(),
            home: None,
            chat_uploads: ChatUploads::default(),
            tools: ToolOptions::default(),
        })
    }
}
