//! `molecule-mcp watch`: waits for messages where no client is open, and prints them or runs a command for them.
//!
//! ```text
//! runtime: online, inbox ──► ring ──► debounce ──► lines on standard output
//!     ▲                                   └──────► runtime ends ──► command, alone ──┐
//!     └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! While the command runs, nothing else of ours does: the agent that it starts has a molecule-mcp of its own, which leads.

mod command;
mod runs;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use jiff::Zoned;
use molecule_runtime::{Config, Rings, Runtime};
use serde_json::{Map, Value, json};
use tokio::time::{self, Instant};

pub use self::command::Job;
use self::runs::{Runs, Verdict};
use crate::{stdio::patient, wake::WakeSettings};

/// In the directory of state: two that watch would run their commands twice.
const LOCK: &str = ".mcp_watch.lock";

/// What a person has asked for.
#[derive(Debug)]
pub struct Options {
    /// What is run for messages; none: they are printed.
    pub job: Option<Job>,
    /// End after the first messages.
    pub once: bool,
    /// How long more messages are waited for.
    pub debounce: Duration,
    /// Runs in an hour at most.
    pub most_an_hour: u32,
    /// Also show a notice on the desktop.
    pub notify: bool,
}

/// Watches until it has done what was asked for; runs for ever without `once`.
///
/// # Errors
/// When another one watches here, the runtime does not start, the platform refuses every token, or output is closed.
pub async fn watch(config: &Config, wake: WakeSettings, options: Options) -> anyhow::Result<i32> {
    let _lock = config.state.as_deref().map(lock).transpose()?;
    let mut watch =
        Watch { config, wake, runs: Runs::new(options.most_an_hour), options, printed: BTreeSet::new() };
    loop {
        if let Some(code) = watch.round().await? {
            return Ok(code);
        }
    }
}

fn lock(state: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(state).with_context(|| format!("{} cannot be made", state.display()))?;
    let path = state.join(LOCK);
    let file = File::create(&path).with_context(|| format!("{} cannot be written", path.display()))?;
    if file.try_lock().is_err() {
        bail!("another molecule-mcp watch runs with {}: end that first", state.display());
    }
    Ok(file)
}

struct Watch<'a> {
    config: &'a Config,
    wake: WakeSettings,
    options: Options,
    runs: Runs,
    /// The ids of messages that were printed.
    printed: BTreeSet<String>,
}

/// What waits.
struct Waiting {
    messages: Vec<Map<String, Value>>,
}

impl Watch<'_> {
    /// From a start of the runtime to the end of a run; the exit code once all is done.
    async fn round(&mut self) -> anyhow::Result<Option<i32>> {
        let runtime = Runtime::start(self.config).await?;
        // A person who watches means it.
        runtime.session().tool_called();
        let mut rings = runtime.rings(self.wake.rules.clone());
        let waiting = tokio::select! {
            biased;
            refused = runtime.rejected() => {
                let all: Vec<_> = refused.iter().map(ToString::to_string).collect();
                bail!("{}", all.join("\n"))
            }
            waiting = self.messages(&runtime, &mut rings) => waiting?,
        };
        drop(rings);
        runtime.shutdown().await;
        let Some(job) = &self.options.job else { return Ok(Some(crate::commands::DONE)) };
        let code = job.run(&waiting.messages).await?;
        if code != 0 {
            tracing::warn!("the command ended with {code}");
        }
        Ok(self.options.once.then_some(code))
    }

    /// Returns with messages for which the command is to be run; without a command, once all that was asked for is printed.
    async fn messages(&mut self, runtime: &Runtime, rings: &mut Rings) -> anyhow::Result<Waiting> {
        loop {
            rings.next().await;
            if let Err(shut) = self.wake.attention.allows(&Zoned::now()) {
                let _ = rings.not_rung(shut.code, shut.pause).await;
                continue;
            }
            time::sleep(self.options.debounce).await;
            let is_printed = self.options.job.is_none();
            let Some(waiting) = peek(runtime, is_printed).await else { continue };
            if is_printed {
                if self.print(&waiting)? && self.options.once {
                    return Ok(waiting);
                }
                continue;
            }
            match self.runs.judge(&waiting.ids(), Instant::now()) {
                Verdict::Run => {
                    self.notify(waiting.messages.len());
                    return Ok(waiting);
                }
                Verdict::Later { why, pause } => {
                    // A component that stops here has forgotten the ring.
                    let _ = rings.not_rung(why, pause).await;
                }
            }
        }
    }

    /// Prints the messages that were not printed yet; whether there were any.
    fn print(&mut self, waiting: &Waiting) -> io::Result<bool> {
        let fresh = waiting.messages.iter().filter(|message| self.printed.insert(id(message)));
        let lines: String = fresh.map(|message| format!("{}\n", json!(message))).collect();
        if lines.is_empty() {
            return Ok(false);
        }
        patient::write_all(io::stdout(), lines.as_bytes())?;
        io::stdout().flush()?;
        self.notify(lines.lines().count());
        Ok(true)
    }

    fn notify(&self, messages: usize) {
        if self.options.notify {
            command::notify(messages);
        }
    }
}

impl Waiting {
    fn ids(&self) -> BTreeSet<String> {
        self.messages.iter().map(id).collect()
    }
}

fn id(message: &Map<String, Value>) -> String {
    message.get("activity_id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// What waits, as `inbox_peek` shows it. Unless `is_shown`, it does not count as shown, so that the agent finds it unread.
async fn peek(runtime: &Runtime, is_shown: bool) -> Option<Waiting> {
    let asked = json!({"limit": 200}).to_string();
    let (answer, receipt) = runtime.driver().call_tool("inbox_peek", &asked).await.ok()?;
    if is_shown {
        receipt.written().await;
    } else {
        receipt.not_written().await;
    }
    let seen: Value = serde_json::from_str(answer.text.first()?).ok()?;
    let messages = seen.get("messages")?.as_array()?;
    let messages: Vec<_> = messages.iter().filter_map(Value::as_object).cloned().collect();
    (!messages.is_empty()).then_some(Waiting { messages })
}
