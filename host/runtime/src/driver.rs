//! The program is one loop: carry out the guest's turns.

use std::{
    future::{Future, pending},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
};

use crate::guest::{
    Guest, GuestDown,
    wire::{
        Answer, Arrival, Effect, FetchRequest, FileUpdate, Finish, Instant, Listen, Next, Outcome,
        PlatformRequest, Rest, Saved, SweepRequest, Turn, UploadRequest, WakeRules, Working, Workspace,
    },
};
use crate::passage::{Asked, Passage};

/// The powers the guest lacks. The program has one set, tests and embedders may have others.
pub trait Ports: Send + Sync + 'static {
    /// Milliseconds since the start, also while the machine slept.
    fn now(&self) -> Instant;

    /// Carries out an effect: cannot fail, and must not block.
    fn perform(&self, effect: Effect);

    /// `Responded`, `Overflowed`, `Refused`, or `Unreachable` after the request's own time limit.
    fn send(&self, request: PlatformRequest) -> impl Future<Output = Outcome> + Send;

    /// `Stored` once the change would survive a crash, else `StoreFailed`; `Refused` if another program uses
    /// the file.
    fn store(&self, update: FileUpdate) -> impl Future<Output = Outcome> + Send;

    /// `Heard`, at one of the two ends of `listen`, or at a hint it waits for.
    fn listen(&self, listen: Listen) -> impl Future<Output = Outcome> + Send;

    /// `Rested`, at `rest.until` or at an arrival it waits for.
    fn rest(&self, rest: Rest) -> impl Future<Output = Outcome> + Send;

    /// `Rested` once this process leads the inbox, asked for or not; `Refused` if the one that leads does not
    /// hand it over.
    fn take_over(&self, workspace: Workspace) -> impl Future<Output = Outcome> + Send;

    /// As `send`; `Refused` if a file may not or cannot be read.
    fn upload(&self, request: UploadRequest) -> impl Future<Output = Outcome> + Send;

    /// `Fetched` once the file would survive a crash, else as `next.fetch` in `wit/turns.wit` says.
    fn fetch(&self, _request: FetchRequest) -> impl Future<Output = Outcome> + Send {
        async { Outcome::Refused("this host keeps no files".to_owned()) }
    }

    /// Is shown what passes between the component and its host, for a host that records it.
    fn passed(&self, _passage: &Passage<'_>) {}

    /// `Swept` with the paths of the files that were removed, or `StoreFailed`.
    fn sweep(&self, _request: SweepRequest) -> impl Future<Output = Outcome> + Send {
        async { Outcome::Swept(Vec::new()) }
    }
}

/// Opens dialogues and carries them out.
pub struct Driver<P> {
    guest: Arc<Guest>,
    ports: Arc<P>,
    dialogues: AtomicU64,
    arrivals: Mutex<Arrivals>,
    /// The instance of the guest before which nobody is busy any more.
    idle_at: AtomicU64,
    /// By handle.
    handled: Vec<Handled>,
    /// Dialogues that go on and are not begun anew in another instance of the guest.
    unrepeatable: AtomicUsize,
}

/// Messages that are dealt with, while the cursor file does not tell it.
#[derive(Default)]
struct Handled {
    told: Notify,
    is_unsettled: AtomicBool,
}

impl<P: Ports> Driver<P> {
    /// A driver of `guest` with the powers of `ports`.
    #[must_use]
    pub fn new(guest: Arc<Guest>, ports: Arc<P>) -> Arc<Self> {
        Arc::new(Self {
            ports,
            dialogues: AtomicU64::new(1),
            arrivals: Mutex::default(),
            idle_at: AtomicU64::new(0),
            handled: guest.workspaces().map(|_| Handled::default()).collect(),
            unrepeatable: AtomicUsize::new(0),
            guest,
        })
    }

    /// The component.
    #[must_use]
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// The powers.
    #[must_use]
    pub fn ports(&self) -> &Arc<P> {
        &self.ports
    }

    /// The powers, to share them with what else needs them.
    #[must_use]
    pub fn shared_ports(&self) -> Arc<P> {
        Arc::clone(&self.ports)
    }

    /// Calls a tool; `arguments` is a JSON object. Dropping the future cancels the call.
    ///
    /// # Errors
    /// When the guest trapped, in this call or in another one; the call may be tried again.
    pub async fn call_tool(
        self: &Arc<Self>,
        name: &str,
        arguments: &str,
    ) -> Result<(Answer, Receipt<P>), GuestDown> {
        let open = Open::new(self);
        let turn = self.ask(open.dialogue, Asked::Tool { name, arguments }).await?;
        match self.drive(open, turn).await? {
            End::Finished(Finish::Answer(answer)) => Ok((answer, Receipt { open: None })),
            End::Finished(Finish::Done) => Err(GuestDown("the call was lost".to_owned())),
            End::Reply(answer, open) => Ok((answer, Receipt { open: Some(open) })),
        }
    }

    /// Fetches the messages of a workspace until the guest traps.
    ///
    /// # Errors
    /// When the guest trapped; open it again with what is on disk.
    pub async fn fetch_inbox(
        self: &Arc<Self>,
        workspace: Workspace,
        saved: Saved,
    ) -> Result<Finish, GuestDown> {
        let open = Open::repeatable(self);
        let turn = self.ask(open.dialogue, Asked::Inbox { workspace, saved: &saved }).await?;
        // Which may be large, and the dialogue is long.
        drop(saved);
        self.drive(open, turn).await.map(End::finish)
    }

    /// Returns when messages of a workspace were dealt with since the last call.
    pub async fn handled(&self, workspace: Workspace) {
        match self.handled_of(workspace) {
            Some(handled) => handled.told.notified().await,
            None => pending().await,
        }
    }

    fn handled_of(&self, workspace: Workspace) -> Option<&Handled> {
        self.handled.get(usize::try_from(workspace).ok()?)
    }

    /// Brings the cursor file of a workspace up to date, if messages were dealt with since that was done last.
    ///
    /// # Errors
    /// When the guest trapped; the next instance does it with its first fetch.
    pub async fn settle_inbox(self: &Arc<Self>, workspace: Workspace) -> Result<(), GuestDown> {
        let is_unsettled = |handled: &Handled| handled.is_unsettled.swap(false, Ordering::AcqRel);
        if !self.handled_of(workspace).is_some_and(is_unsettled) {
            return Ok(());
        }
        let open = Open::new(self);
        let turn = self.ask(open.dialogue, Asked::Settle(workspace)).await?;
        self.drive(open, turn).await.map(drop)
    }

    /// Takes care of the files of a workspace in one lane, until the guest traps.
    ///
    /// # Errors
    /// As for [`Self::fetch_inbox`], which also begins anew.
    pub async fn keep_files(self: &Arc<Self>, workspace: Workspace, lane: u32) -> Result<Finish, GuestDown> {
        let open = Open::repeatable(self);
        let turn = self.ask(open.dialogue, Asked::Files { workspace, lane }).await?;
        self.drive(open, turn).await.map(End::finish)
    }

    /// Shows the guest the body of a successful register or heartbeat.
    ///
    /// # Errors
    /// When the guest trapped; the next body is as good.
    pub async fn learn_secret(
        self: &Arc<Self>,
        workspace: Workspace,
        body: &[u8],
    ) -> Result<Finish, GuestDown> {
        let open = Open::new(self);
        let turn = self.ask(open.dialogue, Asked::Secrets { workspace, body }).await?;
        self.drive(open, turn).await.map(End::finish)
    }

    /// Replaces the instance of the guest by a new one, which has little memory, if nothing is lost by that; says
    /// whether it was done. The inboxes are to be opened again then, as after a stop.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn renew(&self) -> Result<bool, GuestDown> {
        self.guest.renew(|| self.unrepeatable.load(Ordering::SeqCst) == 0).await
    }

    /// Rings for the messages of all workspaces by `Effect::Ring`, until the guest traps.
    ///
    /// # Errors
    /// When the guest trapped; begin again.
    pub async fn wake(self: &Arc<Self>, rules: &WakeRules) -> Result<Finish, GuestDown> {
        let open = Open::new(self);
        let turn = self.ask(open.dialogue, Asked::Wake(rules)).await?;
        self.drive(open, turn).await.map(End::finish)
    }

    /// The next turn of a dialogue; after [`Asked::Cancel`] one that finishes.
    async fn ask(&self, dialogue: u64, asked: Asked<'_>) -> Result<Turn, GuestDown> {
        let (guest, now) = (&self.guest, self.ports.now());
        let turn = match asked {
            Asked::Cancel => {
                let effects = guest.cancel(dialogue, now).await?;
                Turn { effects, next: Next::Finish(Finish::Done) }
            }
            Asked::Files { workspace, lane } => guest.open_files(dialogue, workspace, lane, now).await?,
            Asked::Inbox { workspace, saved } => guest.open_inbox(dialogue, workspace, saved, now).await?,
            Asked::Resume(outcome) => guest.resume(dialogue, outcome, now).await?,
            Asked::Secrets { workspace, body } => guest.open_secrets(dialogue, workspace, body, now).await?,
            Asked::Settle(workspace) => guest.settle_inbox(dialogue, workspace, now).await?,
            Asked::Tool { name, arguments } => guest.open_tool(dialogue, name, arguments, now).await?,
            Asked::Wake(rules) => guest.open_wake(dialogue, rules, now).await?,
        };
        let next = (!matches!(asked, Asked::Cancel)).then_some(&turn.next);
        let (instance, effects) = (self.instance(), &*turn.effects);
        self.ports.passed(&Passage { instance, asked, dialogue, now, effects, next });
        Ok(turn)
    }

    /// Carries out `turn` and every turn after it, until the dialogue finishes or gives its answer.
    async fn drive(self: &Arc<Self>, mut open: Open<P>, mut turn: Turn) -> Result<End<P>, GuestDown> {
        let instance = open.instance;
        loop {
            for effect in turn.effects {
                self.perform(instance, effect);
            }
            let outcome = match turn.next {
                Next::Finish(finish) => {
                    open.finished = true;
                    return Ok(End::Finished(finish));
                }
                Next::Reply(answer) => return Ok(End::Reply(answer, open)),
                // Carried out to its end, so that no other change of the file overtakes it.
                Next::Store(update) => self.ports.store(update).await,
                next @ (Next::Fetch(_)
                | Next::Listen(_)
                | Next::Rest(_)
                | Next::Send(_)
                | Next::Sweep(_)
                | Next::TakeOver(_)
                | Next::Upload(_)) => {
                    tokio::select! {
                        biased;
                        () = open.orphaned() => {
                            return Err(GuestDown("another call stopped it".to_owned()));
                        }
                        outcome = self.carry_out(instance, next) => outcome,
                    }
                }
            };
            turn = self.ask(open.dialogue, Asked::Resume(&outcome)).await?;
        }
    }

    async fn carry_out(&self, instance: u64, next: Next) -> Outcome {
        match next {
            Next::Fetch(request) => self.ports.fetch(request).await,
            Next::Listen(listen) => self.ports.listen(listen).await,
            Next::Rest(rest) => {
                let arrivals_over = rest.arrivals_over.map(|seen| self.arrivals(instance, seen));
                self.ports.rest(Rest { arrivals_over, ..rest }).await
            }
            Next::Send(request) => self.ports.send(request).await,
            Next::Store(update) => self.ports.store(update).await,
            Next::Sweep(request) => self.ports.sweep(request).await,
            Next::TakeOver(workspace) => self.ports.take_over(workspace).await,
            Next::Upload(request) => self.ports.upload(request).await,
            Next::Finish(_) | Next::Reply(_) => {
                Outcome::Refused("a dialogue that is over has no next turn".to_owned())
            }
        }
    }

    fn perform(&self, instance: u64, effect: Effect) {
        match effect {
            Effect::Arrived(Arrival { workspace, count }) => {
                let count = self.arrivals(instance, count);
                self.ports.perform(Effect::Arrived(Arrival { workspace, count }));
            }
            Effect::Handled(workspace) => {
                if let Some(handled) = self.handled_of(workspace) {
                    handled.is_unsettled.store(true, Ordering::Release);
                    handled.told.notify_one();
                }
            }
            // What another instance was busy with has ended with it.
            Effect::Working(_) if instance != self.instance() => {}
            Effect::Log(_)
            | Effect::LookAgain(_)
            | Effect::Report(_)
            | Effect::Ring(_)
            | Effect::Working(_) => {
                self.ports.perform(effect);
            }
        }
    }

    /// Tells the heartbeats that nobody is busy, once for each stop of the guest: the next instance does
    /// not know what the one before was busy with.
    fn report_idle(&self) {
        let instance = self.instance();
        if self.idle_at.fetch_max(instance, Ordering::Relaxed) >= instance {
            return;
        }
        for workspace in self.guest.workspaces() {
            let idle = Working { workspace, active_tasks: 0, current_task: String::new() };
            self.ports.perform(Effect::Working(idle));
        }
    }

    fn arrivals(&self, instance: u64, count: u64) -> u64 {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).over_all(instance, count)
    }

    /// Which instance of the guest this is, from 0.
    fn instance(&self) -> u64 {
        *self.guest.stops().borrow()
    }
}

/// How far a dialogue was carried out.
enum End<P: Ports> {
    Finished(Finish),
    /// It goes on once the client has the answer.
    Reply(Answer, Open<P>),
}

impl<P: Ports> End<P> {
    /// Of a dialogue that answers nothing.
    fn finish(self) -> Finish {
        match self {
            Self::Finished(finish) => finish,
            Self::Reply(..) => Finish::Done,
        }
    }
}

/// Says what becomes of an answer. Dropped before [`Receipt::written`], the client never gets it.
#[must_use = "a receipt that is dropped says that the client did not get the answer"]
pub struct Receipt<P: Ports> {
    /// The dialogue, if it wants to know.
    open: Option<Open<P>>,
}

impl<P: Ports> Receipt<P> {
    /// Whether it makes a difference.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.open.is_some()
    }

    /// The client never gets the answer, and the component knows that once this returns.
    pub async fn not_written(self) {
        let Some(mut open) = self.open else { return };
        open.finished = true;
        let driver = Arc::clone(&open.driver);
        let cancelled = driver.ask(open.dialogue, Asked::Cancel).await;
        driver.report_idle();
        for effect in cancelled.map(|turn| turn.effects).unwrap_or_default() {
            driver.perform(open.instance, effect);
        }
    }

    /// The client has the whole answer. Dropping the future is as if this had not been said.
    pub async fn written(self) {
        let Some(open) = self.open else { return };
        let driver = Arc::clone(&open.driver);
        let resumed = driver.ask(open.dialogue, Asked::Resume(&Outcome::Replied)).await;
        // A guest that stops here has forgotten the call, and there is nobody to tell.
        if let Ok(turn) = resumed {
            let _ = driver.drive(open, turn).await;
        }
    }
}

/// How many messages have arrived, over all instances of the guest, each of which begins at 0.
#[derive(Debug, Default)]
struct Arrivals {
    instance: u64,
    /// Under earlier instances.
    before: u64,
    all: u64,
}

impl Arrivals {
    fn over_all(&mut self, instance: u64, count: u64) -> u64 {
        if instance < self.instance {
            return self.all;
        }
        if instance > self.instance {
            *self = Self { instance, before: self.all, all: self.all };
        }
        let count = self.before + count;
        self.all = self.all.max(count);
        count
    }
}

/// A dialogue that the guest is told to give up if it is dropped before it finished.
struct Open<P: Ports> {
    driver: Arc<Driver<P>>,
    dialogue: u64,
    /// Which instance of the guest knows it.
    instance: u64,
    stops: watch::Receiver<u64>,
    finished: bool,
    is_repeatable: bool,
}

impl<P: Ports> Open<P> {
    /// A dialogue that keeps its instance from being replaced.
    fn new(driver: &Arc<Driver<P>>) -> Self {
        // Counted before the instance is known: from here on no other one takes its place.
        driver.unrepeatable.fetch_add(1, Ordering::SeqCst);
        Self::begin(driver, false)
    }

    /// A dialogue that is begun anew in the next instance.
    fn repeatable(driver: &Arc<Driver<P>>) -> Self {
        Self::begin(driver, true)
    }

    fn begin(driver: &Arc<Driver<P>>, is_repeatable: bool) -> Self {
        let dialogue = driver.dialogues.fetch_add(1, Ordering::Relaxed);
        let mut stops = driver.guest.stops();
        let instance = *stops.borrow_and_update();
        Self { driver: Arc::clone(driver), dialogue, instance, stops, finished: false, is_repeatable }
    }

    /// Returns when the instance that knows the dialogue is gone.
    async fn orphaned(&mut self) {
        // The guest, which counts the stops, lives as long as the driver.
        let _ = self.stops.changed().await;
    }
}

impl<P: Ports> Drop for Open<P> {
    fn drop(&mut self) {
        if !self.is_repeatable {
            self.driver.unrepeatable.fetch_sub(1, Ordering::SeqCst);
        }
        if self.finished {
            return;
        }
        self.driver.report_idle();
        // Without a runtime the process is ending, and nobody is left to tell.
        let Ok(runtime) = Handle::try_current() else { return };
        let (driver, dialogue, instance) = (Arc::clone(&self.driver), self.dialogue, self.instance);
        runtime.spawn(async move {
            let cancelled = driver.ask(dialogue, Asked::Cancel).await;
            for effect in cancelled.map(|turn| turn.effects).unwrap_or_default() {
                driver.perform(instance, effect);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_go_on_where_the_instance_before_ended() {
        let mut arrivals = Arrivals::default();
        assert_eq!([arrivals.over_all(0, 2), arrivals.over_all(0, 3)], [2, 3]);

        assert_eq!([arrivals.over_all(2, 0), arrivals.over_all(2, 1)], [3, 4]);
    }

    #[test]
    fn late_news_of_an_instance_that_is_gone_wakes_nobody() {
        let mut arrivals = Arrivals::default();
        arrivals.over_all(1, 1);

        assert_eq!(arrivals.over_all(0, 9), 1);
        assert_eq!(arrivals.over_all(1, 2), 2);
    }
}
