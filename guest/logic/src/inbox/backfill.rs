//! Finds where to begin when there is no row to ask after: the oldest row of a window of time.
//!
//! ```text
//!          window begins                                  now
//!  ───────────┼──────────────────────────────────────────►│
//!             │ 3rd page │    2nd page    │    1st page    │   newest first, page by page back
//!             └─ begin here, and go on by asking after rows
//! ```
//!
//! Only the oldest page is kept: everything newer is fetched again by asking after its rows.

use std::collections::BTreeSet;

use super::{
    mailbox::Mailbox,
    page_size::PageSize,
    poller::{Batch, Poller, Progress},
    watermarks::OVERLAP_SECS,
};
use crate::{
    planted::{Bug, planted},
    platform::{
        PlatformError,
        activity::{LONGEST_WINDOW_SECS, Page, Part, Reach, Room, Row, Trouble},
        stamp::Stamp,
    },
    wire::Level,
};

/// The platform's own window for a first poll.
const SHORTEST_WINDOW_SECS: u64 = 600;

/// Platforms keep rows for seven days; a day less is on the safe side.
const SHORTEST_RETENTION_SECS: u64 = 6 * 86_400;

/// Rows looked at behind the base, of which what was handled is still known.
const MOST_LOOKED_AT: usize = 1_500;

/// Pages gone back at most: half a million rows.
const MOST_PAGES: usize = 1_000;

/// How far to look back, `idle_ms` after nothing was left to fetch; unknown: as far as possible.
pub(super) fn window_secs(idle_ms: Option<u64>) -> u64 {
    idle_ms.map_or(LONGEST_WINDOW_SECS, |idle_ms| {
        (idle_ms / 1_000).saturating_add(OVERLAP_SECS).clamp(SHORTEST_WINDOW_SECS, LONGEST_WINDOW_SECS)
    })
}

impl Poller {
    /// The oldest rows of the last `secs` seconds.
    pub(super) async fn window(&mut self, secs: u64) -> Result<Batch, Trouble> {
        let stop = self
            .mailbox(|mailbox| mailbox.watermarks.read_up_to())
            .map(|stamp| stamp.less_secs(OVERLAP_SECS));
        let reaches =
            |page: &Page| stop.is_some_and(|stop| page.rows.iter().any(|row| row.timed && row.stamp <= stop));
        let mut reach = Reach::Window { secs, part: Part::Whole };
        let mut page = self.page(&reach).await?;
        let mut gone_back = false;
        for _ in 0..MOST_PAGES {
            if reaches(&page) {
                page.rows.retain(|row| !row.timed || stop.is_some_and(|stop| row.stamp > stop));
                return Ok(Batch { rows: page.rows, unseen: false, more: gone_back, of_window: true });
            }
            if !page.full || planted(Bug::WindowNotPagedBack) {
                self.judge_the_end(page.rows.first());
                return Ok(Batch { rows: page.rows, unseen: false, more: gone_back, of_window: true });
            }
            let Some(moments) = Moments::of(&page.rows) else { break };
            if moments.is_one() && self.room == Room::Ordinary {
                // The moment may have more rows: the largest page shows as many as can be shown.
                (self.room, self.size) = (Room::Large, PageSize::default());
                page = self.page(&reach).await?;
                continue;
            }
            reach = Reach::Window { secs, part: Part::Before(moments.bound()) };
            self.size.grow();
            let older = match self.page(&reach).await {
                Ok(older) => older,
                Err(Trouble::Failed(PlatformError::Overflowed)) => {
                    self.say_left_out(moments.bound());
                    return Ok(Batch { rows: page.rows, unseen: true, more: true, of_window: true });
                }
                Err(trouble) => return Err(trouble),
            };
            if older.rows.iter().any(|row| row.stamp >= moments.bound()) {
                return self.window_by_source(secs, page).await;
            }
            let ends_here =
                reaches(&older) && older.rows.iter().all(|row| stop.is_some_and(|stop| row.stamp <= stop));
            if ends_here || (!older.full && adds_nothing(&older, &page)) {
                if !ends_here {
                    self.judge_the_end(page.rows.first());
                }
                return Ok(Batch { rows: page.rows, unseen: true, more: true, of_window: true });
            }
            gone_back = true;
            self.room = Room::Ordinary;
            page = older;
        }
        self.say_truncated(page.rows.first());
        Ok(Batch { rows: page.rows, unseen: true, more: true, of_window: true })
    }

    /// As [`Poller::window`], where the platform cannot page back: it is asked for the rows of the
    /// user and of peers apart, which reaches further back for one of them at least.
    async fn window_by_source(&mut self, secs: u64, newest: Page) -> Result<Batch, Trouble> {
        // No second page can follow, so this one has to reach as far as possible.
        self.size = PageSize::default();
        self.room = Room::Large;
        let mut rows = newest.rows;
        let mut truncated = false;
        for part in [Part::FromCanvas, Part::FromAgents] {
            let page = self.page(&Reach::Window { secs, part }).await?;
            truncated |= page.full;
            rows.extend(page.rows);
        }
        rows.sort_by_key(|row| row.stamp);
        if truncated {
            self.say_truncated(rows.first());
        }
        // Asking after the oldest row brings all others, in full pages and without gaps.
        let oldest = rows.first().map(|row| row.stamp);
        let mut seen = BTreeSet::new();
        rows.retain(|row| Some(row.stamp) == oldest && seen.insert(row.id.clone()));
        Ok(Batch { rows, unseen: false, more: true, of_window: true })
    }

    /// Nothing older is there. If the last look was longer ago than platforms keep rows, some may be gone.
    fn judge_the_end(&self, oldest: Option<&Row>) {
        let Some(now) = self.server else { return };
        // A damaged journal may have forgotten how far that was.
        let resumed = |mailbox: &mut Mailbox| {
            mailbox.watermarks.read_up_to().or(mailbox.resumed.then_some(Stamp::UNKNOWN))
        };
        let Some(read_up_to) = self.mailbox(resumed) else { return };
        let was_away = self
            .reached
            .is_none_or(|reached| self.host.now().saturating_sub(reached) / 1_000 >= SHORTEST_RETENTION_SECS);
        if was_away && read_up_to < now.less_secs(SHORTEST_RETENTION_SECS) {
            let to = oldest.map_or(now, |row| row.stamp);
            if self.note_gap(read_up_to, to) {
                self.host.log(
                    Level::Warn,
                    format!(
                        "nothing was fetched for longer than platforms keep messages: some from between {read_up_to} \
                         and {to} may be missing from the inbox"
                    ),
                );
            }
        }
    }

    /// Says whether that is news.
    fn note_gap(&self, from: Stamp, to: Stamp) -> bool {
        self.world.inbox.borrow_mut().note_gap(self.workspace, from, to)
    }

    /// Finds out when the row was made at which fetching goes on, if a damage of the journal has left nothing of
    /// that: messages that became visible late before it are fetched then.
    pub(super) async fn date_position(&mut self) -> Result<(), Trouble> {
        let Some(named) = self.mailbox(|mailbox| mailbox.watermarks.undated()) else { return Ok(()) };
        let now = self.host.now();
        let mut part = Part::Whole;
        let mut bound = None;
        for _ in 0..MOST_PAGES {
            let page = self.page(&Reach::Window { secs: LONGEST_WINDOW_SECS, part }).await?;
            if let Some(row) = page.rows.iter().find(|row| row.timed && *row.id == *named) {
                self.mailbox(|mailbox| mailbox.watermarks.was_made_at(row.stamp, now));
                return Ok(());
            }
            let oldest = page.rows.iter().find(|row| row.timed).map(|row| row.stamp.next());
            let Some(next) = oldest.filter(|next| page.full && bound.is_none_or(|bound| *next < bound))
            else {
                break;
            };
            (part, bound) = (Part::Before(next), Some(next));
        }
        self.mailbox(|mailbox| mailbox.watermarks.settle_all(now));
        Ok(())
    }

    /// Takes rows that became visible before any row that can be asked after; false if there was no room.
    pub(super) async fn look_behind(&mut self) -> Result<bool, Trouble> {
        let Some((after, before)) = self.mailbox(|mailbox| mailbox.watermarks.behind()) else {
            return Ok(true);
        };
        let secs = self.secs_since(after).unwrap_or(LONGEST_WINDOW_SECS);
        let mut bound = before.next();
        let mut known = 0;
        for _ in 0..MOST_PAGES {
            let page = self.page(&Reach::Window { secs, part: Part::Before(bound) }).await?;
            known += page.rows.len();
            let oldest = page.rows.iter().find(|row| row.timed).map(|row| row.stamp);
            // A row that fills a page has no other of its moment beside it.
            let is_alone = page.rows.len() == 1;
            let (full, mut rows) = (page.full, page.rows);
            rows.retain(|row| row.timed && row.stamp > after && row.stamp <= before);
            let behind = Batch { rows, unseen: true, more: false, of_window: false };
            if !behind.rows.is_empty() && matches!(self.take(behind).await, Progress::Stuck) {
                return Ok(false);
            }
            // No further back than all rows are still recognised.
            let has_more = full && known < MOST_LOOKED_AT;
            let Some(oldest) = oldest.filter(|oldest| has_more && *oldest > after) else { break };
            let next = if is_alone { oldest } else { oldest.next() };
            if next >= bound {
                self.say_hidden(after, before.min(oldest));
                break;
            }
            bound = next;
        }
        Ok(true)
    }

    /// Rows of that time would not be shown: the platform does not page back, and there are too many newer
    /// ones, or too many of one moment.
    fn say_hidden(&self, after: Stamp, before: Stamp) {
        if self.note_gap(after, before) {
            self.host.log(
                Level::Warn,
                format!(
                    "messages that became visible late, from between {after} and {before}, would be missing from the inbox"
                ),
            );
        }
    }

    /// How long ago that was by the platform's clock, and a little more.
    pub(super) fn secs_since(&self, stamp: Stamp) -> Option<u64> {
        let now = self.server?.microseconds();
        let secs = u64::try_from(now.saturating_sub(stamp.microseconds()) / 1_000_000).ok()?;
        Some(secs.saturating_add(OVERLAP_SECS).min(LONGEST_WINDOW_SECS))
    }

    fn say_left_out(&self, moment: Stamp) {
        self.note_gap(moment, moment);
        self.host.log(
            Level::Error,
            "a message larger than accepted was left out of the inbox; it is on the canvas",
        );
    }

    fn say_truncated(&self, oldest: Option<&Row>) {
        let oldest = oldest.map_or(Stamp::UNKNOWN, |row| row.stamp);
        let from = self.mailbox(|mailbox| mailbox.watermarks.read_up_to()).unwrap_or(Stamp::UNKNOWN);
        // A first look goes no further back, so nothing is missing from it.
        if from == Stamp::UNKNOWN
            && self.server.is_some_and(|server| oldest <= server.less_secs(SHORTEST_WINDOW_SECS))
        {
            return;
        }
        self.note_gap(from, oldest);
        self.host.log(
            Level::Error,
            format!(
                "more messages wait than the platform gives at once: some from before {oldest} may be missing from \
                 the inbox; they are on the canvas"
            ),
        );
    }
}

/// The moments that a page spans, as far as its rows tell.
struct Moments {
    oldest: Stamp,
    newest: Stamp,
}

impl Moments {
    fn of(rows: &[Row]) -> Option<Self> {
        let oldest = rows.iter().find(|row| row.timed)?.stamp;
        Some(Self { oldest, newest: rows.last()?.stamp })
    }

    fn is_one(&self) -> bool {
        self.oldest == self.newest
    }

    /// Before which moment the older rows are. The oldest moment of the page is asked for again, because
    /// the page may have cut it; but not if there is no other in it.
    fn bound(&self) -> Stamp {
        if self.is_one() { self.oldest } else { self.oldest.next() }
    }
}

/// Whether `older` only repeats rows of `page`.
fn adds_nothing(older: &Page, page: &Page) -> bool {
    older.rows.iter().all(|row| page.rows.iter().any(|known| known.id == row.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_reaches_back_to_when_nothing_was_left() {
        assert_eq!(window_secs(Some(0)), 600);
        assert_eq!(window_secs(Some(7_200_000)), 7_320);
        assert_eq!(window_secs(Some(u64::MAX)), LONGEST_WINDOW_SECS);
        assert_eq!(window_secs(None), LONGEST_WINDOW_SECS);
    }
}
