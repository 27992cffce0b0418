//! What the poller does on disk: messages are published, the journal is kept tidy, the cursor file follows.

use std::rc::Rc;

use super::{
    Inbox,
    event::Event,
    journal,
    mailbox::{Mailbox, State},
    poller::Poller,
};
use crate::{
    dialogue::{Host, NotStored},
    wire::{CursorChange, FileChange, Finish, Level, Workspace},
    world::World,
};

/// After each round; pops have it written sooner.
const SAVE_CURSOR_MS: u64 = 1_000;

/// How often a change of the cursor file that is under way is looked after.
const PROJECTION_MS: u64 = 5;

/// The cursor file is to name another row.
pub(super) struct Projection {
    /// What it holds so far.
    known: Option<String>,
    id: Option<String>,
    /// The record of that.
    said: Event,
}

impl Poller {
    /// Reads or changes the mailbox of the workspace.
    pub(super) fn mailbox<T>(&self, with: impl FnOnce(&mut Mailbox) -> T) -> T {
        with(self.world.inbox.borrow_mut().mailbox(self.workspace))
    }

    /// Gets records on disk, or keeps them in memory.
    pub(super) async fn write(&self, records: Vec<Event>) {
        if records.is_empty() {
            return;
        }
        match self.mailbox(|mailbox| mailbox.journal.state) {
            State::Ready => {
                journal::append(&self.host, &self.world, self.workspace, records).await;
            }
            State::Behind | State::Fresh => {
                journal::rewrite(&self.host, &self.world, self.workspace).await;
            }
            State::Newer => {}
        }
    }

    /// The agent may see what was staged.
    pub(super) fn publish(&self) {
        self.and_announce(|inbox| inbox.queue_mut().publish(self.workspace));
    }

    /// The lanes of files have something to look at.
    pub(super) fn stir(&self) {
        self.and_announce(Inbox::stir);
    }

    fn and_announce(&self, change: impl FnOnce(&mut Inbox)) {
        self.world.inbox.borrow_mut().announce(&self.host, self.workspace, change);
    }

    /// Rewrites the journal if it is not what it should be, or holds much that is over.
    pub(super) async fn tidy_up(&self) {
        let now = self.host.now();
        let live = self.staged_bytes();
        let (is_due, rides) = self.mailbox(|mailbox| match mailbox.journal.state {
            State::Behind => (true, false),
            State::Ready => {
                let is_due = mailbox.journal.unseen || mailbox.journal.is_worth_a_rewrite(live, now);
                mailbox.note_settled_floor();
                (is_due, !mailbox.journal.pending.is_empty())
            }
            State::Fresh | State::Newer => (false, false),
        });
        if is_due {
            journal::rewrite(&self.host, &self.world, self.workspace).await;
        } else if rides {
            journal::append(&self.host, &self.world, self.workspace, Vec::new()).await;
        }
    }

    fn staged_bytes(&self) -> usize {
        let inbox = self.world.inbox.borrow();
        inbox.queue().of(self.workspace).map(|staged| staged.message.weight()).sum()
    }

    /// Brings the cursor file up to date, also if there is no journal yet.
    pub(super) async fn save_cursor(&mut self) {
        let now = self.host.now();
        if self.cursor_saved.is_some_and(|saved| now.saturating_sub(saved) < SAVE_CURSOR_MS) {
            return;
        }
        if self.mailbox(|mailbox| mailbox.projection()).is_none() {
            return;
        }
        self.cursor_saved = Some(now);
        if self.mailbox(|mailbox| mailbox.journal.state == State::Fresh) {
            journal::rewrite(&self.host, &self.world, self.workspace).await;
        }
        project(&self.host, &self.world, self.workspace).await;
    }
}

/// Shows messages that need not wait any longer. Rows that turned out to be of the agent's own files are over: says
/// whether that is on disk, and nothing if there were none.
pub(super) async fn settle_held(host: &Host, world: &World, workspace: Workspace) -> Option<bool> {
    let (now, id) = (host.now(), (workspace, world.id(workspace)));
    let settle = |inbox: &mut Inbox| inbox.settle_held(id, &world.own_uploads.borrow(), now);
    let own = world.inbox.borrow_mut().announce(host, workspace, settle);
    if own.is_empty() {
        return None;
    }
    Some(journal::acknowledge(host, world, workspace, &own).await)
}

/// Brings journal and cursor file up to date, soon after messages were popped or not shown after all, and before the
/// process ends.
pub(crate) async fn settle(host: Host, world: Rc<World>, workspace: Workspace) -> Finish {
    if world.inbox.borrow().mailboxes.contains_key(&workspace) {
        project(&host, &world, workspace).await;
        let is_taken_back = |event: &Event| matches!(event, Event::Delivered { .. });
        let waits = world.inbox.borrow_mut().mailbox(workspace).journal.pending.iter().any(is_taken_back);
        if waits {
            journal::append(&host, &world, workspace, Vec::new()).await;
        }
    }
    Finish::Done
}

/// Writes the cursor file, for those who know nothing of journals, if it is to name another row.
async fn project(host: &Host, world: &World, workspace: Workspace) {
    while world.inbox.borrow_mut().mailbox(workspace).in_projection.is_some() {
        host.rest_until(host.now().saturating_add(PROJECTION_MS)).await;
    }
    let projection = world.inbox.borrow_mut().mailbox(workspace).projection();
    let Some(Projection { known, id, said }) = projection else { return };
    world.inbox.borrow_mut().applier(workspace, host.now()).apply(&said);
    let _under_way = Projecting::begin(world, workspace, id.clone());
    // Said before it is done: a file that names another row was written by somebody else.
    if !journal::append(host, world, workspace, vec![said]).await {
        return;
    }
    let change = FileChange::Cursor(CursorChange { known, id: id.clone() });
    match host.store(workspace, change).await {
        Ok(()) => {
            let mut inbox = world.inbox.borrow_mut();
            let mailbox = inbox.mailbox(workspace);
            mailbox.watermarks.saved(id.clone());
            let done = mailbox.projected(id.clone(), id);
            inbox.applier(workspace, host.now()).apply(&done);
            inbox.mailbox(workspace).journal.pending.push(done);
        }
        Err(NotStored::Refused(why)) => {
            world.inbox.borrow_mut().mailbox(workspace).shared = true;
            host.log(Level::Warn, format!("the inbox cursor file is left alone from now on: {why}"));
        }
        Err(NotStored::Failed(why)) => {
            host.log(Level::Info, format!("inbox cursor file not written: {why}"));
        }
    }
}

/// A change of the cursor file, for as long as this value lives: two at once could end in the older one.
struct Projecting<'a> {
    world: &'a World,
    workspace: Workspace,
}

impl<'a> Projecting<'a> {
    fn begin(world: &'a World, workspace: Workspace, id: Option<String>) -> Self {
        world.inbox.borrow_mut().mailbox(workspace).in_projection = Some(id);
        Self { world, workspace }
    }
}

impl Drop for Projecting<'_> {
    fn drop(&mut self) {
        self.world.inbox.borrow_mut().mailbox(self.workspace).in_projection = None;
    }
}

impl Mailbox {
    /// What the cursor file is to name, unless it does, or is not ours alone, or says where to go on.
    pub(super) fn projection(&self) -> Option<Projection> {
        let id = self.watermarks.unsaved().filter(|_| !self.shared && self.takeover.is_none())?;
        let was = self.watermarks.named_by_file().map(str::to_owned);
        let said = self.projected(id.clone(), was);
        Some(Projection { known: self.watermarks.on_disk(), id, said })
    }
}
