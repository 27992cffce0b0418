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
mod budget;
pub mod examine;
mod exchange;
mod issued;
mod record;
mod register;
mod rules;
mod standing;
#[cfg(test)]
mod tests;
mod verify;
mod working;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::task::{self, JoinHandle};
use tracing::Instrument as _;

use self::rules::{Answer, Plan, Step, Streak, line};
pub use self::{
    budget::RetryBudget,
    issued::Tokens,
    record::{Beat, Record, Signs},
    standing::Standing,
    verify::{Verdict, verify},
    working::{Busy, Working},
};
use crate::{
    account::{Account, Token},
    driver::{Driver, Ports},
    guest::wire::{Effect, Instant, Level, LogLine, Rest, Workspace},
    names::names,
    session::Session,
    sys::boot::ms,
};

/// How often the source of a refused token is looked at.
const LOOK_AGAIN_MS: u64 = 60_000;

/// The platform does not take the token of a workspace.
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
    account: Arc<Account>,
    working: Arc<Working>,
    learn: Box<dyn Fn(Vec<u8>) + Send + Sync>,
    tokens: Option<Arc<dyn Tokens>>,
    /// What came with a register, until it is known what it is good for.
    issued: Option<Token>,
    plan: Plan,
    streak: Streak,
    record: Arc<Record>,
    start: Instant,
    /// Milliseconds from the beginning of the session to the first register.
    delay_ms: u64,
    /// Shared with the other workspaces of the process, if there are any.
    budget: Option<Arc<RetryBudget>>,
}

impl<P: Ports> Presence<P> {
    /// Presence of `account`. `learn` is shown the body of every success, and must not wait.
    pub fn new(
        ports: Arc<P>,
        account: Arc<Account>,
        working: Arc<Working>,
        learn: impl Fn(Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let streak = Streak::new(&account.id, &account.credentials.source().to_string());
        let learn = Box::new(learn);
        Self {
            ports,
            account,
            working,
            learn,
            tokens: None,
            issued: None,
            plan: Plan::new(0),
            streak,
            record: Arc::default(),
            start: 0,
            delay_ms: 0,
            budget: None,
        }
    }

    /// Also looks what a token that comes with a register is good for, and uses it if it is the only one.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<dyn Tokens>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// Also notes in `record` how it goes.
    #[must_use]
    pub fn noting(self, record: Arc<Record>) -> Self {
        Self { record, ..self }
    }

    /// One of several workspaces: registers so long after the beginning of the session, and tries again only what
    /// `budget` allows.
    #[must_use]
    pub fn among_others(self, delay: Duration, budget: Arc<RetryBudget>) -> Self {
        Self { delay_ms: ms(delay), budget: Some(budget), ..self }
    }

    /// Returns once the source of the token holds another one than now; looks every minute.
    pub async fn another_token(&self) {
        let refused = self.account.credentials.token();
        while self.account.credentials.token() == refused {
            let until = self.ports.now() + LOOK_AGAIN_MS;
            self.ports.rest(Rest { until, arrivals_over: None, workspace: None }).await;
            let credentials = self.account.credentials.clone();
            let _ = task::spawn_blocking(move || credentials.reload()).await;
        }
    }

    /// Waits for the session, registers, and beats until the future is dropped.
    ///
    /// Returns only if the platform refuses a register before one has succeeded.
    pub async fn run(&mut self, session: &Session) -> Rejected {
        session.begun().await;
        self.start = self.ports.now() + self.delay_ms;
        self.plan = Plan::new(self.start);
        loop {
            let (step, due) = self.plan.next();
            self.ports.rest(Rest { until: due, arrivals_over: None, workspace: None }).await;
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
        let answer = register::register(&*self.ports, &self.account).await;
        let workspace = &self.account.id;
        let mut delivery_mode = None;
        match &answer {
            Answer::Accepted(body) => {
                self.log(line(Level::Info, format!("workspace {workspace} is registered")));
                let registered = register::read(body, &self.account.id);
                for warning in registered.warnings {
                    self.log(line(Level::Warn, warning));
                }
                (self.learn)(registered.body);
                self.issued = registered.issued;
                delivery_mode = registered.delivery_mode;
            }
            Answer::Declined(why) | Answer::Failed { why, .. } => self.register_failed(why),
            Answer::Missing => self.register_failed(&format!("HTTP 404: check {}", names().platform)),
            Answer::Removed => self.register_failed("HTTP 410: the workspace was removed from the platform"),
            Answer::Refused(status) => {
                return Err(Rejected {
                    status: *status,
                    workspace: workspace.clone(),
                    source_name: self.account.credentials.source().to_string(),
                });
            }
        }
        self.record.registered(&answer, delivery_mode);
        let now = self.ports.now();
        let may_retry = self.may_retry(&answer, now);
        self.plan.registered(&answer, now, fastrand::f64(), may_retry);
        Ok(())
    }

    async fn settle_issued(&mut self) {
        let (Some(issued), Some(tokens)) = (&self.issued, &self.tokens) else { return };
        if let Some(line) = issued::settle(&*self.ports, &**tokens, &self.account, issued).await {
            self.log(line);
            self.issued = None;
        }
    }

    async fn beat(&mut self) {
        let uptime = self.ports.now().saturating_sub(self.start);
        let answer = beat::beat(&*self.ports, &self.account, &self.working.busy(), uptime).await;
        let now = self.ports.now();
        self.record.beaten(&answer, now);
        if let Some(line) = self.streak.note(&answer, now) {
            self.log(line);
        }
        let may_retry = self.may_retry(&answer, now);
        self.plan.beaten(&answer, now, fastrand::f64(), may_retry);
        if let Answer::Accepted(body) = answer {
            (self.learn)(body);
        }
    }

    fn may_retry(&self, answer: &Answer, now: Instant) -> bool {
        let is_retried = matches!(answer, Answer::Failed { .. });
        !is_retried || self.budget.as_ref().is_none_or(|budget| budget.take(now))
    }

    fn register_failed(&self, why: &str) {
        let workspace = &self.account.id;
        let text = format!("workspace {workspace} is not registered, it will be tried again: {why}");
        self.log(line(Level::Warn, text));
    }

    fn log(&self, line: LogLine) {
        self.ports.perform(Effect::Log(line));
    }
}

/// Shows the guest what the platform answers to `workspace`, one body at a time: while the guest is busy with one,
/// the next are dropped, because every beat brings them again.
pub fn teach<P: Ports>(
    driver: Arc<Driver<P>>,
    workspace: Workspace,
) -> impl Fn(Vec<u8>) + Send + Sync + 'static {
    let lesson = Mutex::new(None::<JoinHandle<()>>);
    move |body| {
        let mut lesson = lesson.lock().unwrap_or_else(PoisonError::into_inner);
        if lesson.as_ref().is_some_and(|lesson| !lesson.is_finished()) {
            return;
        }
        *lesson = Some(tokio::spawn(learn(Arc::clone(&driver), workspace, body).in_current_span()));
    }
}

async fn learn<P: Ports>(driver: Arc<Driver<P>>, workspace: Workspace, body: Vec<u8>) {
    if let Err(down) = driver.learn_secret(workspace, &body).await {
        let text = format!("the answer of the platform was not looked at: {down}");
        driver.ports().perform(Effect::Log(line(Level::Warn, text)));
    }
}
