//! The one owner of the component's store.
//!
//! Calls go one after the other; each computes and returns. After a trap the store is thrown away
//! and the next call finds a fresh instance: what was on disk is handed to it again by those who
//! reopen their dialogues, and everybody else is told to try again.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use thiserror::Error;
use tokio::sync::{Mutex, watch};
use wasmtime::{
    Engine, ResourceLimiter, Store, StoreLimits, StoreLimitsBuilder,
    component::{Component, Linker},
};

use super::{
    bindings::{Agent, AgentPre},
    embedded,
    engine::MEMORY_BYTES,
    watchdog::Watchdog,
    wire::{
        Effect, InboxStatus, Instant, Outcome, Saved, Settings, ToolSpec, Turn, WakeRules, WakeState,
        Workspace,
    },
};

const TABLE_ELEMENTS: usize = 20_000;
/// One part in so many of the component's memory counts as messages that a turn may have to go through: while a
/// page is read, its messages are there several times.
const MEMORY_OF_MESSAGES: usize = 4;

/// The guest trapped, or could not be built; the call may be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the sandboxed tool logic stopped: {0}")]
pub struct GuestDown(pub String);

/// The names of the interfaces between the component and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// What the component asks for.
    pub imports: Vec<String>,
    /// What the component offers.
    pub exports: Vec<String>,
}

/// The running component.
pub struct Guest {
    engine: Engine,
    pre: AgentPre<Powers>,
    settings: Settings,
    watchdog: Watchdog,
    live: Mutex<Option<Live>>,
    stops: watch::Sender<u64>,
    /// How many of the stops were replacements.
    renewals: AtomicU64,
    /// Bytes of memory that the instance had after the last call.
    memory: AtomicUsize,
}

/// An instance and its store; gone after a trap.
struct Live {
    store: Store<Powers>,
    agent: Agent,
}

/// What the guest has: limits.
struct Powers {
    limits: Limits,
}

/// How much the guest may have, and how much memory it has.
struct Limits {
    most: StoreLimits,
    memory: usize,
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may = self.most.memory_growing(current, desired, maximum)?;
        if may {
            self.memory = desired;
        }
        Ok(may)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.most.table_growing(current, desired, maximum)
    }

    fn instances(&self) -> usize {
        self.most.instances()
    }

    fn tables(&self) -> usize {
        self.most.tables()
    }

    fn memories(&self) -> usize {
        self.most.memories()
    }
}

impl Guest {
    /// Loads the component that was built into this program.
    ///
    /// # Errors
    /// When the component does not fit this machine; a program in that state cannot work.
    pub fn embedded(settings: Settings) -> anyhow::Result<Arc<Self>> {
        let (engine, component) = embedded::load()?;
        let linker = linker(&engine, &component, settings.seed)?;
        let pre = AgentPre::new(linker.instantiate_pre(&component)?)?;
        let watchdog = Watchdog::new(engine.clone())?;
        Ok(Arc::new(Self {
            engine,
            pre,
            settings,
            watchdog,
            live: Mutex::new(None),
            stops: watch::Sender::new(0),
            renewals: AtomicU64::new(0),
            memory: AtomicUsize::new(0),
        }))
    }

    /// Makes the first instance, which the first call would make otherwise.
    ///
    /// # Errors
    /// When the system does not give what an instance needs.
    pub async fn prepare(&self) -> anyhow::Result<()> {
        let mut live = self.live.lock().await;
        if live.is_none() {
            *live = Some(self.instantiate()?);
        }
        Ok(())
    }

    /// What the component asks of its host, and what it offers: names with versions, in its own order.
    #[must_use]
    pub fn surface(&self) -> Surface {
        let component = self.pre.instance_pre().component().component_type();
        Surface {
            imports: component.imports(&self.engine).map(|(name, _)| name.to_owned()).collect(),
            exports: component.exports(&self.engine).map(|(name, _)| name.to_owned()).collect(),
        }
    }

    /// How often the component has stopped or was replaced. What was told to an instance is gone with it.
    #[must_use]
    pub fn stops(&self) -> watch::Receiver<u64> {
        self.stops.subscribe()
    }

    /// How often [`Guest::renew`] has replaced the instance.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Acquire)
    }

    /// How much memory the instance has, in bytes, as of the last call. It never gives any back.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Replaces the instance by a new one, if the old one is not needed and `may` agrees, which is asked when no
    /// dialogue can begin in the old one any more; says whether it was done. It counts as a stop: what was told to
    /// the old one, but for what it leaves to the new one, has to be told again.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn renew(&self, may: impl Fn() -> bool) -> Result<bool, GuestDown> {
        let mut live = self.live.lock().await;
        let retire = |live: &mut Live| live.agent.molecule_mcp_setup().call_retire(&mut live.store);
        let Some(left) = self.counted(&mut live, 0, retire)? else { return Ok(false) };
        let is_replaced = self.stops.send_if_modified(|stops| {
            let may = may();
            if may {
                *stops += 1;
                self.renewals.fetch_add(1, Ordering::AcqRel);
            }
            may
        });
        if is_replaced {
            *live = None;
            self.counted(&mut live, left.len(), |live| {
                live.agent.molecule_mcp_setup().call_inherit(&mut live.store, &left)
            })?;
        }
        Ok(is_replaced)
    }

    /// The workspaces that it acts for.
    pub fn workspaces(&self) -> impl Iterator<Item = Workspace> {
        (0..).take(self.settings.workspaces.len())
    }

    /// All tools, always in the same order.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn specs(&self) -> Result<Vec<ToolSpec>, GuestDown> {
        self.call(|live| live.agent.molecule_mcp_tools().call_specs(&mut live.store)).await
    }

    /// What an agent must know to use the tools.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn instructions(&self) -> Result<String, GuestDown> {
        self.call(|live| live.agent.molecule_mcp_tools().call_instructions(&mut live.store)).await
    }

    /// Begins a tool call; `arguments` is a JSON object.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn open_tool(
        &self,
        dialogue: u64,
        name: &str,
        arguments: &str,
        now: Instant,
    ) -> Result<Turn, GuestDown> {
        self.call(|live| {
            live.agent.molecule_mcp_tools().call_open(&mut live.store, dialogue, name, arguments, now)
        })
        .await
    }

    /// Begins to fetch the messages of a workspace.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn open_inbox(
        &self,
        dialogue: u64,
        workspace: Workspace,
        saved: &Saved,
        now: Instant,
    ) -> Result<Turn, GuestDown> {
        self.call_reading(bytes_of(saved), |live| {
            live.agent.molecule_mcp_inbox().call_open(&mut live.store, dialogue, workspace, saved, now)
        })
        .await
    }

    /// Begins to bring the cursor file of a workspace up to date.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn settle_inbox(
        &self,
        dialogue: u64,
        workspace: Workspace,
        now: Instant,
    ) -> Result<Turn, GuestDown> {
        self.call(|live| {
            live.agent.molecule_mcp_inbox().call_settle(&mut live.store, dialogue, workspace, now)
        })
        .await
    }

    /// Begins to take care of the files of a workspace, in one of several lanes.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn open_files(
        &self,
        dialogue: u64,
        workspace: Workspace,
        lane: u32,
        now: Instant,
    ) -> Result<Turn, GuestDown> {
        self.call(|live| {
            live.agent.molecule_mcp_inbox().call_open_files(&mut live.store, dialogue, workspace, lane, now)
        })
        .await
    }

    /// Says that another process fetches the messages of a workspace; `leader` tells a person which.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn follow(&self, workspace: Workspace, leader: &str) -> Result<(), GuestDown> {
        self.call(|live| live.agent.molecule_mcp_inbox().call_follow(&mut live.store, workspace, leader))
            .await
    }

    /// Says that the platform does not take the token of a workspace, and why; an empty `why` takes that back.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn refused(&self, workspace: Workspace, why: &str) -> Result<(), GuestDown> {
        self.call(|live| live.agent.molecule_mcp_setup().call_refused(&mut live.store, workspace, why)).await
    }

    /// What is on disk, as a JSON object for people.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn describe(&self, workspace: Workspace, saved: &Saved) -> Result<String, GuestDown> {
        self.call_reading(bytes_of(saved), |live| {
            live.agent.molecule_mcp_inbox().call_describe(&mut live.store, workspace, saved)
        })
        .await
    }

    /// Begins to ring for messages that the agent has not seen.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn open_wake(&self, dialogue: u64, rules: &WakeRules, now: Instant) -> Result<Turn, GuestDown> {
        self.call(|live| live.agent.molecule_mcp_wake().call_open(&mut live.store, dialogue, rules, now))
            .await
    }

    /// Says that the last ring reached no agent, and that there is none before `again`.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn not_rung(&self, why: &str, again: Instant) -> Result<(), GuestDown> {
        self.call(|live| live.agent.molecule_mcp_wake().call_not_rung(&mut live.store, why, again)).await
    }

    /// What became of the messages that the agent has not seen.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn wake_state(&self, now: Instant) -> Result<Vec<WakeState>, GuestDown> {
        self.call(|live| live.agent.molecule_mcp_wake().call_state(&mut live.store, now)).await
    }

    /// How the inbox of a workspace stands at this moment.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn inbox_status(&self, workspace: Workspace, now: Instant) -> Result<InboxStatus, GuestDown> {
        self.call(|live| live.agent.molecule_mcp_inbox().call_status(&mut live.store, workspace, now)).await
    }

    /// Shows the body of a successful register or heartbeat.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn open_secrets(
        &self,
        dialogue: u64,
        workspace: Workspace,
        body: &[u8],
        now: Instant,
    ) -> Result<Turn, GuestDown> {
        self.call(|live| {
            live.agent.molecule_mcp_secrets().call_open(&mut live.store, dialogue, workspace, body, now)
        })
        .await
    }

    /// Says which secret is on disk.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn remember_secret(&self, workspace: Workspace, secret: &str) -> Result<(), GuestDown> {
        self.call(|live| live.agent.molecule_mcp_secrets().call_remember(&mut live.store, workspace, secret))
            .await
    }

    /// Tells a dialogue what happened.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn resume(&self, dialogue: u64, outcome: &Outcome, now: Instant) -> Result<Turn, GuestDown> {
        let bytes = match outcome {
            Outcome::Responded(response) => response.body.len(),
            Outcome::Overflowed
            | Outcome::Fetched(_)
            | Outcome::Refused(_)
            | Outcome::Replied
            | Outcome::Rested
            | Outcome::Heard(_)
            | Outcome::StoreFailed(_)
            | Outcome::Stored
            | Outcome::Swept(_)
            | Outcome::Unreachable(_) => 0,
        };
        self.call_reading(bytes, |live| {
            live.agent.molecule_mcp_dialogues().call_resume(&mut live.store, dialogue, outcome, now)
        })
        .await
    }

    /// Gives a dialogue up between two turns.
    ///
    /// # Errors
    /// When the guest trapped.
    pub async fn cancel(&self, dialogue: u64, now: Instant) -> Result<Vec<Effect>, GuestDown> {
        self.call(|live| live.agent.molecule_mcp_dialogues().call_cancel(&mut live.store, dialogue, now))
            .await
    }

    async fn call<T>(&self, verb: impl FnOnce(&mut Live) -> wasmtime::Result<T>) -> Result<T, GuestDown> {
        self.call_reading(0, verb).await
    }

    /// Runs a verb that has to read so many bytes; says and counts it if the component stops.
    async fn call_reading<T>(
        &self,
        bytes: usize,
        verb: impl FnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<T, GuestDown> {
        let mut live = self.live.lock().await;
        self.counted(&mut live, bytes, verb)
    }

    fn counted<T>(
        &self,
        live: &mut Option<Live>,
        bytes: usize,
        verb: impl FnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<T, GuestDown> {
        let called = self.try_call(live, bytes, verb);
        if let Err(down) = &called {
            tracing::error!("{down}");
            // Still locked: whoever finds the next instance finds the stop counted.
            self.stops.send_modify(|stops| *stops += 1);
        }
        let memory = live.as_ref().map_or(0, |live| live.store.data().limits.memory);
        self.memory.store(memory, Ordering::Relaxed);
        called
    }

    fn try_call<T>(
        &self,
        live: &mut Option<Live>,
        bytes: usize,
        verb: impl FnOnce(&mut Live) -> wasmtime::Result<T>,
    ) -> Result<T, GuestDown> {
        let mut running = match live.take() {
            Some(running) => running,
            None => self.instantiate().map_err(|cause| down(&cause))?,
        };
        running.store.set_epoch_deadline(1);
        // A turn may go through all that is staged.
        let bytes = bytes.saturating_add(running.store.data().limits.memory / MEMORY_OF_MESSAGES);
        let called =
            self.watchdog.watch(bytes, || panic::catch_unwind(AssertUnwindSafe(|| verb(&mut running))));
        match called {
            Ok(Ok(value)) => {
                *live = Some(running);
                Ok(value)
            }
            Ok(Err(cause)) => Err(down(&cause)),
            Err(_) => Err(GuestDown("a host function panicked".to_owned())),
        }
    }

    /// Each instance has a seed of its own: ids and markers never come twice.
    fn settings_of_this_instance(&self) -> Settings {
        let (first, second, third, fourth) = self.settings.seed;
        let seed = (first, second, third, fourth.wrapping_add(*self.stops.borrow()));
        Settings { seed, ..self.settings.clone() }
    }

    fn instantiate(&self) -> wasmtime::Result<Live> {
        let powers = Powers {
            limits: Limits {
                most: StoreLimitsBuilder::new()
                    .memory_size(MEMORY_BYTES)
                    .table_elements(TABLE_ELEMENTS)
                    .instances(16)
                    .tables(16)
                    .memories(4)
                    .build(),
                memory: 0,
            },
        };
        let mut store = Store::new(&self.engine, powers);
        store.limiter(|powers| &mut powers.limits);
        let verdict = self.watchdog.verdict();
        store.epoch_deadline_callback(move |_| Ok(verdict()));
        store.set_epoch_deadline(u64::MAX / 2);
        let agent = self.pre.instantiate(&mut store)?;
        agent.molecule_mcp_setup().call_start(&mut store, &self.settings_of_this_instance())?;
        Ok(Live { store, agent })
    }
}

/// What the component gets of WASI: where the order of its hash maps begins. The rest, which its standard library
/// would use to print why it gives up, ends it.
fn linker(
    engine: &Engine,
    component: &Component,
    seed: (u64, u64, u64, u64),
) -> wasmtime::Result<Linker<Powers>> {
    let mut linker = Linker::<Powers>::new(engine);
    linker
        .instance("wasi:random/insecure-seed@0.2.6")?
        .func_wrap("insecure-seed", move |_, ()| Ok(((seed.0, seed.1),)))?;
    linker
        .instance("wasi:cli/stderr@0.2.6")?
        .func_new("get-stderr", |_, _, _, _| wasmtime::bail!("it panicked, or ran out of memory"))?;
    linker.define_unknown_imports_as_traps(component)?;
    Ok(linker)
}

fn bytes_of(saved: &Saved) -> usize {
    saved.journal.iter().map(String::len).sum()
}

fn down(cause: &wasmtime::Error) -> GuestDown {
    GuestDown(cause.root_cause().to_string())
}
