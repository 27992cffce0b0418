//! Keeps the inbox of the component open, also after the component had to be restarted.
//!
//! ```text
//! session begun ──► lock taken ──► told what is on disk ──► fetching ──► stopped ──► pause
//!                   ▲   │  ▲                                │   │                      │
//!                   │   │  └─────────── lock lost ──────────┘   │ handed over          │
//!                   2 s ▼                                       ▼                      │
//!          another process has it ◄── tool called, 10 min ── displaced ◄─ begins anew ─┘
//! ```
//!
//! A process is displaced when the agent of another one has asked for the lead. Its own agent is likely gone,
//! so it leaves the lead to others that begin meanwhile, until its own client calls a tool.

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

use self::leading::Ended;
use crate::{
    driver::{Driver, Ports},
    guest::GuestDown,
    session::Session,
    storage::files::{Files, Lead},
};

/// Before the first try to open it again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A message that stops the component each time it is read costs one restart a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Tells the component what `files` hold and lets it fetch messages, for as long as the future is
/// polled and no other process does. Without `fetch` nothing is fetched, and no lock is taken.
pub async fn keep_open<P: Ports>(driver: Arc<Driver<P>>, files: Files, session: Session, fetch: bool) {
    session.begun().await;
    let mut inbox = Inbox::new(driver, files, &session);
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = Instant::now();
        let mut stops = inbox.driver.guest().stops();
        tokio::select! {
            // Where nothing is fetched, nothing else would notice the stop.
            _ = stops.changed() => {}
            _ = inbox.open(fetch) => {}
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
    files: Files,
    /// Changes with each call of a tool.
    calls: watch::Receiver<u64>,
    /// What the operator knows.
    said: Lead,
    /// Until when the lead is left to others.
    displaced: Option<Instant>,
}

impl<P: Ports> Inbox<P> {
    fn new(driver: Arc<Driver<P>>, files: Files, session: &Session) -> Self {
        let mut calls = session.calls();
        // A call that began the session counts.
        if *calls.borrow() > 0 {
            calls.mark_changed();
        }
        Self { driver, files, calls, said: Lead::Here, displaced: None }
    }

    /// Ends only if the component stops.
    async fn open(&mut self, fetch: bool) -> Result<(), GuestDown> {
        let files = self.files.clone();
        let secret = task::spawn_blocking(move || files.read_secret()).await.unwrap_or_default();
        if let Some(secret) = secret {
            self.driver.guest().remember_secret(0, &secret).await?;
        }
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
                    self.driver.guest().follow(0, "another process").await?;
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
