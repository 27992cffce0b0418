//! Keeps the inbox of a workspace open, also after the component had to be restarted.
//!
//! ```text
//! token is taken ──► lock taken ──► told what is on disk ──► fetching ──► stopped ──► pause
//!                   ▲   │  ▲                                │   │                      │
//!                   │   │  └─────────── lock lost ──────────┘   │ handed over          │
//!                   2 s ▼                                       ▼                      │
//!          another process has it ◄── tool called, 10 min ── displaced ◄─ begins anew ─┘
//! ```
//!
//! A process is displaced when the agent of another one has asked for the lead. Its own agent is likely gone,
//! so it leaves the lead to others that begin meanwhile, until its own client calls a tool.
//!
//! The memory of an instance of the component never shrinks. After large messages it is replaced, once nothing needs
//! it, and the inbox is opened again without a pause.

mod following;
mod leading;
#[cfg(test)]
mod tests;

use std::{future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task,
    time::{self, Instant},
};
use tracing::Span;

use self::leading::Ended;
use crate::{
    driver::{Driver, Ports},
    guest::{GuestDown, wire::Workspace},
    presence::Standing,
    storage::files::{Files, Lead},
};

/// Before the first try to open it again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A message that stops the component each time it is read costs one restart a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tells the component what the files of an account hold and lets it fetch messages, for as long as the future is
/// polled, the platform takes the token, and no other process does. Without `fetch` nothing is fetched, and no lock
/// is taken. `calls` counts the calls of tools.
pub async fn keep_open<P: Ports>(
    driver: Arc<Driver<P>>,
    workspace: Workspace,
    (files, calls): (Files, watch::Receiver<u64>),
    standing: Standing,
    fetch: bool,
) {
    let mut inbox = Inbox::new(driver, workspace, (files, calls), standing);
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = Instant::now();
        let (mut stops, renewals) = (inbox.driver.guest().stops(), inbox.driver.guest().renewals());
        tokio::select! {
            // Where nothing is fetched, nothing else would notice the stop.
            _ = stops.changed() => {}
            _ = inbox.open(fetch) => {}
        }
        if inbox.driver.guest().renewals() > renewals {
            continue;
        }
        if opened.elapsed() >= LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tracing::warn!("the inbox is opened again in {} s", pause.as_secs());
        time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Inbox<P: Ports> {
    driver: Arc<Driver<P>>,
    workspace: Workspace,
    files: Files,
    /// Changes with each call of a tool.
    calls: watch::Receiver<u64>,
    standing: Standing,
    /// What the operator knows.
    said: Lead,
    /// Until when the lead is left to others.
    displaced: Option<Instant>,
}

impl<P: Ports> Inbox<P> {
    fn new(
        driver: Arc<Driver<P>>,
        workspace: Workspace,
        (files, mut calls): (Files, watch::Receiver<u64>),
        standing: Standing,
    ) -> Self {
        // A call that began the session counts.
        if *calls.borrow() > 0 {
            calls.mark_changed();
        }
        Self { driver, workspace, files, calls, standing, said: Lead::Here, displaced: None }
    }

    /// Ends only if the component stops.
    async fn open(&mut self, fetch: bool) -> Result<(), GuestDown> {
        let files = self.files.clone();
        let span = Span::current();
        let read = task::spawn_blocking(move || span.in_scope(|| files.read_secret()));
        if let Some(secret) = read.await.unwrap_or_default() {
            self.driver.guest().remember_secret(self.workspace, &secret).await?;
        }
        loop {
            self.wait_for_the_token().await?;
            let (standing, workspace) = (self.standing.clone(), self.workspace);
            tokio::select! {
                ended = self.keep(fetch) => return ended,
                () = standing.until(workspace, true) => self.files.resign().await,
            }
        }
    }

    /// Ends once the platform takes the token of the workspace; tells the component why it does not.
    async fn wait_for_the_token(&self) -> Result<(), GuestDown> {
        while let Some(rejected) = self.standing.refusal(self.workspace) {
            let guest = self.driver.guest();
            guest.refused(self.workspace, &rejected.to_string()).await?;
            self.standing.until(self.workspace, false).await;
            guest.refused(self.workspace, "").await?;
        }
        Ok(())
    }

    /// Ends only if the component stops.
    async fn keep(&mut self, fetch: bool) -> Result<(), GuestDown> {
        if !fetch {
            return pending().await;
        }
        loop {
            self.stay_displaced().await?;
            self.follow().await?;
            match self.lead().await? {
                Ended::LockLost => {
                    tracing::warn!(
                        "the lock of the inbox was removed or lost, and the inbox is opened again"
                    );
                    // No pop may act on what was known before the journal is read again.
                    self.driver.guest().follow(self.workspace, "another process").await?;
                }
                Ended::Requested(process) => self.hand_over(process).await?,
            }
        }
    }
}

async fn changed(calls: &mut watch::Receiver<u64>) {
    if calls.changed().await.is_err() {
        // The session is over, and no tool is called any more.
        pending().await
    }
}
