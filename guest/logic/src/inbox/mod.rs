//! The messages to this agent: fetched, staged, handed out, dealt with.
//!
//! ```text
//! platform ──rows──► poller ──► filter ──► message ──► queue ──► tools
//!                      ▲          │                      │ popped
//!                      │          ▼                      ▼
//!                   position ◄─ ledger ◄────────── acknowledged ──► cursor file
//! ```
//!
//! | Module | Knows |
//! |---|---|
//! | `poller` | when to ask the platform, and for what |
//! | `window` | how to find the oldest row without a row to ask after |
//! | `health` | how long to wait after a failure, and what to say of it |
//! | `filter` | which rows are messages |
//! | `message` | how a row reads as a message |
//! | `queue` | which messages wait for the agent |
//! | `ledger` | which rows are dealt with, and so what a restart may skip |

mod filter;
mod health;
#[cfg(test)]
mod history_tests;
mod ledger;
mod message;
mod poller;
#[cfg(test)]
mod polling_tests;
mod queue;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
pub(crate) mod rig;
mod window;

use std::{collections::BTreeMap, rc::Rc};

use self::{
    filter::{Source, Verdict},
    ledger::{Ledger, Mark},
    poller::Poller,
    queue::Queue,
};
pub(crate) use self::{message::Message, queue::MOST_STAGED};
use crate::{
    dialogue::Host,
    platform::activity::Row,
    uploads::OwnUploads,
    wire::{CursorChange, FileChange, Finish, Instant, Level, Saved, Workspace},
    world::World,
};

/// A failing disk is said this often.
const SAY_AGAIN_MS: u64 = 60_000;

/// The inbox of the process.
#[derive(Default)]
pub(crate) struct Inbox {
    queue: Queue,
    ledgers: BTreeMap<Workspace, Ledger>,
    /// Files that may be the agent's own: they wait for the answers to its uploads.
    held: Vec<Message>,
    said_not_saved: Option<Instant>,
}

/// What became of a batch of rows.
pub(crate) struct Taken {
    /// The rows that are noted, in order.
    rows: Vec<Mark>,
    /// There was no room for the others.
    stopped: bool,
    /// The next poll starts elsewhere.
    moved: bool,
}

impl Inbox {
    pub(crate) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Another process fetches.
    pub(crate) fn follow(&mut self, _workspace: Workspace, _leader: String) {}

    fn ledger(&mut self, workspace: Workspace) -> &mut Ledger {
        self.ledgers.entry(workspace).or_default()
    }

    /// Notes rows of the workspace `own`, oldest first, and stages the messages among them, as far
    /// as there is room. With `more`, the platform may have others as old as the last one.
    fn take(
        &mut self,
        (workspace, own): (Workspace, &str),
        rows: Vec<Row>,
        more: bool,
        uploads: &OwnUploads,
    ) -> Taken {
        let ledger = self.ledgers.entry(workspace).or_default();
        let mut unseen_from = rows.last().filter(|_| more).map(|row| row.stamp);
        let mut taken = Taken { rows: Vec::with_capacity(rows.len()), stopped: false, moved: false };
        for row in rows {
            let mark = Mark::new(&row);
            if !ledger.knows(&row.id) {
                match filter::verdict(&row, own, uploads) {
                    Verdict::Drop => ledger.pass(mark.clone()),
                    Verdict::Hold => {
                        ledger.wait_for(mark.clone());
                        self.held.push(Message::new(workspace, row, Source::Upload));
                    }
                    Verdict::Show(source) => {
                        let message = Message::new(workspace, row, source);
                        if !self.queue.fits(&message) {
                            unseen_from = Some(mark.stamp);
                            taken.stopped = true;
                            break;
                        }
                        ledger.wait_for(mark.clone());
                        self.queue.stage(message);
                    }
                }
            }
            taken.rows.push(mark);
        }
        taken.moved = ledger.fetched_up_to(&taken.rows, unseen_from);
        taken
    }

    /// Decides about the held files, once no upload of the agent is on its way any more.
    fn release(&mut self, uploads: &OwnUploads) {
        if uploads.in_flight() {
            return;
        }
        for message in std::mem::take(&mut self.held) {
            let uri = message.attachments.first().and_then(|file| file.uri.as_deref());
            if uri.is_some_and(|uri| uploads.contains(uri)) {
                self.ledger(message.workspace).acknowledge(&message.activity_id);
            } else {
                self.queue.stage(message);
            }
        }
    }

    /// Takes a message out, which the agent has dealt with.
    pub(crate) fn pop(&mut self, activity_id: &str) -> Option<Rc<Message>> {
        let message = self.queue.pop(activity_id)?;
        self.ledger(message.workspace).acknowledge(activity_id);
        Some(message)
    }

    /// Whether a failing disk is to be said now.
    fn says_not_saved(&mut self, now: Instant) -> bool {
        let due = self.said_not_saved.is_none_or(|said| now.saturating_sub(said) >= SAY_AGAIN_MS);
        if due {
            self.said_not_saved = Some(now);
        }
        due
    }
}

/// Fetches the messages of a workspace, for ever, beginning with what is on disk.
pub(crate) async fn poll(host: Host, world: Rc<World>, workspace: Workspace, saved: Saved) -> Finish {
    Poller::open(host, world, workspace, saved.cursor).run().await
}

/// What is on disk, as JSON for people.
pub(crate) fn describe(_world: &World, _workspace: Workspace, _saved: Saved) -> String {
    String::new()
}

/// Brings the cursor file up to date, if it is not; says whether it is.
pub(crate) async fn save(host: &Host, world: &World, workspace: Workspace) -> bool {
    let Some(cursor) = world.inbox.borrow_mut().ledger(workspace).unsaved() else {
        return true;
    };
    let known = None;
    let saved = host.store(workspace, FileChange::Cursor(CursorChange { known, id: cursor.clone() })).await;
    let mut inbox = world.inbox.borrow_mut();
    match saved {
        Ok(()) => {
            inbox.ledger(workspace).saved(cursor);
            true
        }
        Err(why) => {
            if inbox.says_not_saved(host.now()) {
                host.log(
                    Level::Warn,
                    format!(
                        "inbox cursor not saved, a restart will repeat messages that were handled: {why}"
                    ),
                );
            }
            false
        }
    }
}
