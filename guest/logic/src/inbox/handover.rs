//! The reference implementation ran here meanwhile: its cursor file names a row that the journal does not know.
//!
//! What it has shown is not shown again, unless the operator wants the latest of it repeated.

use std::rc::Rc;

use super::{
    Incoming,
    filter::{self, Verdict},
    ledger::Mark,
    poller::Poller,
    record::Record,
};
use crate::{
    platform::{
        activity::{Reach, Row, Trouble},
        stamp::Stamp,
    },
    wire::Level,
};

/// Further than that nobody looks for the row.
const MOST_PAGES: usize = 20;

/// As far as the reference looks back itself.
const REPEATED_SECS: u64 = 600;

/// What stands between the journal and the row that the file names.
#[derive(Default)]
struct Between {
    /// All of it, in order.
    marks: Vec<Mark>,
    /// What is shown again.
    again: Vec<Row>,
    messages: usize,
    /// Of what was shown before nothing is recognised.
    unknown: bool,
}

impl Between {
    /// Only that row is known, and that all before it was fetched.
    fn only(named: &str) -> Self {
        let marks = vec![Mark::at(named.into(), Stamp::UNKNOWN)];
        Self { marks, unknown: true, ..Self::default() }
    }
}

impl Poller {
    /// Goes on after the row in the cursor file, if that is further than the journal; says whether it did.
    pub(super) async fn adopt(&mut self) -> Result<bool, Trouble> {
        let Some(named) = self.book(|book| book.handover.clone()) else { return Ok(false) };
        let start = self.book(|book| book.ledger.position().cloned());
        let found = match start {
            None => Some(Between::only(&named)),
            Some(start) => match self.between(start, &named).await {
                // It has run for so long that nothing is left of where the journal ends.
                Err(trouble) if self.gives_up(&trouble) => {
                    self.book(|book| book.ledger.lose_position());
                    Some(Between::only(&named))
                }
                found => found?,
            },
        };
        self.book(|book| book.handover = None);
        let Some(between) = found else {
            self.host.log(Level::Warn, "the inbox cursor file names no row that follows; the journal counts");
            return Ok(false);
        };
        self.go_on_after(between).await;
        Ok(true)
    }

    /// The rows after `start` up to the one that is named; none if it is not among them.
    async fn between(&mut self, mut start: Mark, named: &str) -> Result<Option<Between>, Trouble> {
        let mut between = Between::default();
        for _ in 0..MOST_PAGES {
            let page = self.page(&Reach::After(start.id.to_string())).await?;
            let full = page.full;
            let before = between.marks.len();
            for row in page.rows {
                let is_last = row.id == named;
                self.note(&mut between, row);
                if is_last {
                    return Ok(Some(between));
                }
            }
            let fresh = between.marks.get(before..).unwrap_or_default();
            let next = fresh.iter().rev().find(|mark| mark.can_be_asked_after && mark.stamp > start.stamp);
            let Some(next) = next.filter(|_| full) else { break };
            start = next.clone();
        }
        Ok(None)
    }

    fn note(&self, between: &mut Between, row: Row) {
        let mark = Mark::new(&row);
        let is_known = self.book(|book| book.ledger.knows(&row.id));
        let own = self.world.id(self.workspace);
        let verdict = filter::verdict(&row, own, &self.world.own_uploads.borrow());
        if !is_known && !matches!(verdict, Verdict::Drop | Verdict::Own) {
            between.messages += 1;
            if self.world.settings.redeliver && self.is_young(row.stamp) {
                between.again.push(row);
            }
        }
        between.marks.push(mark);
    }

    fn is_young(&self, stamp: Stamp) -> bool {
        self.server.is_some_and(|now| stamp >= now.less_secs(REPEATED_SECS))
    }

    async fn go_on_after(&mut self, between: Between) {
        let (repeated, messages) = (between.again.len(), between.messages);
        let records = self.take_between(between);
        self.write(records).await;
        self.land();
        self.host.log(
            Level::Warn,
            format!(
                "another implementation has fetched {messages} messages of this workspace meanwhile: {repeated} of them \
                 are shown again"
            ),
        );
    }

    fn take_between(&mut self, between: Between) -> Vec<Record> {
        let now = self.host.now();
        let mut inbox = self.world.inbox.borrow_mut();
        let own = (self.workspace, self.world.id(self.workspace));
        let incoming = Incoming { rows: between.again, more: false, now };
        let mut taken = inbox.take(own, incoming, &self.world.own_uploads.borrow());
        inbox.queue_mut().mark_redelivered(taken.rows.iter().map(|mark| &*mark.id));
        let book = inbox.book(self.workspace);
        let shown = between.marks.iter().filter(|mark| !book.ledger.knows(&mark.id));
        let handled: Vec<_> = shown.cloned().collect();
        let ids = handled.iter().map(|mark| Rc::clone(&mark.id)).collect();
        for mark in handled {
            book.ledger.pass(mark);
        }
        self.from = book.ledger.pass_over(&between.marks, now);
        if between.unknown {
            book.ledger.settle_all(now);
        } else {
            book.ledger.lose_base(now);
        }
        taken.records.push(Record::Remembered { ids, newest: None });
        taken.records.extend(book.new_floor());
        taken.records
    }
}
