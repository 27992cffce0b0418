//! The part of a process that does not lead: it waits for the lock, or leaves it to others.

use std::time::Duration;

use tokio::time::{self, Instant};

use super::{Inbox, changed};
use crate::{driver::Ports, guest::GuestDown, storage::files::Lead};

/// Takes over within 6 s of the end of another process, with time for reading the disk.
const LOCK_AGAIN: Duration = Duration::from_secs(2);

impl<P: Ports> Inbox<P> {
    /// Ends when this process may lead again although it was displaced.
    pub(super) async fn stay_displaced(&mut self) -> Result<(), GuestDown> {
        let Some(until) = self.displaced else { return Ok(()) };
        let mut told = None;
        while Instant::now() < until {
            let leader = self.files.leader().await.map(|leader| leader.to_string()).unwrap_or_default();
            self.follows(leader, &mut told).await?;
            tokio::select! {
                () = changed(&mut self.calls) => break,
                () = time::sleep_until(until) => {}
                () = time::sleep(LOCK_AGAIN) => {}
            }
        }
        self.displaced = None;
        Ok(())
    }

    /// Ends when no other process leads any more.
    pub(super) async fn follow(&mut self) -> Result<(), GuestDown> {
        let mut told = None;
        loop {
            let lead = self.files.lead().await;
            self.say(&lead);
            let Lead::Another(leader) = lead else { return Ok(()) };
            self.follows(leader.to_string(), &mut told).await?;
            tokio::select! {
                () = self.files.has_taken_over() => {}
                () = time::sleep(LOCK_AGAIN) => {}
            }
        }
    }

    /// Tells the component who leads, unless it was `told` so the last time; empty if no process does.
    async fn follows(&self, leader: String, told: &mut Option<String>) -> Result<(), GuestDown> {
        if told.as_ref() != Some(&leader) {
            self.driver.guest().follow(self.workspace, &leader).await?;
            *told = Some(leader);
        }
        Ok(())
    }

    /// Tells the operator what changed.
    fn say(&mut self, lead: &Lead) {
        let is_said = match (&self.said, lead) {
            (Lead::Another(said), Lead::Another(leader)) => said.who == leader.who,
            (said, lead) => said == lead,
        };
        if is_said {
            return;
        }
        match lead {
            Lead::Another(leader) => tracing::warn!(
                "another process ({}) fetches the messages of this workspace; this one takes over when that one ends, \
                 or when its own agent asks for it (take_over)",
                leader.who
            ),
            Lead::Here if matches!(self.said, Lead::Another(_)) => {
                tracing::warn!(
                    "the other process has ended or handed over, and this one fetches the messages"
                );
            }
            Lead::Here => {}
            Lead::Unlocked(why) => tracing::warn!(
                "the inbox is not locked, so another process on this workspace shows the same messages: {why}"
            ),
        }
        self.said = lead.clone();
    }
}
