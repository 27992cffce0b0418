//! One process after the other is killed, at any moment of its work.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use standin::Level;
use tokio::time;

use super::{Progress, flow::Flow, ledger::Ledger};
use crate::{
    launch::Launch,
    process::{Program, Said},
    served::Served,
};

/// How long a process may work, in milliseconds.
const WORK_MS: std::ops::RangeInclusive<u64> = 20..=180;

/// The agent gives up when nothing comes for so long.
const NOTHING_MORE: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Debug, Clone)]
pub struct Kills {
    /// How many there were.
    pub kills: u64,
    /// Messages that were shown and popped: all.
    pub messages: usize,
    /// Messages that a process has shown after an earlier one.
    pub redelivered: u64,
    /// Processes that have shown nothing before their end.
    pub idle: u64,
    /// How long it took.
    pub took: Duration,
}

/// Kills so many processes while so many messages flow, and then lets one process finish.
///
/// # Errors
/// When a message is lost, comes after it was popped, comes again without saying so or more than once a kill,
/// or out of its sender's order.
pub async fn repeatedly(launch: Launch, kills: u64, messages: u64, progress: Progress<'_>) -> Result<Kills> {
    let start = Instant::now();
    // More requests come from one address than the platform allows to people.
    let platform = Arc::new(Served::start_with(Level::Later, &["rate_limit=1000000"]).await?);
    let flow = Flow::start(&platform);
    let mut agent = Agent { ledger: Ledger::new(flow.written.clone()), asked: None, shown: 0 };
    let launch = platform.for_me(launch);
    let mut idle = 0;
    for kill in 1..=kills {
        flow.allow(share(messages, kills, kill));
        let shown = agent.shown;
        agent.work_and_die(&launch).await?;
        idle += u64::from(agent.shown == shown);
        progress(kill);
    }
    agent.finish(&launch, usize::try_from(messages)?).await?;
    Ok(Kills {
        kills,
        messages: flow.written.ids().len(),
        redelivered: agent.ledger.redelivered,
        idle,
        took: start.elapsed(),
    })
}

/// How many of the messages the kill with this number is for.
fn share(messages: u64, kills: u64, kill: u64) -> u64 {
    messages * kill / kills - messages * (kill - 1) / kills
}

/// The agent, and what it was about to hear.
struct Agent {
    ledger: Ledger,
    asked: Option<Asked>,
    /// Messages shown so far.
    shown: u64,
}

/// A call without an answer.
struct Asked {
    id: Value,
    pops: bool,
}

impl Agent {
    async fn work_and_die(&mut self, launch: &Launch) -> Result<()> {
        let mut program = self.begin(launch).await?;
        let work = Duration::from_millis(fastrand::u64(WORK_MS));
        if let Ok(failed) = time::timeout(work, self.work(&mut program)).await {
            failed?;
        }
        program.signal(Signal::KILL)?;
        program.exit().await?;
        // What it has said before its end counts, read or not.
        for message in program.last_words().await? {
            if let Some(asked) = self.asked.take_if(|asked| message.get("id") == Some(&asked.id)) {
                self.hears(&Said(crate::process::result(message)?), asked.pops)?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, launch: &Launch) -> Result<Program> {
        self.ledger.next_process();
        self.asked = None;
        let mut program = Program::start(launch)?;
        program.initialize().await?;
        Ok(program)
    }

    async fn work(&mut self, program: &mut Program) -> Result<()> {
        loop {
            self.handle_one(program, 60).await?;
        }
    }

    /// Waits for a message, and pops it; whether there was one.
    async fn handle_one(&mut self, program: &mut Program, timeout_secs: u64) -> Result<bool> {
        let wait = json!({ "timeout_secs": timeout_secs });
        let Some(id) = self.call(program, "wait_for_message", wait).await? else { return Ok(false) };
        self.ledger.pop_asked(&id);
        self.call(program, "inbox_pop", json!({ "activity_id": id })).await?;
        Ok(true)
    }

    /// The id of the message that was shown, if one was.
    async fn call(&mut self, program: &mut Program, tool: &str, arguments: Value) -> Result<Option<String>> {
        let (id, pops) = (program.ask_tool(tool, arguments).await?, tool == "inbox_pop");
        self.asked = Some(Asked { id: id.clone(), pops });
        let said = program.said(&id).await?;
        self.asked = None;
        self.hears(&said, pops)
    }

    fn hears(&mut self, said: &Said, pops: bool) -> Result<Option<String>> {
        ensure!(!said.failed(), "a call failed: {}", said.text());
        if pops {
            return self.ledger.popped(&said.json()).map(|()| None);
        }
        let shown = self.ledger.shown(&said.json())?;
        self.shown += u64::from(shown.is_some());
        let again = self.ledger.shown_again();
        ensure!(again <= 1, "{again} messages come again after one kill");
        Ok(shown)
    }

    /// Handles whatever is left.
    async fn finish(&mut self, launch: &Launch, messages: usize) -> Result<()> {
        let mut program = self.begin(launch).await?;
        let mut last = Instant::now();
        while !self.ledger.is_complete() || self.ledger.written() < messages {
            if self.handle_one(&mut program, 1).await? {
                last = Instant::now();
            }
            let missing = self.ledger.missing();
            ensure!(last.elapsed() < NOTHING_MORE, "{} messages are lost: {missing:?}", missing.len());
        }
        Ok(())
    }
}
