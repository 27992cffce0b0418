//! The program is one loop: carry out the guest's turns.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::runtime::Handle;

use crate::guest::{
    Guest, GuestDown,
    wire::{
        Effect, FileUpdate, Finish, Instant, Next, Outcome, PlatformRequest, Rest, Turn, UploadRequest,
        Workspace,
    },
};

/// The powers the guest lacks. The program has one set, tests and embedders may have others.
pub trait Ports: Send + Sync + 'static {
    /// Milliseconds since the start, also while the machine slept.
    fn now(&self) -> Instant;

    /// Carries out an effect: cannot fail, and must not block.
    fn perform(&self, effect: Effect);

    /// `Responded`, `Overflowed`, `Refused`, or `Unreachable` after the request's own time limit.
    fn send(&self, request: PlatformRequest) -> impl Future<Output = Outcome> + Send;

    /// `Stored` once the change would survive a crash, else `StoreFailed`.
    fn store(&self, update: FileUpdate) -> impl Future<Output = Outcome> + Send;

    /// `Rested`, at `rest.until` or at an arrival it waits for.
    fn rest(&self, rest: Rest) -> impl Future<Output = Outcome> + Send;

    /// As `send`; `Refused` if a file may not or cannot be read.
    fn upload(&self, request: UploadRequest) -> impl Future<Output = Outcome> + Send;
}

/// Opens dialogues and carries them out.
pub struct Driver<P> {
    guest: Arc<Guest>,
    ports: Arc<P>,
    dialogues: AtomicU64,
}

impl<P: Ports> Driver<P> {
    /// A driver of `guest` with the powers of `ports`.
    #[must_use]
    pub fn new(guest: Arc<Guest>, ports: Arc<P>) -> Arc<Self> {
        Arc::new(Self { guest, ports, dialogues: AtomicU64::new(1) })
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
    /// When the guest trapped; the call may be tried again.
    pub async fn call_tool(self: &Arc<Self>, name: &str, arguments: &str) -> Result<Finish, GuestDown> {
        let open = Open::new(self);
        let turn = self.guest.open_tool(open.dialogue, name, arguments, self.ports.now()).await?;
        self.drive(open, turn).await
    }

    /// Fetches the messages of a workspace until the guest traps.
    ///
    /// # Errors
    /// When the guest trapped; open it again with what is on disk.
    pub async fn fetch_inbox(
        self: &Arc<Self>,
        workspace: Workspace,
        cursor: Option<&str>,
    ) -> Result<Finish, GuestDown> {
        let open = Open::new(self);
        let turn = self.guest.open_inbox(open.dialogue, workspace, cursor, self.ports.now()).await?;
        self.drive(open, turn).await
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
        let turn = self.guest.open_secrets(open.dialogue, workspace, body, self.ports.now()).await?;
        self.drive(open, turn).await
    }

    /// Carries out `turn` and every turn after it, until the dialogue finishes.
    async fn drive(self: &Arc<Self>, mut open: Open<P>, mut turn: Turn) -> Result<Finish, GuestDown> {
        loop {
            for effect in turn.effects {
                self.ports.perform(effect);
            }
            let outcome = match turn.next {
                Next::Finish(finish) => {
                    open.finished = true;
                    return Ok(finish);
                }
                Next::Rest(rest) => self.ports.rest(rest).await,
                Next::Send(request) => self.ports.send(request).await,
                Next::Store(update) => self.ports.store(update).await,
                Next::Upload(request) => self.ports.upload(request).await,
            };
            turn = self.guest.resume(open.dialogue, &outcome, self.ports.now()).await?;
        }
    }
}

/// A dialogue that the guest is told to give up if it is dropped before it finished.
struct Open<P: Ports> {
    driver: Arc<Driver<P>>,
    dialogue: u64,
    finished: bool,
}

impl<P: Ports> Open<P> {
    fn new(driver: &Arc<Driver<P>>) -> Self {
        let dialogue = driver.dialogues.fetch_add(1, Ordering::Relaxed);
        Self { driver: Arc::clone(driver), dialogue, finished: false }
    }
}

impl<P: Ports> Drop for Open<P> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and nobody is left to tell.
        let (false, Ok(runtime)) = (self.finished, Handle::try_current()) else { return };
        let (driver, dialogue) = (Arc::clone(&self.driver), self.dialogue);
        runtime.spawn(async move {
            let effects = driver.guest.cancel(dialogue, driver.ports.now()).await.unwrap_or_default();
            for effect in effects {
                driver.ports.perform(effect);
            }
        });
    }
}
