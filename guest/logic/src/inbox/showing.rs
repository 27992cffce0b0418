//! What an answer tells the agent, which counts only if the client gets that answer.
//!
//! ```text
//! shown, and noted on disk ──► answer ──┬── written to the client ──► kept
//!                                       └── never ──────────────────► taken back
//! ```
//!
//! It is noted before: a process that is killed right after its answer has not forgotten what it showed.

use std::rc::Rc;

use super::{Inbox, event::Event, journal, mailbox, mailbox::Gap};
use crate::{
    dialogue::Host,
    wire::{Effect, Instant, Workspace},
    world::World,
};

/// Everything that one answer tells. Dropped before [`Told::keep`], it was not told.
#[derive(Default)]
pub(crate) struct Told {
    /// Messages, as an inbox tool shows them.
    pub(crate) messages: Option<Showing>,
    /// That messages may be missing.
    pub(crate) gaps: Option<Gaps>,
    /// That messages wait: how many had arrived by then.
    pub(crate) mail: Option<u64>,
}

impl Told {
    /// Whether it matters if the client gets the answer.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.messages.is_none() && self.gaps.is_none() && self.mail.is_none()
    }

    /// The client has the answer.
    pub(crate) fn keep(self, world: &World, now: Instant) {
        if let Some(mut showing) = self.messages {
            showing.messages.clear();
            world.wake.read(now);
        }
        if let Some(mut gaps) = self.gaps {
            gaps.gaps.clear();
        }
        if let Some(arrivals) = self.mail {
            world.inbox.borrow_mut().queue_mut().told(arrivals, now);
        }
    }
}

/// What the journal has to say of messages that are shown.
pub(crate) type Noted = Vec<(Workspace, Event)>;

/// Messages on their way to the agent. Dropped, they are not shown after all.
pub(crate) struct Showing {
    host: Host,
    world: Rc<World>,
    /// Each with whether the journal says that it is shown.
    messages: Vec<(Rc<str>, bool)>,
    /// They are counted as deliveries.
    delivers: bool,
}

impl Showing {
    /// The message that has waited longest and is not parked, as `read` sees it; nothing if none waits.
    pub(crate) fn of_next<T>(
        (host, world): (&Host, &Rc<World>),
        read: impl FnOnce(&super::Staged) -> T,
    ) -> Option<(T, Self, Noted)> {
        let mut inbox = world.inbox.borrow_mut();
        let head = inbox.queue_mut().deliver()?;
        let showing = Self {
            host: host.clone(),
            world: Rc::clone(world),
            messages: vec![(head.id(), true)],
            delivers: true,
        };
        Some((read(head), showing, vec![journal::showing(head)]))
    }

    /// At most `limit` messages after `skip` others, each as `read` sees it.
    pub(crate) fn of_several<T>(
        (host, world): (&Host, &Rc<World>),
        (skip, limit): (usize, usize),
        mut read: impl FnMut(&super::Staged) -> T,
    ) -> (Vec<T>, Self, Noted) {
        let mut inbox = world.inbox.borrow_mut();
        let mut showing =
            Self { host: host.clone(), world: Rc::clone(world), messages: Vec::new(), delivers: false };
        let (mut seen, mut records) = (Vec::new(), Vec::new());
        for (staged, is_first) in inbox.queue_mut().look(skip, limit) {
            seen.push(read(staged));
            showing.messages.push((staged.id(), is_first));
            if is_first {
                records.push(journal::showing(staged));
            }
        }
        drop(inbox);
        (seen, showing, records)
    }

    /// The same, if there is any message.
    pub(crate) fn if_any(self) -> Option<Self> {
        (!self.messages.is_empty()).then_some(self)
    }
}

impl Drop for Showing {
    fn drop(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let mut inbox = self.world.inbox.borrow_mut();
        for (id, noted) in std::mem::take(&mut self.messages) {
            if let Some(workspace) = inbox.take_back(&id, self.delivers, noted) {
                self.host.effect(Effect::Handled(workspace));
            }
        }
    }
}

/// Gaps on their way to the agent. Dropped, it does not know of them after all.
pub(crate) struct Gaps {
    world: Rc<World>,
    gaps: Vec<(Workspace, Gap)>,
}

/// The gaps that the agent does not know of, as far as they are not on their way to it: a line for each.
pub(super) async fn untold_gaps(host: &Host, world: &Rc<World>) -> (Vec<String>, Option<Gaps>) {
    let gaps = world.inbox.borrow_mut().tell_gaps();
    if gaps.is_empty() {
        return (Vec::new(), None);
    }
    let lines = gaps.iter().map(|(_, gap)| super::notices::gap(gap)).collect();
    let told = Gaps { world: Rc::clone(world), gaps: gaps.clone() };
    for (workspace, gap) in gaps {
        journal::append(host, world, workspace, vec![gap.record()]).await;
    }
    (lines, Some(told))
}

impl Drop for Gaps {
    fn drop(&mut self) {
        if self.gaps.is_empty() {
            return;
        }
        let mut inbox = self.world.inbox.borrow_mut();
        for (workspace, gap) in std::mem::take(&mut self.gaps) {
            inbox.note(workspace, Gap { told: false, ..gap }.record());
        }
    }
}

impl Inbox {
    /// Gaps that the agent does not know of. It is told now.
    fn tell_gaps(&mut self) -> Vec<(Workspace, Gap)> {
        let mut told = Vec::new();
        for (workspace, mailbox) in &self.mailboxes {
            let untold = mailbox.gaps.iter().filter(|gap| !gap.told);
            told.extend(untold.map(|gap| (*workspace, Gap { told: true, ..gap.clone() })));
        }
        for (workspace, gap) in &told {
            self.applier(*workspace, 0).apply(&gap.record());
        }
        told
    }

    /// A message was not shown after all; if the journal says something else, it says so with the next write. The
    /// workspace of which that is to be written.
    fn take_back(&mut self, id: &str, delivered: bool, noted: bool) -> Option<Workspace> {
        let staged = self.queue.take_back(id, delivered)?;
        let (workspace, record) = (staged.message.workspace, mailbox::delivered(staged));
        if noted {
            self.mailbox(workspace).journal.pending.push(record);
        }
        noted.then_some(workspace)
    }
}
