//! The part of the process that leads: it fetches, until the lock is lost or another process asks for the lead.

use std::{convert::Infallible, future::pending, pin::pin, time::Duration};

use futures::future::{self, select_all};
use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::{Inbox, changed};
use crate::{
    driver::Ports,
    guest::{GuestDown, wire::Saved},
    storage::takeover::Requests,
};

/// So many messages that are dealt with one after the other change the cursor file once.
const SETTLE_AFTER: Duration = Duration::from_millis(500);
/// A lock is lost when its file is removed, which nothing tells.
const LOCK_CHECK: Duration = Duration::from_secs(60);
/// One that keeps files in order, and two that fetch them: a slow file leaves a way for the next.
const FILE_LANES: u32 = 3;
/// How long a process whose client calls no tool leaves the lead to others after it was displaced.
pub(super) const DISPLACED: Duration = Duration::from_secs(600);
/// How long the cursor file is waited for before the lead is handed over.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);
/// How often it is written down for others that the client calls tools.
const NOTE_CALLS: Duration = Duration::from_secs(15);

/// How often it is looked whether the component has grown large.
const LOOK_AT_MEMORY: Duration = Duration::from_secs(15);
/// In bytes. What stays in memory besides fits twice into what the whole program may have.
const MUCH_MEMORY: usize = 8 << 20;

/// Why this process does not lead any more.
pub(super) enum Ended {
    /// The lock was removed or lost.
    LockLost,
    /// The process of this id has asked for the lead.
    Requested(u32),
}

impl<P: Ports> Inbox<P> {
    /// Fetches until another process may have taken the lock, or asks for it.
    pub(super) async fn lead(&self) -> Result<Ended, GuestDown> {
        let saved = self.files.saved().await;
        let requests = self.files.requests().await;
        let mut fetching = pin!(self.fetch(saved));
        let mut settling = pin!(self.settle());
        let mut beside = pin!(future::join(self.note_calls(), self.shrink()));
        loop {
            tokio::select! {
                // It ends with a stop of the component alone.
                ended = &mut fetching => { ended?; return Ok(Ended::LockLost) }
                Err(down) = &mut settling => return Err(down),
                process = next(requests.as_ref()) => return Ok(Ended::Requested(process)),
                _ = &mut beside => {}
                () = self.files.lock_in_doubt() => {}
                () = time::sleep(LOCK_CHECK) => {}
            }
            if !self.files.still_leads().await {
                return Ok(Ended::LockLost);
            }
        }
    }

    /// Has the cursor file follow what the agent deals with; ends only if the component stops.
    async fn settle(&self) -> Result<Infallible, GuestDown> {
        loop {
            self.driver.handled(self.workspace).await;
            time::sleep(SETTLE_AFTER).await;
            self.driver.settle_inbox(self.workspace).await?;
        }
    }

    /// Writes down for other processes when the client calls tools.
    async fn note_calls(&self) -> Infallible {
        let mut calls: watch::Receiver<u64> = self.calls.clone();
        loop {
            changed(&mut calls).await;
            self.files.note_call().await;
            time::sleep(NOTE_CALLS).await;
        }
    }

    /// Replaces an instance of the component that has grown large. The stop that this counts as ends the future.
    async fn shrink(&self) -> Infallible {
        loop {
            time::sleep(LOOK_AT_MEMORY).await;
            if self.driver.guest().memory() > MUCH_MEMORY && self.driver.renew().await == Ok(true) {
                tracing::info!("the component has grown large, and a new instance has taken its place");
            }
        }
    }

    /// Fetches messages, and beside them the files that come with them; ends only if the component stops.
    async fn fetch(&self, saved: Saved) -> Result<(), GuestDown> {
        let files = select_all((0..FILE_LANES).map(|lane| Box::pin(self.keep_files(lane))));
        tokio::select! {
            biased;
            ended = self.driver.fetch_inbox(self.workspace, saved) => ended.map(drop),
            (stopped, ..) = files => Err(stopped),
        }
    }

    /// Ends only if the component stops.
    async fn keep_files(&self, lane: u32) -> GuestDown {
        match self.driver.keep_files(self.workspace, lane).await {
            Ok(_) => pending().await,
            Err(stopped) => stopped,
        }
    }

    /// Lets another process lead. Nothing is fetched any more, and the tools of this one show nothing from here
    /// on; a pop that is not on disk by then says that it is not.
    pub(super) async fn hand_over(&mut self, process: u32) -> Result<(), GuestDown> {
        // A slow disk is not waited for: the journal says the same as the cursor file.
        let _ = time::timeout(SETTLED_WITHIN, self.driver.settle_inbox(self.workspace)).await;
        self.driver.guest().follow(self.workspace, &format!("process {process}")).await?;
        // Only a call after this one tells that this process is in use.
        self.calls.mark_unchanged();
        self.files.resign().await;
        tracing::warn!(
            "the agent of process {process} has asked for the messages of this workspace, and gets them"
        );
        self.displaced = Some(Instant::now() + DISPLACED);
        Ok(())
    }
}

/// The id of the process that asks for the lead next.
async fn next(requests: Option<&Requests>) -> u32 {
    match requests {
        Some(requests) => requests.next().await,
        None => pending().await,
    }
}
