//! Two processes on one directory: the leader is killed, or asked to hand over, and the other one takes over.
//!
//! Each process has a token of its own, so that the platform's log tells which of them polls.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use standin::{Level, Now, shell};
use tokio::time;

use super::{Progress, flow::Flow, ledger::Ledger};
use crate::{launch::Launch, process::Program, served::Served};

/// How long a takeover may take.
const LONGEST_TAKEOVER: Duration = Duration::from_secs(6);

/// How long a leader works, in milliseconds.
const WORK_MS: std::ops::RangeInclusive<u64> = 100..=900;

/// Messages a leader.
const MESSAGES: u64 = 12;

/// What came of it.
#[derive(Debug, Clone)]
pub struct Takeovers {
    /// How many there were.
    pub takeovers: u64,
    /// Messages that were shown and popped: all.
    pub messages: usize,
    /// Messages that a process has shown after an earlier one.
    pub redelivered: u64,
    /// From a kill to the first message of the next process, at most.
    pub longest: Duration,
    /// How long it took.
    pub took: Duration,
}

/// How the leader loses the lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The agent of the other process asks for it.
    Asked,
    /// It is killed.
    Killed,
}

/// Takes the lead from the leader so many times.
///
/// # Errors
/// When two processes poll at once, a takeover takes more than 6 s, or a message is lost, comes after it was
/// popped, or comes again without saying so.
pub async fn takeover(launch: Launch, takeovers: u64, how: How, progress: Progress<'_>) -> Result<Takeovers> {
    let start = Instant::now();
    let platform = Arc::new(Served::start_with(Level::Later, &["rate_limit=1000000"]).await?);
    let flow = Flow::start(&platform);
    let launch = platform.for_me(launch);
    let mut pair = Pair { ledger: Ledger::new(flow.written.clone()), platform, launch, began: Vec::new() };
    let mut leader = pair.start().await?;
    let mut longest = Duration::ZERO;
    pair.ledger.next_process();
    for number in 1..=takeovers {
        let mut follower = pair.start().await?;
        flow.allow(MESSAGES);
        pair.work(&mut leader, Duration::from_millis(fastrand::u64(WORK_MS))).await?;
        pair.shows_nothing(&mut follower).await?;
        flow.allow(1);
        longest = longest.max(pair.replace(&mut leader, &mut follower, how).await?);
        leader = follower;
        progress(number);
    }
    pair.finish(&mut leader).await?;
    pair.one_polls_at_a_time()?;
    Ok(Takeovers {
        takeovers,
        messages: flow.written.ids().len(),
        redelivered: pair.ledger.redelivered,
        longest,
        took: start.elapsed(),
    })
}

struct Pair {
    platform: Arc<Served>,
    launch: Launch,
    ledger: Ledger,
    /// The tokens of all processes, and since when each of them may poll.
    began: Vec<(String, Now)>,
}

impl Pair {
    /// Starts a process that takes part in the inbox, or would like to.
    async fn start(&mut self) -> Result<Program> {
        let me = self.platform.me.id;
        let token = self.platform.with(|platform| platform.mint_for(me));
        let mut program = Program::start(&self.launch.clone().env("MOLECULE_WORKSPACE_TOKEN", &token))?;
        program.initialize().await?;
        program.call("inbox_peek", json!({})).await?;
        self.began.push((token, shell::now()));
        Ok(program)
    }

    /// Handles messages for so long.
    async fn work(&mut self, leader: &mut Program, span: Duration) -> Result<()> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.handle_one(leader).await?;
        }
        Ok(())
    }

    /// Handles a message, if there is one within a second; whether there was.
    async fn handle_one(&mut self, program: &mut Program) -> Result<bool> {
        let shown = program.call("wait_for_message", json!({ "timeout_secs": 0.2 })).await?;
        let Some(id) = self.ledger.shown(&shown.json())? else { return Ok(false) };
        // Some are left to the next one.
        if fastrand::u8(..10) > 0 {
            self.ledger.pop_asked(&id);
            let popped = program.call("inbox_pop", json!({ "activity_id": id })).await?;
            self.ledger.popped(&popped.json())?;
        }
        Ok(true)
    }

    async fn shows_nothing(&self, follower: &mut Program) -> Result<()> {
        let peek = follower.call("inbox_peek", json!({})).await?;
        ensure!(
            peek.json().get("messages") == Some(&json!([])),
            "two processes show messages: {}",
            peek.text()
        );
        Ok(())
    }

    /// Ends the lead of the leader; how long the follower took to show a message.
    async fn replace(&mut self, leader: &mut Program, follower: &mut Program, how: How) -> Result<Duration> {
        let open = self.ledger.open();
        self.ledger.next_process();
        if how == How::Killed {
            leader.signal(Signal::KILL)?;
        }
        let killed = Instant::now();
        let (_, began) = self.began.last_mut().context("no follower")?;
        *began = shell::now();
        match how {
            How::Asked => {
                let taken =
                    follower.call("inbox_pop", json!({ "activity_id": "-", "take_over": true })).await?;
                ensure!(!taken.failed(), "the leader does not hand over: {}", taken.text());
            }
            How::Killed => drop(leader.exit().await?),
        }
        while !self.handle_one(follower).await? {
            ensure!(killed.elapsed() < LONGEST_TAKEOVER, "nobody takes over: {}", follower.stderr());
            time::sleep(Duration::from_millis(10)).await;
        }
        let took = killed.elapsed();
        ensure!(took < LONGEST_TAKEOVER, "the takeover took {took:?}");
        let again = self.ledger.shown_again();
        ensure!(again <= open, "{again} messages come again, of {open} that were open");
        Ok(took)
    }

    async fn finish(&mut self, leader: &mut Program) -> Result<()> {
        let mut last = Instant::now();
        while !self.ledger.is_complete() {
            if self.handle_one(leader).await? {
                last = Instant::now();
            }
            let missing = self.ledger.missing();
            ensure!(last.elapsed() < Duration::from_secs(60), "messages are lost: {missing:?}");
        }
        Ok(())
    }

    /// Whether each process has polled only after the one before it was killed, and never again after the
    /// next one had begun.
    fn one_polls_at_a_time(&self) -> Result<()> {
        let path = format!("/workspaces/{}/activity", self.platform.me.id);
        let polls: Vec<(String, Now)> = self.platform.with(|platform| {
            let requests = platform.requests(0).into_iter();
            let polls = requests.filter(|entry| entry.request.method == "GET" && entry.request.path == path);
            let token = |entry: &standin::world::Logged| {
                entry.request.headers.get("Authorization").unwrap_or_default().replace("Bearer ", "")
            };
            polls.map(|entry| (token(entry), entry.at)).collect()
        });
        let mut current = 0;
        for (token, at) in polls {
            let place = self.began.iter().position(|(known, _)| *known == token);
            let place = place.context("somebody else polls")?;
            let (_, began) = self.began.get(place).context("somebody else polls")?;
            ensure!(place >= current, "process {place} polls although process {current} has begun to");
            ensure!(place == 0 || at >= *began, "process {place} polls although process {current} lives");
            current = place;
        }
        Ok(())
    }
}
