//! Everything that runs for the workspaces of a process, in one value.

use std::{
    future::{Future, pending},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use futures::{future::join_all, stream::Stream};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet, time};
use tracing::Instrument as _;

use crate::{
    account::Account,
    config::Config,
    driver::Driver,
    guest::{
        Guest, GuestDown,
        wire::{self, Answer, ToolSpec, WakeRules, Workspace},
    },
    leadership,
    messages::{self, Message},
    ports::{Line, NativePorts},
    presence::{self, Presence, Rejected, RetryBudget, Standing, Tokens},
    session::Session,
    spread, status,
    wake::Rings,
};

/// Before a task that a defect has ended is started again.
const AFTER_A_PANIC: Duration = Duration::from_secs(5);
/// For the cursor file at the end. Clients kill half a second after asking.
const LAST_WRITE: Duration = Duration::from_millis(150);

/// The tools of the workspaces of a process, their presence and their inboxes. Dropping it ends all of them.
pub struct Runtime {
    driver: Arc<Driver<NativePorts>>,
    session: Session,
    standing: Standing,
    /// What goes on beside the tools.
    _tasks: JoinSet<()>,
    /// Removes the socket of the process, also where a task is not ended any more.
    _socket: RemovedAtEnd,
}

struct RemovedAtEnd(Arc<status::Place>);

impl Drop for RemovedAtEnd {
    fn drop(&mut self) {
        self.0.remove();
    }
}

/// What the tasks of all accounts share.
struct Shared {
    driver: Arc<Driver<NativePorts>>,
    session: Session,
    standing: Standing,
    budget: Arc<RetryBudget>,
}

impl Runtime {
    /// All tools, always in the same order.
    ///
    /// # Errors
    /// When the component stopped; the call may be made again.
    pub async fn tools(&self) -> Result<Vec<ToolSpec>, GuestDown> {
        self.driver.guest().specs().await
    }

    /// Calls a tool; `arguments` is a JSON object. Dropping the future cancels the call.
    ///
    /// # Errors
    /// When the component stopped; the call may be made again, although what it asked for may have been done.
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Result<Answer, GuestDown> {
        self.session.tool_called();
        let (answer, receipt) = self.driver.call_tool(name, &arguments.to_string()).await?;
        receipt.written().await;
        Ok(answer)
    }

    /// The messages to all workspaces, oldest first, without end. A message is removed from the inbox when the next one
    /// is asked for, so that one that was not handled comes again, also after a crash. Only one stream at a time gives
    /// each message once.
    pub fn messages(&self) -> impl Stream<Item = Message> + Send + use<> {
        messages::messages(Arc::clone(&self.driver), self.session.clone())
    }

    /// Loads the component and begins the background work. Nothing goes out and no file changes before the
    /// session has begun.
    ///
    /// # Errors
    /// When the component cannot be loaded, or the system gives no random numbers.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        let guest = Guest::embedded(guest_settings(config)?)?;
        guest.prepare().await?;
        let shared = Arc::new(Shared {
            driver: Driver::new(guest, Arc::new(NativePorts::new(config))),
            session: Session::default(),
            standing: Standing::default(),
            budget: Arc::default(),
        });
        let mut tasks = JoinSet::new();
        for line in shared.driver.ports().lines() {
            let (handle, span) = (line.account().handle(), line.account().span());
            tasks.spawn(keep_inbox(Arc::clone(&shared), handle, config.inbox).instrument(span.clone()));
            if config.presence {
                tasks.spawn(keep_presence(Arc::clone(&shared), handle).instrument(span));
            }
        }
        let place = Arc::<status::Place>::default();
        if let Some(directory) = config.state.clone() {
            let switches = status::Switches { presence: config.presence, inbox: config.inbox };
            tasks.spawn(answer_questions(Arc::clone(&shared), directory, Arc::clone(&place), switches));
        }
        let Shared { driver, session, standing, .. } = &*shared;
        Ok(Self {
            driver: Arc::clone(driver),
            session: session.clone(),
            standing: standing.clone(),
            _tasks: tasks,
            _socket: RemovedAtEnd(place),
        })
    }

    /// Begins to ring for messages that the agent has not seen, under the rules of the operator. Only the rings that were
    /// begun last ring.
    #[must_use]
    pub fn rings(&self, rules: WakeRules) -> Rings {
        Rings::begin(&self.driver, rules)
    }

    /// Rises when something has come into an inbox, and now and then without a reason.
    #[must_use]
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.driver.ports().arrivals()
    }

    /// What calls tools.
    #[must_use]
    pub fn driver(&self) -> &Arc<Driver<NativePorts>> {
        &self.driver
    }

    /// What says when outward work may begin.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Returns once the platform refuses the register of every workspace, with all refusals in the order of the
    /// workspaces.
    pub async fn rejected(&self) -> Vec<Rejected> {
        self.standing.all_refused(self.driver.ports().lines().len()).await
    }

    /// Brings the cursor files up to date, within 150 ms, and ends all work.
    pub async fn shutdown(self) {
        let workspaces = self.driver.guest().workspaces();
        let settled = workspaces.map(|workspace| self.driver.settle_inbox(workspace));
        // What the agent has dealt with is in the journals; this is for other implementations.
        let _ = time::timeout(LAST_WRITE, join_all(settled)).await;
    }
}

impl Shared {
    fn line(&self, workspace: Workspace) -> Option<&Line> {
        self.driver.ports().lines().get(usize::try_from(workspace).ok()?)
    }

    /// Waits for the session, and for the turn of `workspace` among the others.
    async fn begun(&self, workspace: Workspace) {
        self.session.begun().await;
        time::sleep(self.delay(workspace, spread::INBOXES)).await;
    }

    fn delay(&self, workspace: Workspace, over: Duration) -> Duration {
        spread::delay(workspace, self.driver.ports().lines().len(), over, fastrand::f64())
    }
}

fn guest_settings(config: &Config) -> anyhow::Result<wire::Settings> {
    let mut seed = [0; 4];
    for part in &mut seed {
        *part = getrandom::u64()?;
    }
    let [first, second, third, fourth] = seed;
    let workspaces = config.accounts.iter().map(workspace_settings).collect();
    Ok(config.tools.clone().settings((first, second, third, fourth), workspaces, config.inbox))
}

fn workspace_settings(account: &Account) -> wire::WorkspaceSettings {
    wire::WorkspaceSettings {
        id: account.id.clone(),
        platform: account.platform.as_str().trim_end_matches('/').to_owned(),
    }
}

async fn keep_inbox(shared: Arc<Shared>, workspace: Workspace, fetch: bool) {
    shared.begun(workspace).await;
    let Some(line) = shared.line(workspace) else { return };
    restart_on_panic("the inbox", || {
        let (driver, standing) = (Arc::clone(&shared.driver), shared.standing.clone());
        let state = (line.files().clone(), shared.session.calls());
        leadership::keep_open(driver, workspace, state, standing, fetch)
    })
    .await;
}

/// Tells those who ask how the process is.
async fn answer_questions(
    shared: Arc<Shared>,
    directory: PathBuf,
    place: Arc<status::Place>,
    switches: status::Switches,
) {
    shared.session.begun().await;
    status::keep_answering(directory, place, || {
        let shared = Arc::clone(&shared);
        async move {
            let Shared { driver, session, standing, .. } = &*shared;
            status::of(driver, session, standing, switches).await
        }
    })
    .await;
}

/// Registers and beats; after a refusal again once there is another token.
async fn keep_presence(shared: Arc<Shared>, workspace: Workspace) {
    loop {
        let presence = Arc::clone(&shared);
        restart_on_panic("presence", move || be_present(Arc::clone(&presence), workspace)).await;
        shared.standing.accept(workspace);
    }
}

/// Ends once the platform has refused the register, and the source of the token then holds another one.
async fn be_present(shared: Arc<Shared>, workspace: Workspace) {
    let Some(line) = shared.line(workspace) else { return pending().await };
    let (driver, account) = (&shared.driver, Arc::clone(line.account()));
    let learn = presence::teach(Arc::clone(driver), workspace);
    let working = Arc::clone(line.working());
    let mut presence = Presence::new(driver.shared_ports(), account, working, learn)
        .with_tokens(Arc::clone(line.http()) as Arc<dyn Tokens>)
        .noting(Arc::clone(line.record()));
    let count = driver.ports().lines().len();
    if count > 1 {
        presence =
            presence.among_others(shared.delay(workspace, spread::PRESENCE), Arc::clone(&shared.budget));
    }
    let rejected = presence.run(&shared.session).await;
    if count > 1 {
        tracing::error!("{rejected}; until then this workspace is left out");
    }
    shared.standing.refuse(workspace, rejected);
    presence.another_token().await;
}

/// Does what `make` makes, and once more a moment later whenever a defect has ended it.
async fn restart_on_panic<T, F>(name: &str, make: impl Fn() -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    loop {
        // Ends with this future.
        let mut task = JoinSet::new();
        task.spawn(make().in_current_span());
        if let Some(Ok(value)) = task.join_next().await {
            return value;
        }
        tracing::error!("{name} starts again in {} s", AFTER_A_PANIC.as_secs());
        time::sleep(AFTER_A_PANIC).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_starts_again() {
        let (start, tries) = (Instant::now(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&tries);

        let value = restart_on_panic("a test", move || {
            let tries = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(tries >= 2, "a panic on purpose");
                tries
            }
        })
        .await;

        assert_eq!((value, start.elapsed()), (2, 2 * AFTER_A_PANIC));
    }
}
