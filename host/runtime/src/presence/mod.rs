//! Registers the workspace and keeps it alive.
//!
//! ```text
//! session begun ──► register ──► beat, every 20 s ──► …
//!                    │    ▲        │
//!                    │    └ later ─┘ if the register failed
//!                    └──► refused: the process ends
//! ```
//!
//! It waits for its platform and for nothing else: not for the guest, the client or the disk.

mod beat;
mod exchange;
mod issued;
mod register;
mod rules;
#[cfg(test)]
mod tests;
mod working;

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tokio::task::JoinHandle;

use self::rules::{Answer, Plan, Step, Streak, line};
pub use self::{
    issued::Tokens,
    working::{Busy, Working},
};
use crate::{
    account::Token,
    config::{AgentCard, Config},
    driver::{Driver, Ports},
    guest::wire::{Effect, Instant, Level, LogLine, Rest},
    names::names,
    session::Session,
};

/// The workspace that is to be seen.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub workspace: String,
    /// Where its token comes from, as it reads after "the token from".
    pub source: String,
    /// What other workspaces see of it.
    pub card: AgentCard,
}

impl Member {
    /// The workspace of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            workspace: config.workspace.clone(),
            source: config.credentials.source().to_string(),
            card: config.card.clone(),
        }
    }
}

/// The platform does not take the token; the process ends with code 3.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the platform refused the register (HTTP {status}): the token from {source_name} is not valid for workspace \
     {workspace}; regenerate it in the Tokens tab of the canvas and update {source_name}"
)]
pub struct Rejected {
    /// 401 or 403.
    pub status: u16,
    /// The workspace that was to be registered.
    pub workspace: String,
    /// Where its token came from.
    pub source_name: String,
}

/// Registers and beats.
pub struct Presence<P> {
    ports: Arc<P>,
    member: Member,
    working: Arc<Working>,
    learn: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    tokens: Option<Arc<dyn Tokens>>,
    /// What came with a register, until it is known what it is good for.
    issued: Option<Token>,
    plan: Plan,
    streak: Streak,
    start: Instant,
}

impl<P: Ports> Presence<P> {
    /// Presence of `member`. `learn` is shown the body of every success, and must not wait.
    pub fn new(
        ports: Arc<P>,
        member: Member,
        working: Arc<Working>,
        learn: impl Fn(Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let streak = Streak::new(&member.workspace, &member.source);
        let learn = Box::new(learn);
        Self {
            ports,
            member,
            working,
            learn,
            tokens: None,
            issued: None,
            plan: Plan::new(0),
            streak,
            start: 0,
        }
    }

    /// Also looks what a token that comes with a register is good for, and uses it if it is the only one.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<dyn Tokens>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// Waits for the session, registers, and beats until the future is dropped.
    ///
    /// Returns only if the platform refuses a register before one has succeeded.
    pub async fn run(mut self, session: &Session) -> Rejected {
        session.begun().await;
        self.start = self.ports.now();
        self.plan = Plan::new(self.start);
        loop {
            let (step, due) = self.plan.next();
            self.ports.rest(Rest { until: due, arrivals_over: None }).await;
            match step {
                Step::Beat => self.beat().await,
                Step::Register => {
                    if let Err(rejected) = self.register().await {
                        return rejected;
                    }
                }
            }
            self.settle_issued().await;
        }
    }

    async fn register(&mut self) -> Result<(), Rejected> {
        let answer = register::register(&*self.ports, &self.member).await;
        let workspace = &self.member.workspace;
        match &answer {
            Answer::Accepted(body) => {
                self.log(line(Level::Info, format!("workspace {workspace} is registered")));
                let registered = register::read(body, &self.member);
                for warning in registered.warnings {
                    self.log(line(Level::Warn, warning));
                }
                (self.learn)(registered.body);
                self.issued = registered.issued;
            }
            Answer::Declined(why) | Answer::Failed { why, .. } => self.register_failed(why),
            Answer::Missing => self.register_failed(&format!("HTTP 404: check {}", names().platform)),
            Answer::Removed => self.register_failed("HTTP 410: the workspace was removed from the platform"),
            Answer::Refused(status) => {
                return Err(Rejected {
                    status: *status,
                    workspace: workspace.clone(),
                    source_name: self.member.source.clone(),
                });
            }
        }
        self.plan.registered(&answer, self.ports.now(), fastrand::f64());
        Ok(())
    }

    async fn settle_issued(&mut self) {
        let (Some(issued), Some(tokens)) = (&self.issued, &self.tokens) else { return };
        let Member { workspace, source, .. } = &self.member;
        if let Some(line) = issued::settle(&*self.ports, &**tokens, workspace, source, issued).await {
            self.log(line);
            self.issued = None;
        }
    }

    async fn beat(&mut self) {
        let uptime = self.ports.now().saturating_sub(self.start);
        let answer = beat::beat(&*self.ports, &self.member.workspace, &self.working.busy(), uptime).await;
        let now = self.ports.now();
        if let Some(line) = self.streak.note(&answer, now) {
            self.log(line);
        }
        self.plan.beaten(&answer, now, fastrand::f64());
        if let Answer::Accepted(body) = answer {
            (self.learn)(body);
        }
    }

    fn register_failed(&self, why: &str) {
        let workspace = &self.member.workspace;
        let text = format!("workspace {workspace} is not registered, it will be tried again: {why}");
        self.log(line(Level::Warn, text));
    }

    fn log(&self, line: LogLine) {
        self.ports.perform(Effect::Log(line));
    }
}

/// Shows the guest what the platform answers, one body at a time: while the guest is busy with one, the
/// next are dropped, because every beat brings them again.
pub fn teach<P: Ports>(driver: Arc<Driver<P>>) -> impl Fn(Vec<u8>) + Send + Sync + 'static {
    let lesson = Mutex::new(None::<JoinHandle<()>>);
    move |body| {
        let mut lesson = lesson.lock().unwrap_or_else(PoisonError::into_inner);
        if lesson.as_ref().is_some_and(|lesson| !lesson.is_finished()) {
            return;
        }
        let driver = Arc::clone(&driver);
        *lesson = Some(tokio::spawn(async move {
            if let Err(down) = driver.learn_secret(0, &body).await {
                let text = format!("the answer of the platform was not looked at: {down}");
                driver.ports().perform(Effect::Log(line(Level::Warn, text)));
            }
        }));
    }
}
