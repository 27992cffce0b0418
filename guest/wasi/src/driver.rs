//! The loop that carries out the turns of the logic, with the powers of WASI.
//!
//! Everything runs on one thread. A dialogue that is dropped is cancelled, and so is what it waits for.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    rc::Rc,
};

use futures::future::join_all;
use molecule_logic::{
    Agent, Card,
    wire::{Answer, Effect, Finish, Level, Listen, LogLine, Next, Outcome, Rest, Saved, Turn},
};
use tokio::sync::watch;
use wstd::{future::FutureExt as _, runtime::Task, time::Duration};

use crate::{attachments, clock::Clock, environment::Environment, files::Files, log};

/// The one workspace of an instance.
const WORKSPACE: u32 = 0;

/// How long reports about a call may take after it.
const REPORTS_MS: u64 = 3_000;

/// The logic and the powers that it has here.
pub(crate) struct Driver {
    agent: RefCell<Agent>,
    environment: Rc<Environment>,
    /// None where nothing is kept.
    files: RefCell<Option<Files>>,
    clock: Clock,
    dialogues: Cell<u64>,
    arrivals: watch::Sender<u64>,
    hints: watch::Sender<u64>,
    /// Messages are dealt with, and the cursor file does not say so.
    unsettled: Cell<bool>,
    reports: RefCell<Vec<Task<()>>>,
}

impl Driver {
    pub(crate) fn new(
        agent: Agent,
        environment: Rc<Environment>,
        files: Option<Files>,
        clock: Clock,
    ) -> Rc<Self> {
        Rc::new(Self {
            agent: RefCell::new(agent),
            environment,
            files: RefCell::new(files),
            clock,
            dialogues: Cell::new(0),
            arrivals: watch::Sender::new(0),
            hints: watch::Sender::new(0),
            unsettled: Cell::new(false),
            reports: RefCell::default(),
        })
    }

    /// What the logic knows.
    pub(crate) fn agent<T>(&self, verb: impl FnOnce(&mut Agent) -> T) -> T {
        verb(&mut self.agent.borrow_mut())
    }

    /// Changes where things are kept.
    pub(crate) fn keep(&self, files: Option<Files>) {
        self.files.replace(files);
    }

    /// Says something to the operator.
    pub(crate) fn warn(&self, text: String) {
        log::write(&LogLine { level: Level::Warn, text }, self.environment.verbose);
    }

    /// Calls a tool; `arguments` is a JSON object.
    pub(crate) async fn call(self: &Rc<Self>, name: &str, arguments: &str) -> (Answer, Receipt) {
        let end = self.begin(|agent, dialogue, now| agent.open_tool(dialogue, name, arguments, now)).await;
        match end {
            End::Finished(Finish::Answer(answer)) => (answer, Receipt(None)),
            End::Finished(Finish::Done) => (lost(), Receipt(None)),
            End::Reply(answer, open) => (answer, Receipt(Some(open))),
        }
    }

    /// What the inbox has on disk; none where nothing is kept.
    pub(crate) fn saved(&self) -> io::Result<Option<Saved>> {
        self.files.borrow_mut().as_mut().map(Files::saved).transpose()
    }

    /// Fetches messages, for ever.
    pub(crate) async fn fetch_inbox(self: &Rc<Self>, saved: Saved) {
        self.begin(|agent, dialogue, now| agent.open_inbox(dialogue, WORKSPACE, saved, now)).await;
    }

    /// Takes care of the files of messages in one lane, for ever.
    pub(crate) async fn keep_files(self: &Rc<Self>, lane: u32) {
        self.begin(|agent, dialogue, now| agent.open_files(dialogue, WORKSPACE, lane, now)).await;
    }

    /// Registers and beats, as far as that is due.
    pub(crate) async fn attend(self: &Rc<Self>, card: Card) {
        self.begin(|agent, dialogue, now| agent.attend(dialogue, WORKSPACE, card, now)).await;
    }

    /// Brings the cursor file up to date, and lets reports go out.
    pub(crate) async fn settle(self: &Rc<Self>) {
        if self.unsettled.take() {
            self.begin(|agent, dialogue, now| agent.settle_inbox(dialogue, WORKSPACE, now)).await;
        }
        let reports = self.reports.take();
        let _ = join_all(reports).timeout(Duration::from_millis(REPORTS_MS)).await;
    }

    async fn begin(self: &Rc<Self>, open: impl FnOnce(&mut Agent, u64, u64) -> Turn) -> End {
        let dialogue = self.dialogues.get() + 1;
        self.dialogues.set(dialogue);
        let turn = open(&mut self.agent.borrow_mut(), dialogue, self.clock.now());
        self.drive(Open { driver: Rc::clone(self), dialogue, finished: false }, turn).await
    }

    /// Carries out `turn` and every turn after it, until the dialogue finishes or gives its answer.
    async fn drive(self: &Rc<Self>, mut open: Open, mut turn: Turn) -> End {
        loop {
            turn.effects.into_iter().for_each(|effect| self.perform(effect));
            let outcome = match turn.next {
                Next::Finish(finish) => {
                    open.finished = true;
                    return End::Finished(finish);
                }
                Next::Reply(answer) => return End::Reply(answer, open),
                Next::Fetch(_) => {
                    Outcome::Refused("this host keeps no files: look at it on the canvas".to_owned())
                }
                Next::Listen(listen) => self.listen(listen).await,
                Next::Rest(rest) => self.rest(rest).await,
                Next::Send(request) => self.environment.platform.send(request).await,
                Next::Store(update) => match self.files.borrow_mut().as_mut() {
                    Some(files) => files.change(update.change),
                    None => Outcome::StoreFailed("this call keeps nothing".to_owned()),
                },
                Next::Sweep(_) => Outcome::Swept(Vec::new()),
                Next::TakeOver(_) => Outcome::Refused(
                    "another program uses the directory of MOLECULE_STATE_DIR: end that one".to_owned(),
                ),
                Next::Upload(request) => {
                    attachments::upload(
                        &self.environment.platform,
                        self.environment.state.as_deref(),
                        request,
                    )
                    .await
                }
            };
            turn = self.agent.borrow_mut().resume(open.dialogue, outcome, self.clock.now());
        }
    }

    async fn listen(&self, listen: Listen) -> Outcome {
        let mut hints = self.hints.subscribe();
        let heard = async { hints.wait_for(|hints| *hints > listen.hints_over).await.map(|hints| *hints) };
        let heard = self.until(listen.until, heard).await.and_then(Result::ok);
        Outcome::Heard(heard.unwrap_or_else(|| *self.hints.borrow()))
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        match rest.arrivals_over {
            Some(seen) => {
                let mut arrivals = self.arrivals.subscribe();
                self.until(rest.until, async { arrivals.wait_for(|count| *count > seen).await.map(drop) })
                    .await;
            }
            None => self.clock.sleep_until(rest.until).await,
        }
        Outcome::Rested
    }

    /// What `future` gives, or nothing if it is `until` before that.
    async fn until<F: Future>(&self, until: u64, future: F) -> Option<F::Output> {
        let left = Duration::from_millis(until.saturating_sub(self.clock.now()));
        future.timeout(left).await.ok()
    }

    fn perform(&self, effect: Effect) {
        match effect {
            Effect::Arrived(arrival) => {
                self.arrivals.send_if_modified(|count| {
                    let more = *count < arrival.count;
                    *count = arrival.count.max(*count);
                    more
                });
            }
            Effect::Handled(_) => self.unsettled.set(true),
            Effect::Log(line) => log::write(&line, self.environment.verbose),
            Effect::LookAgain(_) => self.hints.send_modify(|hints| *hints += 1),
            Effect::Report(request) => {
                let environment = Rc::clone(&self.environment);
                let report = wstd::runtime::spawn(async move {
                    environment.platform.send(request).await;
                });
                self.reports.borrow_mut().push(report);
            }
            // No host of components has a way to an idle agent; a beat asks the logic itself what it is busy with.
            Effect::Ring(_) | Effect::Working(_) => {}
        }
    }
}

/// Says what becomes of an answer. Dropped, the client never gets it.
#[must_use = "a receipt that is dropped says that the client did not get the answer"]
pub struct Receipt(Option<Open>);

impl Receipt {
    /// The client has the answer.
    pub async fn written(self) {
        let Some(open) = self.0 else { return };
        let driver = Rc::clone(&open.driver);
        let turn = driver.agent.borrow_mut().resume(open.dialogue, Outcome::Replied, driver.clock.now());
        driver.drive(open, turn).await;
    }
}

/// How far a dialogue was carried out.
enum End {
    Finished(Finish),
    /// It goes on once the client has the answer.
    Reply(Answer, Open),
}

/// A dialogue that the logic is told to give up if it is dropped before it finished.
struct Open {
    driver: Rc<Driver>,
    dialogue: u64,
    finished: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.finished {
            let now = self.driver.clock.now();
            let effects = self.driver.agent.borrow_mut().cancel(self.dialogue, now);
            effects.into_iter().for_each(|effect| self.driver.perform(effect));
        }
    }
}

fn lost() -> Answer {
    Answer { text: vec!["Error: the call was lost; try again".to_owned()], is_error: true, structured: None }
}
