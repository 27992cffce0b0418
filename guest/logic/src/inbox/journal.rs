//! Gets records on disk, and says when that fails.
//!
//! ```text
//! append ──ok──► on disk
//!    │ failed
//!    ▼
//! behind: what happens is kept in memory ──rewrite, tried by the poller──► on disk again
//! ```
//!
//! Only the poller rewrites. Everybody may append, but not while a rewrite is under way.

use std::{collections::BTreeMap, rc::Rc};

use super::{
    event::Event,
    mailbox::{self, State},
    message::Message,
    queue::Staged,
};
use crate::{
    dialogue::{Host, NotStored},
    planted::{Bug, planted},
    wire::{Effect, FileChange, JournalAppend, JournalRewrite, Level, Workspace},
    world::World,
};

/// A failing disk is said this often.
const SAY_AGAIN_MS: u64 = 60_000;

/// How often a rewrite that is under way is looked after; it takes about two of these.
const REWRITE_MS: u64 = 5;

/// Adds records; says whether they are on disk.
pub(super) async fn append(host: &Host, world: &World, workspace: Workspace, records: Vec<Event>) -> bool {
    let outcome = Unseen::begin(world, workspace);
    while world.inbox.borrow_mut().mailbox(workspace).journal.in_rewrite {
        host.rest_until(host.now().saturating_add(REWRITE_MS)).await;
    }
    let Some(append) = next_append(world, workspace, records) else {
        outcome.seen();
        return false;
    };
    let appended = host.store(workspace, FileChange::Append(append)).await;
    outcome.seen();
    if let Err(why) = &appended {
        world.inbox.borrow_mut().mailbox(workspace).journal.state = State::Behind;
        say(host, world, why);
    }
    appended.is_ok()
}

/// An append whose outcome nobody has seen yet. If nobody ever does, because the call was cancelled, it is
/// not known what the journal says, and it is written anew.
struct Unseen<'a> {
    world: &'a World,
    workspace: Workspace,
    seen: bool,
}

impl<'a> Unseen<'a> {
    fn begin(world: &'a World, workspace: Workspace) -> Self {
        world.inbox.borrow_mut().mailbox(workspace).journal.writers += 1;
        Self { world, workspace, seen: false }
    }

    fn seen(mut self) {
        self.seen = true;
    }
}

impl Drop for Unseen<'_> {
    fn drop(&mut self) {
        let mut inbox = self.world.inbox.borrow_mut();
        let journal = &mut inbox.mailbox(self.workspace).journal;
        journal.writers = journal.writers.saturating_sub(1);
        journal.unseen |= !self.seen;
    }
}

/// The records together with those that wait for a ride; none if only a rewrite helps, which says it all.
fn next_append(world: &World, workspace: Workspace, records: Vec<Event>) -> Option<JournalAppend> {
    let mut inbox = world.inbox.borrow_mut();
    let inbox = &mut *inbox;
    let mailbox = inbox.mailboxes.entry(workspace).or_default();
    if mailbox.journal.state != State::Ready {
        return None;
    }
    let mut all = std::mem::take(&mut mailbox.journal.pending);
    all.extend(records);
    all.iter_mut().for_each(|record| mailbox.bring_up_to_date(record, &inbox.queue, workspace));
    let journal = &mut mailbox.journal;
    let sync = all.iter().any(Event::needs_sync);
    let records: Vec<String> = all.iter().map(Event::write).collect();
    journal.grew(records.iter().map(String::len));
    Some(JournalAppend { records, sync })
}

/// Writes the journal anew, with all that is known; says whether that is on disk. For the poller alone.
pub(super) async fn rewrite(host: &Host, world: &Rc<World>, workspace: Workspace) -> bool {
    let Some((change, lines, pops)) = whole(world, workspace) else { return false };
    let under_way = UnderWay::begin(world, workspace);
    let rewritten = host.store(workspace, change).await;
    drop(under_way);
    match rewritten {
        Ok(()) => {
            let mut inbox = world.inbox.borrow_mut();
            inbox.announce(host, workspace, |inbox| inbox.settle_pops(workspace, &pops, host.now()));
            inbox.mailbox(workspace).journal.rewritten(&lines, host.now());
            if inbox.said_not_saved.take().is_some() {
                host.log(Level::Info, "the inbox is saved again");
            }
            true
        }
        Err(why) => {
            world.inbox.borrow_mut().mailbox(workspace).journal.state = State::Behind;
            say(host, world, &why);
            false
        }
    }
}

/// A whole journal: the change of the file, how many bytes its lines have, and the pops that it knows of.
fn whole(world: &World, workspace: Workspace) -> Option<(FileChange, Vec<usize>, Vec<Rc<str>>)> {
    let mut inbox = world.inbox.borrow_mut();
    let inbox = &mut *inbox;
    let mailbox = inbox.mailboxes.entry(workspace).or_default();
    if mailbox.journal.state == State::Newer {
        return None;
    }
    let records: Vec<String> = mailbox.begin_anew(&inbox.queue, workspace).iter().map(Event::write).collect();
    mailbox.journal.pending.clear();
    mailbox.journal.unseen = false;
    let lengths = records.iter().map(String::len).collect();
    let pops = mailbox.unsaved_pops.iter().cloned().collect();
    let keep_copy = mailbox.journal.keep_copy;
    Some((FileChange::Rewrite(JournalRewrite { records, keep_copy }), lengths, pops))
}

/// A rewrite, for as long as this value lives.
struct UnderWay<'a> {
    world: &'a World,
    workspace: Workspace,
}

impl<'a> UnderWay<'a> {
    fn begin(world: &'a World, workspace: Workspace) -> Self {
        world.inbox.borrow_mut().mailbox(workspace).journal.in_rewrite = true;
        Self { world, workspace }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.world.inbox.borrow_mut().mailbox(self.workspace).journal.in_rewrite = false;
    }
}

fn say(host: &Host, world: &World, why: &NotStored) {
    let mut inbox = world.inbox.borrow_mut();
    let now = host.now();
    if inbox.said_not_saved.is_some_and(|said| now.saturating_sub(said) < SAY_AGAIN_MS) {
        return;
    }
    inbox.said_not_saved = Some(now);
    host.log(
        Level::Warn,
        format!("inbox not saved, a restart will repeat messages that are handled now: {why}"),
    );
}

/// What became of messages that were to be popped.
pub(crate) struct Pops {
    /// By id, in the order given: whether it was waiting.
    pub(crate) removed: Vec<(String, bool)>,
    /// A restart will not show them again.
    pub(crate) durable: bool,
}

/// Takes messages out and gets that on disk, all of them with one write.
pub(crate) async fn popped(host: &Host, world: &World, ids: Vec<String>) -> Pops {
    let mut over: BTreeMap<Workspace, Vec<Rc<Message>>> = BTreeMap::new();
    let mut removed = Vec::with_capacity(ids.len());
    for id in ids {
        let message = world.inbox.borrow_mut().pop(&id);
        removed.push((id, message.is_some()));
        if let Some(message) = message {
            over.entry(message.workspace).or_default().push(message);
        }
    }
    let mut durable = true;
    for (workspace, messages) in over {
        if world.inbox.borrow_mut().ends_starving(workspace) {
            host.effect(Effect::LookAgain(workspace));
        }
        durable &= acknowledge(host, world, workspace, &messages).await;
        if world.inbox.borrow_mut().mailbox(workspace).projection().is_some() {
            host.effect(Effect::Handled(workspace));
        }
    }
    Pops { removed, durable }
}

/// Gets on disk that popped messages are over; says whether it is.
pub(super) async fn acknowledge(
    host: &Host,
    world: &World,
    workspace: Workspace,
    messages: &[Rc<Message>],
) -> bool {
    let ids: Vec<Rc<str>> = messages.iter().map(|message| message.activity_id.as_str().into()).collect();
    let over = Event::Acknowledged { ids: ids.clone() };
    let saved = planted(Bug::AckNotWritten)
        || append(host, world, workspace, vec![over]).await
        || planted(Bug::FailureNotTold);
    let mut inbox = world.inbox.borrow_mut();
    for message in messages {
        inbox.mailbox(workspace).journal.outlived(message.weight());
    }
    if saved {
        inbox.announce(host, workspace, |inbox| inbox.settle_pops(workspace, &ids, host.now()));
    }
    saved
}

/// Notes that the agent has been shown these messages.
pub(crate) async fn delivered(host: &Host, world: &World, shown: Vec<(Workspace, Event)>) {
    let mut by_workspace: BTreeMap<Workspace, Vec<Event>> = BTreeMap::new();
    for (workspace, record) in shown {
        by_workspace.entry(workspace).or_default().push(record);
    }
    for (workspace, records) in by_workspace {
        append(host, world, workspace, records).await;
    }
}

/// That a message was shown, and to whom it belongs.
pub(super) fn showing(staged: &Staged) -> (Workspace, Event) {
    (staged.message.workspace, mailbox::delivered(staged))
}
