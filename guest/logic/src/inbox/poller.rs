//! Fetches the messages to one workspace, for ever.
//!
//! ```text
//! catch up ──► ask after the position, or for a window ──► take rows ──► full page: at once again
//!     ▲                          │ failed                      │ caught up, or no room
//!     └────── rest 5 s ◄── rest longer each time               ▼
//!     └───────────────────────── rest 5 s ◄──────────── save the cursor
//! ```

use std::rc::Rc;

use super::{Taken, health::Health, save, window::window_secs};
use crate::{
    dialogue::{Host, NoAnswer},
    platform::{
        PlatformError,
        activity::{self, MOST_ROWS, Page, Reach, Room, Row, Trouble},
    },
    wire::{Effect, Finish, Instant, Level, Workspace},
    world::World,
};

/// One poll costs the platform 12 requests a minute.
const REST_MS: u64 = 5_000;

/// Failed look-ups of the position before it is given up.
const LOOKUPS: u32 = 10;

/// Lost connections before pages are made smaller: a slow line cannot carry a large one in time.
const LOST_CONNECTIONS: u32 = 3;

/// Pages in a row; then even a platform that answers nonsense is left alone for a while.
const MOST_PAGES: usize = 1_000;

pub(super) struct Poller {
    pub(super) host: Host,
    world: Rc<World>,
    workspace: Workspace,
    /// Rows asked for at once.
    pub(super) limit: u32,
    /// A page of twice [`Poller::limit`] rows was larger than accepted.
    crowded: bool,
    pub(super) room: Room,
    /// When nothing was left to fetch the last time; unknown if that was before this process.
    reached: Option<Instant>,
    /// Failed look-ups of the position, one after the other.
    lookups: u32,
    said_without_id: usize,
    health: Health,
}

/// How far a batch has brought the poller.
enum Progress {
    CaughtUp,
    More,
    /// There is no room, or no row that can be asked after.
    Stuck,
}

/// Rows that follow each other without a gap, oldest first.
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    /// There may be others as old as the last one.
    pub(super) unseen: bool,
    /// Newer ones can be fetched at once.
    pub(super) more: bool,
    /// They are the oldest of a window, which took many requests to find.
    pub(super) of_window: bool,
}

impl Poller {
    /// `cursor` is what the cursor file holds, whatever that is.
    pub(super) fn open(host: Host, world: Rc<World>, workspace: Workspace, cursor: Option<String>) -> Self {
        let mut inbox = world.inbox.borrow_mut();
        inbox.ledger(workspace).open(cursor);
        let begins_anew = inbox.ledger(workspace).position().is_none();
        drop(inbox);
        Self {
            reached: begins_anew.then(|| host.now()),
            host,
            world,
            workspace,
            limit: MOST_ROWS,
            crowded: false,
            room: Room::Ordinary,
            lookups: 0,
            said_without_id: 0,
            health: Health::default(),
        }
    }

    pub(super) async fn run(mut self) -> Finish {
        loop {
            let pause = match self.catch_up().await {
                Ok(()) => {
                    self.health.worked(&self.host);
                    save(&self.host, &self.world, self.workspace).await;
                    REST_MS
                }
                Err(trouble) => self.health.failed(&self.host, &self.world, self.workspace, trouble).await,
            };
            self.host.rest_until(self.host.now().saturating_add(pause)).await;
        }
    }

    /// Fetches until there is nothing more, or no room for more.
    async fn catch_up(&mut self) -> Result<(), Trouble> {
        self.release_held();
        for _ in 0..MOST_PAGES {
            if !self.world.inbox.borrow().queue().has_room() {
                break;
            }
            let batch = match self.fetch().await {
                Err(Trouble::CursorGone) => {
                    self.lose_position("the platform no longer knows the inbox cursor");
                    continue;
                }
                Err(Trouble::CursorUnreadable) if self.lookups + 1 >= LOOKUPS => {
                    self.lose_position("the platform cannot look the inbox cursor up");
                    continue;
                }
                Err(trouble) => {
                    self.lookups = if trouble == Trouble::CursorUnreadable { self.lookups + 1 } else { 0 };
                    return Err(trouble);
                }
                Ok(batch) => batch,
            };
            self.lookups = 0;
            match self.take(batch) {
                Progress::More => {}
                Progress::CaughtUp => {
                    self.reached = Some(self.host.now());
                    break;
                }
                Progress::Stuck => break,
            }
        }
        Ok(())
    }

    async fn fetch(&mut self) -> Result<Batch, Trouble> {
        let position = self.world.inbox.borrow_mut().ledger(self.workspace).position().cloned();
        let idle_ms = self.reached.map(|reached| self.host.now().saturating_sub(reached));
        let Some(position) = position else {
            return self.window(window_secs(idle_ms)).await;
        };
        match self.page(&Reach::After(position.id.to_string())).await {
            Ok(Page { rows, full, .. }) => Ok(Batch { rows, unseen: full, more: full, of_window: false }),
            // No limit makes the next row smaller, so it is gone round: from the other side.
            Err(Trouble::Failed(PlatformError::Overflowed)) => self.window(window_secs(idle_ms)).await,
            Err(trouble) => Err(trouble),
        }
    }

    /// One page, with as many rows as fit.
    pub(super) async fn page(&mut self, reach: &Reach) -> Result<Page, Trouble> {
        loop {
            let id = self.world.id(self.workspace);
            let request = activity::request(self.workspace, id, reach, self.limit, self.room);
            let why = match self.host.send(request).await {
                Ok(response) => {
                    let page = activity::page(response, reach, self.limit)?;
                    self.say_without_id(page.without_id);
                    return Ok(page);
                }
                Err(why) => why,
            };
            match why {
                NoAnswer::Overflowed if self.limit > 1 => {
                    self.limit /= 2;
                    self.crowded = true;
                }
                NoAnswer::Unreachable { .. } if self.health.failures() >= LOST_CONNECTIONS => {
                    self.limit = (self.limit / 2).max(1);
                    return Err(PlatformError::from(why).into());
                }
                NoAnswer::Overflowed | NoAnswer::Refused(_) | NoAnswer::Unreachable { .. } => {
                    return Err(PlatformError::from(why).into());
                }
            }
        }
    }

    /// Stages what a batch brings.
    fn take(&mut self, batch: Batch) -> Progress {
        let mut inbox = self.world.inbox.borrow_mut();
        let before = inbox.queue().arrivals();
        let own = (self.workspace, self.world.id(self.workspace));
        let taken = inbox.take(own, batch.rows, batch.unseen, &self.world.own_uploads.borrow());
        let arrivals = inbox.queue().arrivals();
        drop(inbox);
        if arrivals > before {
            self.host.effect(Effect::Arrived(arrivals));
        }
        if taken.stopped {
            return Progress::Stuck;
        }
        if batch.more && !taken.moved {
            return if batch.of_window { self.pass_over(&taken) } else { self.pass_moment(&taken) };
        }
        self.room = Room::Ordinary;
        self.enlarge();
        if batch.more { Progress::More } else { Progress::CaughtUp }
    }

    /// Goes on behind a full page whose rows all share one moment. There may be others of that
    /// moment: a larger page shows them, unless there is none.
    fn pass_moment(&mut self, taken: &Taken) -> Progress {
        let can_have_more_rows = self.limit < MOST_ROWS && !self.crowded;
        if can_have_more_rows || self.room == Room::Ordinary {
            if !can_have_more_rows {
                self.room = Room::Large;
            }
            self.enlarge();
            return Progress::More;
        }
        self.pass_over(taken)
    }

    /// Goes on behind rows that share one moment, although there may be others of it.
    fn pass_over(&mut self, taken: &Taken) -> Progress {
        if taken.rows.len() > 1 {
            self.host.log(
                Level::Error,
                "many messages were stored at the same moment: some of them may be missing from the inbox; they \
                 are on the canvas",
            );
        }
        self.room = Room::Ordinary;
        self.crowded = false;
        let moved = self.world.inbox.borrow_mut().ledger(self.workspace).pass_over(&taken.rows);
        if moved { Progress::More } else { Progress::Stuck }
    }

    /// Asks for more rows the next time.
    pub(super) fn enlarge(&mut self) {
        self.limit = self.limit.saturating_mul(2).min(MOST_ROWS);
        self.crowded = false;
    }

    fn release_held(&self) {
        let mut inbox = self.world.inbox.borrow_mut();
        let before = inbox.queue().arrivals();
        inbox.release(&self.world.own_uploads.borrow());
        if inbox.queue().arrivals() > before {
            self.host.effect(Effect::Arrived(inbox.queue().arrivals()));
        }
    }

    fn lose_position(&mut self, why: &str) {
        self.lookups = 0;
        self.world.inbox.borrow_mut().ledger(self.workspace).lose_position();
        let idle_ms = self.reached.map(|reached| self.host.now().saturating_sub(reached));
        self.host.log(Level::Info, format!("{why}, reading the last {} s", window_secs(idle_ms)));
    }

    fn say_without_id(&mut self, count: usize) {
        if count > 0 && count != self.said_without_id {
            self.host.log(Level::Warn, format!("the platform sent {count} inbox rows that cannot be read"));
        }
        self.said_without_id = count;
    }
}
