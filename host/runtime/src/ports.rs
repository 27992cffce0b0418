//! The powers of the program: HTTP, events, files, time and the log.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    config::Config,
    driver::Ports,
    guest::wire::{
        Effect, FetchRequest, FileUpdate, Instant, Level, Listen, LogLine, Outcome, PlatformRequest, Rest,
        SweepRequest, Unreachable, UploadRequest, Workspace,
    },
    platform::{
        attachments::{Attachments, Policy},
        chat_files::ChatFiles,
        events::{Events, Pace},
        http::{EventStream, Http},
    },
    presence::Working,
    storage::files::Files,
    sys::clock::Clock,
    text::one_line,
};

/// The program's own set of powers.
pub struct NativePorts {
    clock: Clock,
    http: Arc<Http>,
    events: Events<EventStream>,
    files: Files,
    attachments: Attachments,
    chat_files: ChatFiles,
    working: Arc<Working>,
    arrivals: watch::Sender<u64>,
}

impl NativePorts {
    /// The powers that the operator has given. Nothing is opened, read or sent yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let (base, workspace) = (config.platform.clone(), config.workspace.clone());
        let clock = Clock::machine();
        let network = config.network.clone();
        let http = Arc::new(Http::through(network, base, workspace, config.credentials.clone()));
        let stream = Arc::new(EventStream::new(Arc::clone(&http)));
        let files = Files::new(config.state.clone(), &config.platform, &config.workspace);
        Self {
            clock,
            events: Events::new(stream, clock, Pace::default(), fastrand::Rng::new()),
            http,
            attachments: Attachments::new(Policy::of(config)),
            chat_files: ChatFiles::new(&config.chat_uploads, &config.workspace, files.uploads()),
            files,
            working: Arc::default(),
            arrivals: watch::Sender::new(0),
        }
    }

    /// Exchanges with the platform.
    #[must_use]
    pub fn http(&self) -> &Arc<Http> {
        &self.http
    }

    /// The files of the workspace.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// What the workspace is busy with.
    #[must_use]
    pub fn working(&self) -> &Arc<Working> {
        &self.working
    }
}

impl Ports for NativePorts {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Arrived(count) => {
                self.arrivals.send_if_modified(|arrived| {
                    let more = *arrived < count;
                    *arrived = count.max(*arrived);
                    more
                });
            }
            // The driver sees to it.
            Effect::Handled(_) => {}
            Effect::Log(line) => log(&line),
            Effect::LookAgain(_) => self.events.hint(),
            Effect::Report(request) => {
                let http = Arc::clone(&self.http);
                tokio::spawn(async move { http.send(request).await });
            }
            Effect::Working(working) => self.working.note(&working),
        }
    }

    async fn send(&self, request: PlatformRequest) -> Outcome {
        let outcome = self.http.send(request).await;
        if matches!(&outcome, Outcome::Unreachable(Unreachable { maybe_sent: false, .. })) {
            self.events.platform_is_away();
        }
        outcome
    }

    async fn store(&self, update: FileUpdate) -> Outcome {
        self.files.store(update).await
    }

    async fn listen(&self, listen: Listen) -> Outcome {
        if listen.workspace != 0 {
            return Outcome::Refused(format!("there is no workspace {}", listen.workspace));
        }
        Outcome::Heard(self.events.listen(&listen).await)
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        self.clock.rest(rest, self.arrivals.subscribe()).await;
        Outcome::Rested
    }

    async fn take_over(&self, _workspace: Workspace) -> Outcome {
        match self.files.take_over().await {
            Ok(()) => Outcome::Rested,
            Err(why) => Outcome::Refused(why),
        }
    }

    async fn upload(&self, request: UploadRequest) -> Outcome {
        self.attachments.upload(&self.http, request).await
    }

    async fn fetch(&self, request: FetchRequest) -> Outcome {
        self.chat_files.fetch(&self.http, request).await
    }

    async fn sweep(&self, request: SweepRequest) -> Outcome {
        self.chat_files.sweep(request).await
    }
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
