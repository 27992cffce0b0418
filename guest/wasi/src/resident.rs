//! A component that lives on: its inbox is open, it is present, and calls run beside each other.
//!
//! ```text
//! begin ──► present, every 20 s
//!       └─► lock? ── held elsewhere: follow, look again every 5 s
//!             └── taken ──► read the journal ──► fetch, for ever ── lock lost ──► follow
//! ```

use std::{pin::pin, rc::Rc};

use futures::future::{self, Either};
use molecule_logic::Agent;
use serde_json::Value;

use crate::{
    clock::{Clock, sleep_ms},
    driver::{Driver, Receipt},
    environment::Environment,
    lock::{Lock, STAMP_MS},
    state::State,
    visit::Answer,
};

/// Between two looks at a lock that somebody else has.
const LOOK_AGAIN_MS: u64 = 5_000;
/// Between two looks whether presence is due.
const ATTEND_MS: u64 = 1_000;
/// Between the end of a message's handling and the cursor file.
const SETTLE_MS: u64 = 500;

/// The workspace of a component that lives on.
pub struct Resident {
    driver: Rc<Driver>,
    environment: Rc<Environment>,
    state: Option<State>,
    clock: Clock,
}

impl Resident {
    /// Reads nothing yet, and sends nothing.
    ///
    /// # Errors
    /// A text that says what to do, if the directory of state cannot be used.
    pub fn new(environment: Environment) -> Result<Self, String> {
        let state = match &environment.state {
            Some(path) => Some(State::open(path, &environment)?),
            None => None,
        };
        let (environment, clock) = (Rc::new(environment), Clock::start());
        let mut agent = Agent::start(environment.settings(state.is_some()));
        agent.follow(0, String::new());
        let driver = Driver::new(agent, Rc::clone(&environment), None, clock);
        Ok(Self { driver, environment, state, clock })
    }

    /// What the logic says of itself.
    pub fn describe<T>(&self, verb: impl FnOnce(&Agent) -> T) -> T {
        self.driver.agent(|agent| verb(agent))
    }

    /// Calls a tool. The receipt says what becomes of the answer.
    pub async fn call(&self, name: &str, arguments: &Value) -> (Answer, Receipt) {
        self.driver.call(name, &arguments.to_string()).await
    }

    /// Is present and fetches messages, for ever.
    pub async fn live(&self) {
        future::join3(self.attend(), self.lead(), self.settle()).await;
    }

    /// Brings the cursor file up to date before the end.
    pub async fn end(&self) {
        self.driver.settle().await;
    }

    async fn attend(&self) {
        loop {
            self.driver.attend(self.environment.card.clone()).await;
            sleep_ms(ATTEND_MS).await;
        }
    }

    async fn settle(&self) {
        loop {
            sleep_ms(SETTLE_MS).await;
            self.driver.settle().await;
        }
    }

    async fn lead(&self) {
        let Some(state) = &self.state else { return future::pending().await };
        loop {
            match state.try_lock(&self.clock).await {
                Some(lock) => self.lead_with(state, &Rc::new(lock)).await,
                None => {
                    let leader = format!("another program that uses {}", state.shown());
                    self.driver.agent(|agent| agent.follow(0, leader));
                }
            }
            sleep_ms(LOOK_AGAIN_MS).await;
        }
    }

    /// Fetches until the lock is lost.
    async fn lead_with(&self, state: &State, lock: &Rc<Lock>) {
        self.driver.keep(Some(state.files(lock)));
        match self.driver.saved() {
            Ok(Some(saved)) => {
                let driver = &self.driver;
                let fetch = pin!(future::join3(
                    driver.fetch_inbox(saved),
                    driver.keep_files(0),
                    driver.keep_files(1)
                ));
                if let Either::Left(_) = future::select(fetch, pin!(self.hold(lock))).await {}
            }
            Ok(None) => {}
            Err(cause) => self.driver.warn(format!("{} cannot be read: {cause}", state.shown())),
        }
        self.driver.keep(None);
        self.driver.agent(|agent| agent.follow(0, String::new()));
    }

    /// Stamps the lock until it is lost.
    async fn hold(&self, lock: &Lock) {
        while lock.stamp(self.clock.now()) {
            sleep_ms(STAMP_MS).await;
        }
    }
}
