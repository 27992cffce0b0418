//! Fetches the messages to one workspace, for ever.
//!
//! ```text
//! catch up ──► ask after a row, or for a window ──► take rows ──► journal ──► full page: at once again
//!     ▲                          │ failed                             │ caught up, or no room
//!     ├───────────── rest longer each time                            ▼
//!     └── listen: 5 s, 15 s while events come in, or a hint ◄── tidy up, save the cursor
//! ```

use std::rc::Rc;

use super::{
    Inbox, Incoming, Taken,
    backfill::window_secs,
    broadcasts::Broadcasts,
    clock::PlatformClock,
    health::{Health, Pause},
    keeping::settle_held,
    mailbox::State,
    pace::Pace,
    page_size::PageSize,
    queue::Load,
    watermarks::Mark,
};
use crate::{
    dialogue::{Host, NoAnswer},
    planted::{Bug, planted},
    platform::{
        PlatformError,
        activity::{self, Page, Reach, Room, Row, Trouble},
        stamp::Stamp,
    },
    text::untrusted,
    uploads::OwnUploads,
    wire::{Arrival, Effect, Finish, Instant, Level, Listen, Saved, Workspace},
    world::World,
};

/// One poll costs the platform 12 requests a minute.
const REST_MS: u64 = 5_000;

/// While the platform's events come in, polls are only for what they miss.
const REST_WITH_EVENTS_MS: u64 = 15_000;

/// How often all workspaces of a process look together in a minute, where nothing tells them to. A platform may take
/// 600 requests a minute from one address.
const LOOKS_A_MINUTE: u64 = 300;

/// Between a failure and the next try, whatever is heard.
const LEAST_PAUSE_MS: u64 = 1_000;

/// Rows that became visible late are looked for so often.
const SWEEP_MS: u64 = 30_000;

/// Failed look-ups of the position before it is given up.
const LOOKUPS: u32 = 10;

/// Lost connections before pages are made smaller: a slow line cannot carry a large one in time.
const LOST_CONNECTIONS: u32 = 3;

/// Rows asked for beyond the room for messages: others are among them.
const MORE_ROWS: usize = 20;

/// Pages in a row; then even a platform that answers nonsense is left alone for a while.
const MOST_PAGES: usize = 1_000;

pub(super) struct Poller {
    pub(super) host: Host,
    pub(super) world: Rc<World>,
    pub(super) workspace: Workspace,
    pub(super) size: PageSize,
    pub(super) room: Room,
    /// When nothing was left to fetch the last time; unknown if that was before this process.
    pub(super) reached: Option<Instant>,
    /// Failed look-ups of the position, one after the other.
    lookups: u32,
    /// The row after which the next page begins; none: the oldest page of a window.
    pub(super) from: Option<Mark>,
    pub(super) swept: Option<Instant>,
    /// The walk is a sweep: when it began, and the platform's clock before that.
    sweep: Option<(Instant, Option<Stamp>)>,
    pub(super) cursor_saved: Option<Instant>,
    /// Hints so far.
    hints: u64,
    pace: Pace,
    /// What was staged when the next message did not fit.
    full_at: Option<Load>,
    /// The page is asked for whole, although there is no room for so many messages.
    in_full: bool,
    /// The platform's clock at the last page.
    pub(super) server: Option<Stamp>,
    pub(super) clock: PlatformClock,
    pub(super) broadcasts: Broadcasts,
    /// A hint has ended the last pause.
    heard: bool,
    said_without_id: usize,
    health: Health,
}

/// How far a batch has brought the poller.
pub(super) enum Progress {
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

/// How long one of so many workspaces rests between two looks.
fn rest_ms(workspaces: usize) -> u64 {
    let workspaces = u64::try_from(workspaces).unwrap_or(u64::MAX);
    REST_MS.max(workspaces.saturating_mul(60_000) / LOOKS_A_MINUTE)
}

impl Poller {
    /// `saved` is what is on disk, whatever that is.
    pub(super) fn open(host: Host, world: Rc<World>, workspace: Workspace, saved: Saved) -> Self {
        let mut inbox = world.inbox.borrow_mut();
        let trouble = inbox.open((workspace, world.id(workspace)), saved, host.now());
        let mailbox = inbox.mailbox(workspace);
        let own = Rc::clone(&mailbox.own);
        let begins_anew = mailbox.watermarks.position().is_none() && !mailbox.resumed;
        let fetched_before = mailbox.watermarks.read_up_to().or(mailbox.resumed.then_some(Stamp::UNKNOWN));
        let news = inbox.news();
        let sent = OwnUploads::of(&own, inbox.mailbox(workspace).files.own());
        world.own_uploads.borrow_mut().note_all(sent);
        drop(inbox);
        if let Some(trouble) = trouble {
            host.log(Level::Warn, trouble);
        }
        host.effect(Effect::Arrived(Arrival { workspace, count: news }));
        Self {
            reached: begins_anew.then(|| host.now()),
            world,
            workspace,
            size: PageSize::default(),
            room: Room::Ordinary,
            lookups: 0,
            from: None,
            // A first look goes back further than any sweep.
            swept: begins_anew.then(|| host.now()),
            sweep: None,
            cursor_saved: None,
            hints: 0,
            pace: Pace::default(),
            full_at: None,
            in_full: false,
            server: None,
            clock: PlatformClock::default(),
            broadcasts: Broadcasts::after(fetched_before),
            heard: false,
            said_without_id: 0,
            health: Health::default(),
            host,
        }
    }

    pub(super) async fn run(mut self) -> Finish {
        self.tidy_up().await;
        if !self.world.inbox.borrow_mut().goes_on(self.workspace) {
            self.look_back_once();
        }
        loop {
            let arrived = self.world.inbox.borrow().queue().arrivals();
            let looked = self.catch_up().await;
            self.note_look(&looked);
            match looked {
                Ok(()) => {
                    self.health.worked(&self.host);
                    let brought = self.world.inbox.borrow().queue().arrivals() > arrived;
                    self.look_for_broadcasts(self.heard && !brought).await;
                    self.tidy_up().await;
                    self.save_cursor().await;
                    self.listen().await;
                }
                Err(trouble) => {
                    self.swept = None;
                    let pause = self.health.failed(&self.host, &self.world, self.workspace, &trouble).await;
                    self.back_off(pause).await;
                }
            }
        }
    }

    /// Those who wait for the first look, or ask what is known, are told.
    fn note_look(&self, looked: &Result<(), Trouble>) {
        let mut inbox = self.world.inbox.borrow_mut();
        if let Err(trouble) = looked {
            inbox.is_told(self.workspace, Err(trouble.as_error()), self.host.now());
        }
        if inbox.has_looked(self.workspace) {
            let news = Arrival { workspace: self.workspace, count: inbox.news() };
            self.host.effect(Effect::Arrived(news));
        }
    }

    /// Waits for the next look at the platform.
    async fn listen(&mut self) {
        let now = self.host.now();
        self.host.rest_until_if_later(self.pace.next(now)).await;
        let is_behind = self.mailbox(|mailbox| mailbox.journal.state == State::Behind);
        let rest = rest_ms(self.world.workspaces().count());
        let with_events = if is_behind { REST_MS } else { REST_WITH_EVENTS_MS.max(rest) };
        self.heard = self.listen_until(now.saturating_add(rest), now.saturating_add(with_events)).await;
    }

    /// Says whether it has heard of something.
    async fn listen_until(&mut self, until: Instant, until_with_events: Instant) -> bool {
        let before = self.hints;
        let listen = Listen { workspace: self.workspace, hints_over: before, until, until_with_events };
        self.hints = self.host.listen(listen).await;
        self.hints > before
    }

    /// Waits for the next try after a failure. A hint ends that early, because events come from a platform
    /// that works, unless the platform has asked for the pause.
    async fn back_off(&mut self, pause: Pause) {
        let failed = self.host.now();
        let until = failed.saturating_add(pause.ms);
        loop {
            self.tidy_up().await;
            self.save_cursor().await;
            let now = self.host.now();
            if now >= until {
                return;
            }
            // A disk may have room again before the platform works.
            let is_behind = self.mailbox(|mailbox| mailbox.journal.state == State::Behind);
            let next = if is_behind { until.min(now.saturating_add(REST_MS)) } else { until };
            if pause.asked_for {
                self.host.rest_until(next).await;
            } else if self.listen_until(next, next).await {
                self.host.rest_until_if_later(failed.saturating_add(LEAST_PAUSE_MS)).await;
                return;
            }
        }
    }

    /// Fetches until there is nothing more, or no room for more.
    async fn catch_up(&mut self) -> Result<(), Trouble> {
        settle_held(&self.host, &self.world, self.workspace).await;
        self.sweep = None;
        self.size.forget_overflow();
        if !self.adopt().await? {
            self.date_position().await?;
            self.begin_walk().await?;
        }
        let mut went_back = false;
        for _ in 0..MOST_PAGES {
            if !self.has_room() {
                self.mailbox(|mailbox| mailbox.starved = true);
                break;
            }
            let batch = match self.fetch().await {
                Err(trouble) if self.gives_up(&trouble) => {
                    self.lose_position();
                    continue;
                }
                batch => batch?,
            };
            self.lookups = 0;
            match self.take(batch).await {
                Progress::More => {}
                Progress::CaughtUp => {
                    self.reached = Some(self.host.now());
                    if let Some((began, server)) = self.sweep {
                        let distrusts = self.distrusts_times();
                        self.mailbox(|mailbox| mailbox.watermarks.settle(began, server, distrusts));
                    }
                    if went_back || !self.has_stepped() {
                        break;
                    }
                    went_back = true;
                    self.begin_walk().await?;
                }
                Progress::Stuck => break,
            }
        }
        Ok(())
    }

    /// Whether it is worth asking for rows: not before something has gone, if the next one did not fit.
    pub(super) fn has_room(&mut self) -> bool {
        let inbox = self.world.inbox.borrow();
        let load = inbox.queue().load(self.workspace);
        self.full_at = self.full_at.filter(|full| load.messages >= full.messages && load.bytes >= full.bytes);
        self.full_at.is_none() && inbox.queue().has_room(self.workspace)
    }

    /// Counts failed look-ups; says whether the platform cannot be asked for what follows a row, now or ever.
    pub(super) fn gives_up(&mut self, trouble: &Trouble) -> bool {
        self.lookups = if *trouble == Trouble::CursorUnreadable { self.lookups + 1 } else { 0 };
        *trouble == Trouble::CursorGone || self.lookups >= LOOKUPS
    }

    /// Decides where the pages begin: shortly before the position, and now and then further back.
    async fn begin_walk(&mut self) -> Result<(), Trouble> {
        self.follow_the_clock().await;
        let now = self.host.now();
        let is_due = self.is_behind() || self.swept.is_none_or(|swept| now.saturating_sub(swept) >= SWEEP_MS);
        let has_room = self.has_room();
        let sweeps = is_due
            && has_room
            && !planted(Bug::NoSweep)
            && self.mailbox(|mailbox| mailbox.watermarks.is_young());
        if sweeps {
            self.swept = Some(now);
            self.sweep = Some((now, self.server));
            if !self.look_behind().await? {
                self.sweep = None;
            }
        }
        self.from = self.mailbox(|mailbox| mailbox.watermarks.start(sweeps, now));
        Ok(())
    }

    /// How far a window reaches back: to when nothing was left, and to the newest row by the platform's clock.
    fn window_secs(&self) -> u64 {
        let idle_ms = self.reached.map(|reached| self.host.now().saturating_sub(reached));
        let fetched =
            self.mailbox(|mailbox| mailbox.watermarks.read_up_to()).and_then(|stamp| self.secs_since(stamp));
        window_secs(idle_ms).max(fetched.unwrap_or(0))
    }

    async fn fetch(&mut self) -> Result<Batch, Trouble> {
        let Some(from) = self.from.clone() else {
            return self.window(self.window_secs()).await;
        };
        match self.page(&Reach::After(from.id.to_string())).await {
            Ok(Page { rows, full, .. }) => Ok(Batch { rows, unseen: full, more: full, of_window: false }),
            // No limit makes the next row smaller, so it is gone round: from the other side.
            Err(Trouble::Failed(PlatformError::Overflowed)) => self.window(self.window_secs()).await,
            Err(trouble) => Err(trouble),
        }
    }

    /// One page, with as many rows as fit.
    pub(super) async fn page(&mut self, reach: &Reach) -> Result<Page, Trouble> {
        loop {
            let id = self.world.id(self.workspace);
            let limit = self.rows_to_ask_for(reach);
            let request = activity::request(self.workspace, id, reach, limit, self.room);
            let asked = self.host.now();
            self.world.inbox.borrow_mut().asks(self.workspace, asked);
            let why = match self.host.send(request).await {
                Ok(response) => {
                    let told = response.server_time_ms.and_then(Stamp::at_ms).filter(|_| response.json);
                    if let Some(told) = told {
                        self.note_time(asked, told);
                    }
                    let page = activity::page(&response, reach, limit)?;
                    self.size.accepted(limit, response.body.len());
                    self.world.inbox.borrow_mut().is_told(self.workspace, Ok(told), self.host.now());
                    self.learn_names(&page.rows);
                    self.say_without_id(page.without_id);
                    return Ok(page);
                }
                Err(why) => why,
            };
            match why {
                NoAnswer::Overflowed if limit > 1 => match reach {
                    Reach::After(_) => self.size.overflowed(limit),
                    Reach::Window { .. } => self.size.overflowed_in_window(limit),
                },
                NoAnswer::Unreachable { .. } if self.health.failures() >= LOST_CONNECTIONS => {
                    self.size.halve();
                    return Err(PlatformError::from(why).into());
                }
                NoAnswer::Overflowed | NoAnswer::Refused(_) | NoAnswer::Unreachable { .. } => {
                    return Err(PlatformError::from(why).into());
                }
            }
        }
    }

    /// Remembers how peers are called, where the platform tells it with their messages.
    fn learn_names(&self, rows: &[Row]) {
        let now = self.host.now();
        let mut peers = self.world.peers.borrow_mut();
        for row in rows.iter().filter(|row| !row.source_id.is_empty() && !row.peer_name.is_empty()) {
            peers.saw(&row.source_id, &untrusted::name(&row.peer_name), "", now);
            if !row.peer_role.is_empty() {
                peers.plays(&row.source_id, &untrusted::name(&row.peer_role));
            }
        }
    }

    /// As many as there is room for, beside those that are known already.
    fn rows_to_ask_for(&self, reach: &Reach) -> u32 {
        let (Reach::After(_), Some(from), false) = (reach, &self.from, self.in_full) else {
            return self.size.rows();
        };
        let mut inbox = self.world.inbox.borrow_mut();
        let known = inbox.watermarks(self.workspace).known_after(from);
        let room = inbox.queue().room(self.workspace).saturating_add(known).saturating_add(MORE_ROWS);
        self.size.rows().min(u32::try_from(room).unwrap_or(u32::MAX))
    }

    /// Stages what a batch brings, on disk first.
    pub(super) async fn take(&mut self, batch: Batch) -> Progress {
        let (more, of_window) = (batch.more, batch.of_window);
        let mut taken = self.bring_in(batch);
        self.write(std::mem::take(&mut taken.records)).await;
        self.publish();
        if taken.stirs {
            self.stir();
        }
        if taken.stopped {
            self.full_at = Some(self.world.inbox.borrow().queue().load(self.workspace));
            self.mailbox(|mailbox| mailbox.starved = true);
            return Progress::Stuck;
        }
        if more && taken.moved.is_none() {
            return if of_window { self.pass_over(&taken) } else { self.pass_moment(&taken) };
        }
        if taken.moved.is_some() {
            self.from = taken.moved;
            self.size.passed();
        }
        (self.room, self.in_full) = (Room::Ordinary, false);
        self.size.grow();
        if more { Progress::More } else { Progress::CaughtUp }
    }

    /// Brings rows into the inbox, where they are not published yet.
    fn bring_in(&self, batch: Batch) -> Taken {
        let mut inbox = self.world.inbox.borrow_mut();
        let own = (self.workspace, self.world.id(self.workspace));
        let first = batch.rows.first().map(|row| row.stamp);
        if batch.of_window {
            self.note_origin(&mut inbox, first);
        }
        let incoming = Incoming { rows: batch.rows, more: batch.unseen, now: self.host.now() };
        let mut taken = inbox.take(own, incoming, &mut self.world.own_uploads.borrow_mut());
        if batch.of_window && taken.moved.is_none() {
            self.note_beginning(&mut inbox, &mut taken, first);
        }
        taken
    }

    /// A first start looks back so far and no further.
    fn note_origin(&self, inbox: &mut Inbox, first: Option<Stamp>) {
        let mailbox = inbox.mailbox(self.workspace);
        if mailbox.watermarks.read_up_to().is_none() && !mailbox.resumed {
            let looked = self.server.map(|server| server.less_secs(window_secs(Some(0))));
            mailbox.origin = looked.into_iter().chain(first.filter(|first| *first > Stamp::UNKNOWN)).min();
        }
    }

    /// A first start that finds nothing, or nothing to ask after, is remembered: what is there, or comes
    /// later, is not to be missed by the next.
    fn note_beginning(&self, inbox: &mut Inbox, taken: &mut Taken, first: Option<Stamp>) {
        let first = first.map(|first| Stamp::at(first.microseconds().saturating_sub(1)));
        let Some(beginning) = first.or(self.server).filter(|stamp| *stamp > Stamp::UNKNOWN) else {
            return;
        };
        let mailbox = inbox.mailbox(self.workspace);
        if mailbox.watermarks.nothing_before(beginning) {
            taken.records.extend(mailbox.new_floor());
        }
    }

    /// Goes on behind a full page whose rows all share one moment. There may be others of that
    /// moment: a larger page shows them, unless there is none.
    fn pass_moment(&mut self, taken: &Taken) -> Progress {
        let can_have_more_rows = self.size.can_grow() || !self.in_full;
        if can_have_more_rows || self.room == Room::Ordinary {
            if !can_have_more_rows {
                self.room = Room::Large;
                self.size.forget_overflow();
            }
            self.in_full = true;
            self.size.grow();
            return Progress::More;
        }
        self.pass_over(taken)
    }

    /// Goes on behind rows that share one moment, although there may be others of it.
    fn pass_over(&mut self, taken: &Taken) -> Progress {
        let now = self.host.now();
        let mut inbox = self.world.inbox.borrow_mut();
        if taken.rows.len() > 1
            && let Some(moment) = taken.rows.last().map(|row| row.stamp)
            && inbox.note_gap(self.workspace, moment, moment)
        {
            self.host.log(
                Level::Error,
                "many messages were stored at the same moment: some of them may be missing from the inbox; they \
                 are on the canvas",
            );
        }
        (self.room, self.in_full) = (Room::Ordinary, false);
        self.size.forget_overflow();
        let moved = inbox.watermarks(self.workspace).pass_over(&taken.rows, now);
        let has_moved = moved.is_some();
        self.from = moved.or_else(|| self.from.take());
        if has_moved { Progress::More } else { Progress::Stuck }
    }

    fn lose_position(&mut self) {
        self.lookups = 0;
        let mut inbox = self.world.inbox.borrow_mut();
        let watermarks = inbox.watermarks(self.workspace);
        let is_position =
            watermarks.position().map(|position| &position.id) == self.from.as_ref().map(|from| &from.id);
        if !is_position {
            // Only a row further back is gone: the next sweep looks for what appears after it.
            watermarks.lose_base(self.host.now());
            (self.sweep, self.swept) = (None, None);
            self.from = watermarks.position().cloned();
            return;
        }
        watermarks.lose_position();
        (self.from, self.sweep) = (None, None);
        drop(inbox);
        let secs = self.window_secs();
        self.host.log(
            Level::Info,
            format!("the platform no longer knows the inbox cursor, reading the last {secs} s"),
        );
    }

    fn say_without_id(&mut self, count: usize) {
        if count > 0 && count != self.said_without_id {
            self.host.log(Level::Warn, format!("the platform sent {count} inbox rows that cannot be read"));
        }
        self.said_without_id = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_workspaces_look_less_often_each_so_that_together_they_ask_for_no_more() {
        assert_eq!([1, 25, 26, 100, 1_000].map(rest_ms), [5_000, 5_000, 5_200, 20_000, 200_000]);
    }
}
