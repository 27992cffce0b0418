//! Broadcasts: messages from one workspace to all of its organisation.
//!
//! They are rows of another type, which the poll for messages does not see, so they are asked for by a query of their
//! own, with an anchor of their own. The platform stores the first 120 characters; the rest is in its event alone, and
//! events are never read. Platforms that have no broadcasts are not asked for any.

use std::rc::Rc;

use super::{
    backfill::window_secs,
    classify::Source,
    event::Event,
    mailbox,
    message::Message,
    poller::Poller,
    watermarks::{Mark, OVERLAP_SECS},
};
use crate::{
    platform::{
        PlatformError,
        activity::{self, BROADCAST, LONGEST_WINDOW_SECS, MOST_ROWS, Page, Part, Reach, Row, Trouble},
        stamp::Stamp,
        workspace::{self, Record as Workspace},
    },
    wire::{Instant, Level},
};

/// Broadcasts are rare, and one more request twice a minute is cheap.
const EVERY_MS: u64 = 30_000;

/// A hint that has brought no message may mean a broadcast.
const AFTER_HINT_MS: u64 = 5_000;

/// A platform without broadcasts may be replaced by one that has them.
const ASK_AGAIN_MS: u64 = 600_000;

/// Pages at once; the next look goes on.
const MOST_PAGES: usize = 20;

/// Between the looks at broadcasts.
#[derive(Default)]
pub(super) struct Broadcasts {
    looked: Option<Instant>,
    /// Whether the platform has them, and since when that is known.
    exist: Option<(bool, Instant)>,
    /// Up to where messages were fetched before this process.
    fetched_before: Option<Stamp>,
    said: bool,
}

impl Broadcasts {
    /// In a process before this one, messages were fetched up to then.
    pub(super) fn after(fetched_before: Option<Stamp>) -> Self {
        Self { fetched_before, ..Self::default() }
    }
}

impl Poller {
    /// Looks for broadcasts, if it is time; `hinted` if something has happened that was no message.
    pub(super) async fn look_for_broadcasts(&mut self, hinted: bool) {
        let now = self.host.now();
        let pause = if hinted { AFTER_HINT_MS } else { EVERY_MS };
        let is_due = self.broadcasts.looked.is_none_or(|looked| now.saturating_sub(looked) >= pause);
        if !is_due || !self.has_room() || !self.has_broadcasts().await {
            return;
        }
        match self.fetch_broadcasts().await {
            Ok(()) => self.broadcasts.said = false,
            Err(trouble) if !self.broadcasts.said => {
                self.broadcasts.said = true;
                self.host.log(Level::Info, format!("broadcasts were not fetched: {trouble:?}"));
            }
            Err(_) => {}
        }
        self.broadcasts.looked = Some(now);
    }

    /// Whether this platform has broadcasts: then it says of each workspace whether it may send some.
    async fn has_broadcasts(&mut self) -> bool {
        let now = self.host.now();
        match self.broadcasts.exist {
            Some((true, _)) => return true,
            Some((false, asked)) if now.saturating_sub(asked) < ASK_AGAIN_MS => return false,
            Some((false, _)) | None => {}
        }
        let told = workspace::record(&self.host, self.workspace, self.world.id(self.workspace)).await;
        let exist = match told {
            Ok(Workspace::Kept(fields)) => fields.contains_key("broadcast_enabled"),
            Ok(Workspace::Removed(_)) | Err(_) => false,
        };
        self.broadcasts.exist = Some((exist, now));
        exist
    }

    async fn fetch_broadcasts(&mut self) -> Result<(), Trouble> {
        let anchor = self.mailbox(|mailbox| mailbox.broadcast.clone());
        let mut reach = match &anchor {
            Some(anchor) => Reach::After(anchor.id.to_string()),
            None => self.window_of_broadcasts(None),
        };
        for _ in 0..MOST_PAGES {
            let old = self.server.map(|server| server.less_secs(OVERLAP_SECS));
            let Page { rows, full, .. } = match self.page_of_broadcasts(&reach).await {
                Err(Trouble::CursorGone | Trouble::CursorUnreadable) if matches!(reach, Reach::After(_)) => {
                    self.mailbox(|mailbox| mailbox.broadcast = None);
                    reach = self.window_of_broadcasts(anchor.as_ref().map(|anchor| anchor.stamp));
                    continue;
                }
                page => page?,
            };
            let in_window = matches!(reach, Reach::Window { .. });
            if in_window && full {
                self.host.log(Level::Warn, "there are more broadcasts than the platform gives at once");
            }
            let last = rows.last().map(|row| row.stamp);
            let next = rows
                .iter()
                .rev()
                .map(Mark::new)
                .find(|mark| mark.can_be_asked_after && Some(mark.stamp) < last);
            if !self.take_broadcasts(rows, old).await {
                return Ok(());
            }
            let Some(next) = next.filter(|_| full && !in_window) else { return Ok(()) };
            reach = Reach::After(next.id.to_string());
        }
        Ok(())
    }

    /// Where there is no row to ask after: back to the last look, or to where the last process has come.
    fn window_of_broadcasts(&self, anchor: Option<Stamp>) -> Reach {
        let idle_ms = self.broadcasts.looked.map(|looked| self.host.now().saturating_sub(looked));
        let before = anchor.or(self.broadcasts.fetched_before.filter(|_| idle_ms.is_none()));
        let secs = before.map(|stamp| self.secs_since(stamp).unwrap_or(LONGEST_WINDOW_SECS));
        let secs = secs.unwrap_or(0).max(window_secs(Some(idle_ms.unwrap_or(0))));
        Reach::Window { secs, part: Part::Whole }
    }

    async fn page_of_broadcasts(&mut self, reach: &Reach) -> Result<Page, Trouble> {
        let request = activity::broadcasts(self.workspace, self.world.id(self.workspace), reach, MOST_ROWS);
        let response = self.host.send(request).await.map_err(PlatformError::from)?;
        activity::page(&response, reach, MOST_ROWS)
    }

    /// Stages what is new, on disk first; false if there was no room for all. Before `old` nothing becomes visible
    /// any more.
    async fn take_broadcasts(&mut self, rows: Vec<Row>, old: Option<Stamp>) -> bool {
        let (records, stopped) = self.stage_broadcasts(rows, old);
        self.write(records).await;
        self.publish();
        !stopped
    }

    fn stage_broadcasts(&self, rows: Vec<Row>, old: Option<Stamp>) -> (Vec<Event>, bool) {
        let own = self.world.id(self.workspace);
        let mut inbox = self.world.inbox.borrow_mut();
        let mut applier = inbox.applier(self.workspace, self.host.now());
        let (mut records, mut anchor) = (Vec::new(), None);
        for row in rows {
            let mark = Mark::new(&row);
            let is_known = applier.mailbox.watermarks.knows(&row.id)
                || applier.mailbox.unsaved_pops.contains(&*row.id)
                || applier.queue.of(self.workspace).any(|staged| staged.message.activity_id == row.id);
            let is_broadcast = row.activity_type == BROADCAST && !row.source_id.eq_ignore_ascii_case(own);
            if !is_known && is_broadcast {
                let late = row.timed
                    && applier.mailbox.watermarks.seen_up_to().is_some_and(|newest| row.stamp < newest);
                let message = Message { late, ..Message::new(self.workspace, row, Source::Broadcast) };
                if !applier.queue.fits(&message) {
                    return (records, true);
                }
                let message = Rc::new(message);
                let staging = mailbox::staging(&message, false);
                applier.apply(&staging);
                records.push(staging);
            }
            if mark.can_be_asked_after && old.is_some_and(|old| mark.stamp < old) {
                anchor = Some(mark);
            }
        }
        if anchor.is_some() && applier.mailbox.broadcast != anchor {
            applier.mailbox.broadcast = anchor;
            records.extend(applier.mailbox.lowered_floor());
        }
        (records, false)
    }
}

#[cfg(test)]
#[path = "broadcast_tests.rs"]
mod tests;
