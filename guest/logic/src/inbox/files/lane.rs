//! The dialogues that take care of files: one keeps, the others fetch.
//!
//! ```text
//! keeper:  show what was held ──► acknowledge what is handled ──► sweep ──┐
//! fetcher: claim a file ──► fetch ──► note where it is ───────────────────┤
//!             ▲                                                           ▼
//!             └──────────── rest until something is due or arrives ◄──────┘
//! ```

use std::rc::Rc;

use super::{Entry, Failed, File, LOOK_AGAIN_MS, State};
use crate::{
    dialogue::{Host, NotFetched},
    inbox::{Inbox, event::Event, journal, keeping},
    planted::{Bug, planted},
    platform::{PlatformError, uploads},
    wire::{Finish, Instant, Level, SweepRequest, Workspace},
    world::World,
};

/// The lane that fetches nothing.
const KEEPER: u32 = 0;

/// After the start there is more important work than old files.
const FIRST_SWEEP_MS: u64 = 60_000;

/// Files are kept for days.
const SWEEP_MS: u64 = 6 * 3_600_000;

/// Where nothing is due.
const LONG_MS: u64 = 3_600_000;

struct Lane {
    host: Host,
    world: Rc<World>,
    workspace: Workspace,
    opened: Instant,
}

/// Takes care of the files of a workspace, for ever, in one of several lanes.
pub(crate) async fn keep(host: Host, world: Rc<World>, workspace: Workspace, lane: u32) -> Finish {
    let lane_of = Lane { opened: host.now(), host, world, workspace };
    loop {
        let seen = lane_of.world.inbox.borrow().news();
        let (worked, due) = if lane == KEEPER {
            (lane_of.keep_one().await, lane_of.kept_at())
        } else {
            (lane_of.fetch_one().await, lane_of.fetched_at())
        };
        if !worked {
            lane_of.host.rest_until_news_of(workspace, due, seen).await;
        }
    }
}

/// Notes files that the agent has sent, before the user can see them. They are never asked for, nor acknowledged.
pub(crate) async fn sent(host: &Host, world: &World, workspace: Workspace, addresses: &[&str]) {
    let own = world.id(workspace);
    let files: Vec<Rc<str>> =
        addresses.iter().filter_map(|address| uploads::file_id(address, own)).map(Rc::from).collect();
    let has_journal = world.inbox.borrow().mailboxes.contains_key(&workspace);
    if has_journal && !files.is_empty() {
        let sent = Event::Sent { files };
        world.inbox.borrow_mut().applier(workspace, host.now()).apply(&sent);
        journal::append(host, world, workspace, vec![sent]).await;
    }
}

impl Lane {
    fn inbox<T>(&self, with: impl FnOnce(&mut Inbox) -> T) -> T {
        with(&mut self.world.inbox.borrow_mut())
    }

    /// Does one thing, if one is due; says whether it did.
    async fn keep_one(&self) -> bool {
        if let Some(saved) = self.settle_held().await {
            return saved;
        }
        let now = self.host.now();
        if let Some(file) = self.inbox(|inbox| inbox.mailbox(self.workspace).files.claim_handled(now)) {
            self.acknowledge(file).await;
            return true;
        }
        if self.sweeps_at() <= now {
            self.sweep().await;
            return true;
        }
        false
    }

    /// When the keeper has something to do.
    fn kept_at(&self) -> Instant {
        let (now, swept) = (self.host.now(), self.sweeps_at());
        let inbox = self.world.inbox.borrow();
        let Some(mailbox) = inbox.mailboxes.get(&self.workspace) else { return now.saturating_add(LONG_MS) };
        let held =
            inbox.queue().held(self.workspace).map(|staged| mailbox.files.decides_at(staged, now)).min();
        let handled = mailbox.files.next(Entry::is_handled).map(|at| at.max(now.saturating_add(1)));
        [held, handled].into_iter().flatten().chain([swept.max(now.saturating_add(1))]).min().unwrap_or(now)
    }

    async fn settle_held(&self) -> Option<bool> {
        keeping::settle_held(&self.host, &self.world, self.workspace).await
    }

    fn sweeps_at(&self) -> Instant {
        let swept = self.inbox(|inbox| inbox.mailbox(self.workspace).files.swept);
        swept.map_or(self.opened.saturating_add(FIRST_SWEEP_MS), |swept| swept.saturating_add(SWEEP_MS))
    }

    async fn acknowledge(&self, file: File) {
        let claim = Claim { lane: self, file };
        let (id, own) = (&claim.file.id, self.world.id(self.workspace));
        let answer = self.host.send(uploads::acknowledge(self.workspace, own, id)).await;
        let why = match answer {
            Ok(answer) if (200..300).contains(&answer.status) || uploads::is_gone(&answer) => {
                let mut over = claim.file.clone();
                over.give_up_acknowledging();
                self.moves(id, over.state, String::new()).await;
                return;
            }
            Ok(answer) => (format!("HTTP {}", answer.status), answer.retry_after_ms),
            Err(why) => (PlatformError::from(why).to_string(), None),
        };
        let failed = self.failed(id, &why.0, why.1);
        if failed.is_some_and(|failed| failed.is_news) {
            self.host.log(Level::Warn, format!("file {id} is here and not acknowledged yet: {}", why.0));
        }
    }

    async fn sweep(&self) {
        let keep = self.inbox(|inbox| {
            let files = &mut inbox.mailbox(self.workspace).files;
            files.swept = Some(self.host.now());
            files.needed()
        });
        match self.host.sweep(SweepRequest { workspace: self.workspace, keep }).await {
            Ok(removed) => self.inbox(|inbox| inbox.mailbox(self.workspace).files.removed(&removed)),
            Err(why) => self.host.log(Level::Warn, format!("old files of the user are not removed: {why}")),
        }
    }

    /// Fetches one file, if one is due; says whether it did.
    async fn fetch_one(&self) -> bool {
        if self.world.own_uploads.borrow().in_flight() {
            return false;
        }
        let now = self.host.now();
        let Some(file) = self.inbox(|inbox| inbox.mailbox(self.workspace).files.claim_wanted(now)) else {
            return false;
        };
        let claim = Claim { lane: self, file };
        self.fetch(&claim.file).await;
        drop(claim);
        self.settle_held().await;
        true
    }

    fn fetched_at(&self) -> Instant {
        let now = self.host.now();
        let inbox = self.world.inbox.borrow();
        let wanted = |entry: &Entry| entry.file.state == State::Wanted;
        let next = inbox.mailboxes.get(&self.workspace).and_then(|mailbox| mailbox.files.next(wanted));
        match next {
            Some(_) if self.world.own_uploads.borrow().in_flight() => now.saturating_add(LOOK_AGAIN_MS),
            Some(next) => next.max(now.saturating_add(1)),
            None => now.saturating_add(LONG_MS),
        }
    }

    async fn fetch(&self, file: &File) {
        let (id, own) = (&file.id, self.world.id(self.workspace));
        let name = if planted(Bug::FileNameChanges) {
            format!("{}{}", self.host.now(), file.name)
        } else {
            file.name.clone()
        };
        let request = uploads::content(self.workspace, own, id, name, file.size);
        let (why, asked_for) = match self.host.fetch(request).await {
            Ok(fetched) => {
                self.host.log(Level::Info, format!("file {id} is here, {} bytes", fetched.bytes));
                let state = State::Here { path: fetched.path, bytes: fetched.bytes };
                return self.moves(id, state, fetched.mime_type).await;
            }
            Err(NotFetched::Answered(answer)) if uploads::is_gone(&answer) => {
                self.host.log(Level::Info, format!("file {id} is no longer on the platform"));
                return self.lose(id, "it is no longer on the platform".to_owned()).await;
            }
            Err(NotFetched::Refused(why)) => {
                self.host.log(Level::Warn, format!("file {id} is not fetched: {why}"));
                return self.lose(id, why).await;
            }
            Err(NotFetched::Answered(answer)) => (format!("HTTP {}", answer.status), answer.retry_after_ms),
            Err(NotFetched::Disk(why) | NotFetched::Unreachable(why)) => (why, None),
        };
        match self.failed(id, &why, asked_for) {
            Some(Failed { is_last: true, .. }) => {
                self.host.log(Level::Warn, format!("file {id} could not be fetched for a day: {why}"));
                self.lose(id, format!("it could not be fetched for a day: {why}")).await;
            }
            Some(Failed { is_news: true, .. }) => {
                self.host.log(Level::Warn, format!("file {id} is not here yet and is tried again: {why}"));
            }
            Some(Failed { .. }) | None => {}
        }
    }

    async fn lose(&self, id: &str, why: String) {
        self.moves(id, State::Lost { why }, String::new()).await;
    }

    async fn moves(&self, id: &str, state: State, mime: String) {
        let record = self.inbox(|inbox| inbox.mailbox(self.workspace).files.moves(id, state, mime));
        if let Some(record) = record {
            journal::append(&self.host, &self.world, self.workspace, vec![record]).await;
        }
        self.inbox(|inbox| inbox.announce(&self.host, self.workspace, Inbox::stir));
    }

    fn failed(&self, id: &str, why: &str, asked_for: Option<u64>) -> Option<Failed> {
        let now = self.host.now();
        self.inbox(|inbox| inbox.mailbox(self.workspace).files.failed(id, why, asked_for, now))
    }
}

/// A file that this lane is at, for as long as this value lives.
struct Claim<'a> {
    lane: &'a Lane,
    file: File,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.lane.inbox(|inbox| inbox.mailbox(self.lane.workspace).files.let_go(&self.file.id));
    }
}
