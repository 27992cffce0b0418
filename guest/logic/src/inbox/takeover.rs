//! The reference implementation ran here meanwhile: its cursor file names a row that the journal does not know.
//!
//! What it has shown is not shown again, unless the operator wants the latest of it repeated.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    Incoming,
    classify::{self, Verdict},
    event::Event,
    mailbox::Takeover,
    poller::Poller,
    watermarks::Mark,
};
use crate::{
    planted::{Bug, planted},
    platform::{
        activity::{Page, Part, Reach, Row, Trouble},
        stamp::Stamp,
    },
    wire::Level,
};

/// Further than that nobody looks for the row.
const MOST_PAGES: usize = 20;

/// Rows that are noted one after the other before the base is moved.
const MOST_AT_ONCE: usize = 100;

/// As far as the reference looks back itself.
const REPEATED_SECS: u64 = 600;

/// What stands between the journal and the row that the file names.
#[derive(Default)]
struct Between {
    /// All of it, in order; or only the row itself.
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
    /// Goes on after the row in the cursor file, if another implementation has put it there; says whether it did.
    pub(super) async fn adopt(&mut self) -> Result<bool, Trouble> {
        let Some(takeover) = self.mailbox(|mailbox| mailbox.takeover.clone()) else { return Ok(false) };
        let Some(mut between) = self.left_by_another(&takeover).await? else {
            self.mailbox(|mailbox| mailbox.takeover = None);
            return Ok(false);
        };
        if between.unknown && self.world.settings.redeliver {
            self.repeat_the_latest(&mut between, &takeover.named).await?;
        }
        self.go_on_after(between).await;
        Ok(true)
    }

    /// What the other implementation has fetched; none if the journal counts.
    async fn left_by_another(&mut self, takeover: &Takeover) -> Result<Option<Between>, Trouble> {
        if takeover.is_first {
            // Fetching begins after that row anyway.
            return Ok(self.world.settings.redeliver.then(|| Between::only(&takeover.named)));
        }
        let Some(position) = self.mailbox(|mailbox| mailbox.watermarks.position().cloned()) else {
            return Ok(Some(Between::only(&takeover.named)));
        };
        let began = self
            .mailbox(|mailbox| mailbox.where_another_began(takeover))
            .filter(|began| began.id != position.id);
        for (start, is_position) in began.map(|began| (began, false)).into_iter().chain([(position, true)]) {
            match self.between(start, &takeover.named).await {
                Ok(None) => {}
                Err(trouble) if self.gives_up(&trouble) => {
                    if is_position {
                        // It has run for so long that nothing is left of where the journal ends.
                        self.mailbox(|mailbox| mailbox.watermarks.lose_position());
                        return Ok(Some(Between::only(&takeover.named)));
                    }
                }
                found => return found,
            }
        }
        if !self.mailbox(|mailbox| mailbox.watermarks.has_met(&takeover.named)) {
            self.host.log(Level::Warn, "the inbox cursor file names no row that follows; the journal counts");
        }
        Ok(None)
    }

    /// Has the messages of the last minutes up to the named row shown again. Which of the older ones the other
    /// implementation has shown is not known.
    async fn repeat_the_latest(&mut self, between: &mut Between, named: &str) -> Result<(), Trouble> {
        let mut part = Part::Whole;
        let mut rows: Vec<Row> = Vec::new();
        let mut seen = BTreeSet::new();
        for _ in 0..MOST_PAGES {
            let Page { rows: page, full, .. } =
                self.page(&Reach::Window { secs: REPEATED_SECS, part }).await?;
            let oldest = page.iter().find(|row| row.timed).map(|row| row.stamp.next());
            let before = rows.len();
            rows.extend(page.into_iter().filter(|row| seen.insert(row.id.clone())));
            // A platform that does not page back repeats what it has given.
            let Some(oldest) = oldest.filter(|_| full && rows.len() > before) else { break };
            part = Part::Before(oldest);
        }
        let Some(last) = rows.iter().find(|row| row.timed && row.id == named).map(|row| row.stamp) else {
            return Ok(());
        };
        self.mailbox(|mailbox| mailbox.watermarks.comes_again(named, last));
        rows.retain(|row| row.timed && row.stamp <= last);
        rows.sort_by_key(|row| row.stamp);
        between.marks = vec![Mark::at(named.into(), last)];
        for row in rows {
            if self.is_message(&row) {
                between.messages += 1;
                between.again.push(row);
            }
        }
        Ok(())
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
        between.marks.push(Mark::new(&row));
        if self.is_message(&row) {
            between.messages += 1;
            if self.world.settings.redeliver && self.is_young(row.stamp) {
                between.again.push(row);
            }
        }
    }

    /// Whether the row is a message that the journal does not know.
    fn is_message(&self, row: &Row) -> bool {
        let own = self.world.id(self.workspace);
        let verdict = classify::verdict(row, own, &self.world.own_uploads.borrow());
        !self.mailbox(|mailbox| mailbox.watermarks.knows(&row.id))
            && !matches!(verdict, Verdict::Drop | Verdict::Own)
    }

    fn is_young(&self, stamp: Stamp) -> bool {
        self.server.is_some_and(|now| stamp >= now.less_secs(REPEATED_SECS))
    }

    async fn go_on_after(&mut self, between: Between) {
        let (repeated, messages) = (between.again.len(), between.messages);
        let records = self.take_between(between);
        self.write(records).await;
        self.publish();
        self.host.log(
            Level::Warn,
            format!(
                "another implementation has fetched {messages} messages of this workspace meanwhile: {repeated} of them \
                 are shown again"
            ),
        );
    }

    fn take_between(&mut self, between: Between) -> Vec<Event> {
        let Between { mut marks, again, unknown, .. } = between;
        let now = self.host.now();
        let mut inbox = self.world.inbox.borrow_mut();
        let own = (self.workspace, self.world.id(self.workspace));
        let all: Vec<Mark> = again.iter().map(Mark::new).collect();
        let repeats_up_to = marks.last().filter(|_| !again.is_empty()).map(|named| named.stamp);
        inbox.mailbox(self.workspace).repeats_up_to = repeats_up_to;
        let incoming = Incoming { rows: again, more: false, now };
        let mut taken = inbox.take(own, incoming, &mut self.world.own_uploads.borrow_mut());
        let mailbox = inbox.mailbox(self.workspace);
        if let Some(unstaged) = all.get(taken.rows.len()) {
            // What there is no room for is fetched again: nothing from there on counts as handled.
            match marks.iter().position(|mark| mark.id == unstaged.id) {
                Some(place) => marks.truncate(place),
                None => marks = all.get(taken.rows.len().saturating_sub(1)).cloned().into_iter().collect(),
            }
        }
        let mut ids = Vec::new();
        // So that no more rows are gone back to than are remembered.
        for some in marks.chunks(MOST_AT_ONCE) {
            for mark in
                some.iter().filter(|mark| !mailbox.watermarks.knows(&mark.id)).cloned().collect::<Vec<_>>()
            {
                ids.push(Rc::clone(&mark.id));
                mailbox.watermarks.pass(mark);
            }
            self.from = mailbox.watermarks.pass_over(some, now).or_else(|| self.from.take());
        }
        // What appears before the old base was never looked for here: the other implementation may have shown it.
        if unknown {
            mailbox.watermarks.settle_all(now);
        } else if planted(Bug::HandoverLooksFurtherBack) {
            mailbox.watermarks.lose_base(now);
        }
        let named = marks.last().map(|named| named.stamp).filter(|named| *named > Stamp::UNKNOWN);
        mailbox.origin = mailbox.origin.max(named);
        taken.records.push(Event::Remembered { ids, newest: None });
        taken.records.extend(mailbox.new_floor());
        // Synced, so that no crash takes back what is noted here and leaves the name of the file known.
        if let Some(takeover) = mailbox.takeover.take() {
            let said = mailbox.projected(Some(takeover.named), takeover.before);
            inbox.applier(self.workspace, now).apply(&said);
            taken.records.push(said);
        }
        taken.records
    }
}
