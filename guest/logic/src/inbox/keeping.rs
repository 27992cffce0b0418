//! What the poller does on disk: messages land, the journal is kept tidy, the cursor file follows.

use std::rc::Rc;

use super::{
    Inbox,
    book::{Book, State},
    journal,
    message::Message,
    poller::Poller,
    record::Record,
};
use crate::{
    dialogue::NotStored,
    wire::{CursorChange, Effect, FileChange, Level},
};

/// The cursor file is for others; it may lag behind.
const SAVE_CURSOR_MS: u64 = 1_000;

/// The cursor file is to name another row.
struct Projection {
    state: State,
    /// What it holds so far.
    known: Option<String>,
    id: Option<String>,
    /// The record of that.
    said: Record,
}

impl Poller {
    /// Reads or changes the book of the workspace.
    pub(super) fn book<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        with(self.world.inbox.borrow_mut().book(self.workspace))
    }

    /// Gets records on disk, or keeps them in memory.
    pub(super) async fn write(&self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        match self.book(|book| book.journal.state) {
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
    pub(super) fn land(&self) {
        self.and_announce(|inbox| inbox.queue_mut().land());
    }

    /// Changes the inbox, and says if the agent can see more than before.
    fn and_announce<T>(&self, change: impl FnOnce(&mut Inbox) -> T) -> T {
        let mut inbox = self.world.inbox.borrow_mut();
        let before = inbox.news();
        let changed = change(&mut inbox);
        let news = inbox.news();
        if news > before {
            self.host.effect(Effect::Arrived(news));
        }
        changed
    }

    /// Rewrites the journal if it is not what it should be, or holds much that is over.
    pub(super) async fn tidy_up(&self) {
        let now = self.host.now();
        let live = self.staged_bytes();
        let (is_due, rides) = self.book(|book| match book.journal.state {
            State::Behind => (true, false),
            State::Ready => {
                let is_due = book.journal.unseen || book.journal.is_worth_a_rewrite(live, now);
                (is_due, !book.journal.pending.is_empty())
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

    /// Brings the cursor file up to date, for those who know nothing of journals.
    pub(super) async fn save_cursor(&mut self) {
        let now = self.host.now();
        if self.cursor_saved.is_some_and(|saved| now.saturating_sub(saved) < SAVE_CURSOR_MS) {
            return;
        }
        let Some(Projection { state, known, id, said }) = self.book(Book::projection) else { return };
        self.cursor_saved = Some(now);
        let has_journal = match state {
            State::Ready => true,
            State::Fresh => journal::rewrite(&self.host, &self.world, self.workspace).await,
            State::Behind | State::Newer => false,
        };
        // Said before it is done: a file that names another row was written by somebody else.
        if !has_journal || !journal::append(&self.host, &self.world, self.workspace, vec![said]).await {
            return;
        }
        let change = FileChange::Cursor(CursorChange { known, id: id.clone() });
        match self.host.store(self.workspace, change).await {
            Ok(()) => self.book(|book| book.ledger.saved(id)),
            Err(NotStored::Refused(why)) => {
                self.book(|book| book.shared = true);
                self.host.log(Level::Warn, format!("the inbox cursor file is left alone from now on: {why}"));
            }
            Err(NotStored::Failed(why)) => {
                self.host.log(Level::Info, format!("inbox cursor file not written: {why}"));
            }
        }
    }

    /// Decides about files that may be the agent's own.
    pub(super) async fn release_held(&self) {
        let own = self.take_own_files();
        if !own.is_empty() {
            journal::acknowledge(&self.host, &self.world, self.workspace, &own).await;
        }
    }

    fn take_own_files(&self) -> Vec<Rc<Message>> {
        let own = self.and_announce(|inbox| inbox.release(&self.world.own_uploads.borrow()));
        self.book(|book| {
            book.unsaved_pops.extend(own.iter().map(|message| Rc::from(message.activity_id.as_str())));
        });
        own
    }
}

impl Book {
    /// What the cursor file is to name, unless it does, or is not ours alone.
    fn projection(&mut self) -> Option<Projection> {
        let id = self.ledger.unsaved().filter(|_| !self.shared)?;
        let said = self.projected(id.clone());
        Some(Projection { state: self.journal.state, known: self.ledger.on_disk(), id, said })
    }
}
