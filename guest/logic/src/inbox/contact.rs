//! What is known of the way to the messages: whether the journal is read, and whether the platform answers.
//!
//! ```text
//! unread ── journal read ──► read ── first look ended ──► looked at, again and again
//!    ▲ │                       │                              │
//!    │ └── another leads ──► followed ◄───────────────────────┘
//!    └── the component starts anew
//! ```
//!
//! An inbox tool says nothing about messages before it knows of them, or says why it does not.

use super::{Inbox, notices};
use crate::{
    dialogue::Host,
    platform::{PlatformError, stamp::Stamp},
    wire::{Arrival, Effect, Instant, Workspace},
    world::World,
};

/// How long a call waits for the journal to be read. Reading one of 40 MiB takes less than a second.
const JOURNAL_MS: u64 = 20_000;

/// How long after the journal was read the first look at the platform is waited for.
const FIRST_LOOK_MS: u64 = 2_000;

/// How often it is looked whether another process leads, of which nothing wakes those who rest.
const LEADER_MS: u64 = 200;

/// How many workspaces are named whose messages do not come.
const TROUBLES_SHOWN: usize = 10;

/// An answer that takes longer than this is missed aloud.
const SLOW_MS: u64 = 5_000;

/// The way to the messages of a workspace whose journal is read.
pub(super) struct Contact {
    /// When the journal was read.
    opened: Instant,
    /// When the platform gave rows the last time, and what time it was there.
    good: Option<(Instant, Option<Stamp>)>,
    /// When the request was sent that is not answered yet.
    asked: Option<Instant>,
    /// Why the last look failed.
    failure: Option<PlatformError>,
    /// A look has ended.
    looked: bool,
}

/// Whether the messages of a workspace are known here, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    /// What is on disk is not read yet.
    Unread,
    /// Another process has them.
    Followed,
    /// They are here, as far as the platform has given them.
    Open,
}

/// Waits until the journals of all workspaces are read and, for a moment, for the first looks at the platform. Of a
/// workspace whose token the platform refuses, nothing is waited for.
///
/// [`Access::Open`] if the messages of any workspace are known.
pub(crate) async fn access(host: &Host, world: &World) -> Access {
    let give_up = host.now().saturating_add(JOURNAL_MS);
    loop {
        let now = host.now();
        let (until, seen) = {
            let inbox = world.inbox.borrow();
            let asked = || world.workspaces().filter(|workspace| !world.is_refused(*workspace));
            let pauses = asked().filter_map(|workspace| inbox.pause(workspace, now, give_up));
            match pauses.min() {
                Some(until) => (until, inbox.news()),
                // Without any workspace nothing is unread.
                None => return asked().map(|one| inbox.access(one)).max().unwrap_or(Access::Open),
            }
        };
        host.rest_until_news(until, seen).await;
    }
}

/// What keeps the newest messages away, as sentences; nothing if the platform answers. With several workspaces each
/// sentence says of which one it speaks.
pub(crate) fn platform_trouble(host: &Host, world: &World) -> Option<String> {
    let inbox = world.inbox.borrow();
    let of_one = |workspace| {
        let contact = || inbox.contacts.get(&workspace)?.trouble(host.now());
        world.refusal(workspace).or_else(contact)
    };
    if !world.acts_for_several() {
        return of_one(world.primary());
    }
    let each = world.workspaces().filter_map(|workspace| Some((workspace, of_one(workspace)?)));
    let mut lines: Vec<String> =
        each.map(|(workspace, why)| format!("[{}] {why}", world.tag(workspace))).collect();
    let more = lines.len().saturating_sub(TROUBLES_SHOWN);
    lines.truncate(TROUBLES_SHOWN);
    if more > 0 {
        lines.push(format!("The same or the like holds for {more} more workspaces."));
    }
    (!lines.is_empty()).then(|| lines.join(" "))
}

impl Inbox {
    /// Until when a call waits for the messages of a workspace to be known; nothing if it does not wait any more.
    fn pause(&self, workspace: Workspace, now: Instant, give_up: Instant) -> Option<Instant> {
        match self.access(workspace) {
            Access::Unread => (now < give_up).then(|| give_up.min(now.saturating_add(LEADER_MS))),
            Access::Followed => None,
            Access::Open => {
                let contact = self.contacts.get(&workspace).filter(|contact| contact.is_first_look(now))?;
                Some(contact.opened.saturating_add(FIRST_LOOK_MS))
            }
        }
    }

    fn access(&self, workspace: Workspace) -> Access {
        if self.leaders.contains_key(&workspace) {
            Access::Followed
        } else if self.contacts.contains_key(&workspace) {
            Access::Open
        } else {
            Access::Unread
        }
    }

    /// Counts what ends a pause: messages that the agent can see for the first time, and the steps of everything
    /// else that somebody may wait for.
    pub(crate) const fn news(&self) -> u64 {
        self.queue.arrivals().saturating_add(self.steps)
    }

    /// Makes a change of what is known of `workspace`, and wakes those who rest if there is something new.
    pub(super) fn announce<T>(
        &mut self,
        host: &Host,
        workspace: Workspace,
        change: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.news();
        let changed = change(self);
        let news = self.news();
        if news > before {
            host.effect(Effect::Arrived(Arrival { workspace, count: news }));
        }
        changed
    }

    /// The journal is read.
    pub(crate) fn is_read(&mut self, workspace: Workspace, now: Instant) {
        let contact = Contact { opened: now, good: None, asked: None, failure: None, looked: false };
        self.contacts.insert(workspace, contact);
        self.steps += 1;
    }

    /// The platform is asked for rows.
    pub(super) fn asks(&mut self, workspace: Workspace, now: Instant) {
        if let Some(contact) = self.contacts.get_mut(&workspace) {
            contact.asked = Some(now);
        }
    }

    /// It has given rows, or why it has not.
    pub(super) fn is_told(
        &mut self,
        workspace: Workspace,
        told: Result<Option<Stamp>, PlatformError>,
        now: Instant,
    ) {
        let Some(contact) = self.contacts.get_mut(&workspace) else { return };
        contact.asked = None;
        match told {
            Ok(server) => (contact.good, contact.failure) = (Some((now, server)), None),
            Err(why) => contact.failure = Some(why),
        }
    }

    /// What time it was on the platform when it gave rows the last time, and when that was here.
    pub(super) fn platform_time(&self) -> Option<(Instant, Stamp)> {
        self.contacts.values().find_map(|contact| contact.good.and_then(|(at, stamp)| Some((at, stamp?))))
    }

    /// A look has ended; says whether it was the first.
    pub(super) fn has_looked(&mut self, workspace: Workspace) -> bool {
        let Some(contact) = self.contacts.get_mut(&workspace).filter(|contact| !contact.looked) else {
            return false;
        };
        contact.looked = true;
        self.steps += 1;
        true
    }
}

impl Contact {
    /// Whether the platform has answered the last request with rows.
    pub(super) const fn is_at_rest(&self) -> bool {
        self.looked && self.asked.is_none() && self.failure.is_none()
    }

    /// When the platform gave rows the last time.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.good.map(|(at, _)| at)
    }

    fn is_first_look(&self, now: Instant) -> bool {
        !self.looked && now < self.opened.saturating_add(FIRST_LOOK_MS)
    }

    /// What keeps the newest messages away.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        let since = notices::since(self.good, self.opened, now);
        let slow = self.asked.filter(|asked| now.saturating_sub(*asked) >= SLOW_MS);
        match (&self.failure, slow) {
            (Some(why), _) => Some(notices::outage(why, &since)),
            (None, Some(_)) => Some(notices::silence(&since)),
            (None, None) => (!self.looked).then(|| notices::FIRST_LOOK.to_owned()),
        }
    }
}
