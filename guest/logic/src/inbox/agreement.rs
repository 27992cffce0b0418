//! Whether a journal says what is known of a workspace. For the simulator, which asks after every write.
//!
//! Two things have to hold whenever no write is under way: what a start recovers from the journal is what is known
//! live, and what it recovers from a rewritten journal is that as well.

use std::{collections::BTreeSet, rc::Rc};

use super::{
    Inbox,
    event::Event,
    mailbox::{Gap, Mailbox, State},
    queue::Staged,
    recover::{self, Opened},
    watermarks::Mark,
};
use crate::wire::{Saved, Workspace};

/// What has to survive the end of a process, in words that can be compared.
#[derive(Debug, PartialEq)]
struct Facts {
    staged: Vec<String>,
    position: Option<String>,
    origin: Option<i64>,
    broadcast: Option<Rc<str>>,
    gaps: BTreeSet<String>,
    files: BTreeSet<String>,
    named: Option<String>,
}

impl Facts {
    fn of<'a>(mailbox: &Mailbox, staged: impl Iterator<Item = &'a Staged>) -> Self {
        Self {
            staged: staged.map(in_words).collect(),
            position: mailbox.watermarks.position().map(place),
            origin: mailbox.origin.map(crate::platform::stamp::Stamp::microseconds),
            broadcast: mailbox.broadcast.as_ref().map(|mark| Rc::clone(&mark.id)),
            gaps: mailbox
                .gaps
                .iter()
                .map(|Gap { from, to, told }| format!("{from} to {to}, {told}"))
                .collect(),
            files: mailbox.files.records().map(|record| record.write()).collect(),
            named: mailbox.watermarks.named_by_file().map(str::to_owned),
        }
    }

    /// The first thing in which what was recovered differs from what is known live.
    fn differs_from(&self, other: &Self) -> Option<String> {
        // That a position is lost is not written: the next process learns it in the same way.
        let position = self.position.as_ref().filter(|_| other.position.is_some());
        let pairs = [
            ("staged", format!("{:#?}", self.staged), format!("{:#?}", other.staged)),
            ("position", format!("{position:?}"), format!("{:?}", other.position.as_ref())),
            ("origin", format!("{:?}", self.origin), format!("{:?}", other.origin)),
            ("broadcast", format!("{:?}", self.broadcast), format!("{:?}", other.broadcast)),
            ("gaps", format!("{:?}", self.gaps), format!("{:?}", other.gaps)),
            ("files", format!("{:#?}", self.files), format!("{:#?}", other.files)),
            ("named", format!("{:?}", self.named), format!("{:?}", other.named)),
        ];
        let (name, one, two) = pairs.into_iter().find(|(_, one, two)| one != two)?;
        Some(format!("{name}: {}", first_difference(&one, &two)))
    }
}

fn first_difference(one: &str, two: &str) -> String {
    let mut lines = one.lines().zip(two.lines());
    let differ = lines.find(|(one, two)| one != two);
    let (one_of, two_of) =
        differ.unwrap_or((one.lines().last().unwrap_or(""), two.lines().last().unwrap_or("")));
    format!("{one_of} and not {two_of} ({} lines, {})", one.lines().count(), two.lines().count())
}

fn in_words(staged: &Staged) -> String {
    let (id, stamp) = (staged.id(), staged.message.stamp);
    // The next start parks what is stuck.
    let parked = staged.parked || staged.is_stuck();
    format!(
        "{id} of {stamp}, delivered {}, in {} starts, parked {parked}",
        staged.deliveries,
        staged.starts()
    )
}

fn place(mark: &Mark) -> String {
    format!("{} of {}", mark.id, mark.stamp)
}

impl Inbox {
    /// In what the records of a journal that nothing is added to right now differ from what is known, or would if it was
    /// written anew. Nothing if it does not have to agree, because it is behind or something waits to be written.
    pub(crate) fn disagreement(&self, own: &str, workspace: Workspace, journal: &[String]) -> Option<String> {
        let mailbox = self.mailboxes.get(&workspace).filter(|mailbox| mailbox.is_written())?;
        let live = Facts::of(mailbox, self.queue.of(workspace));
        let recovered = |journal: Vec<String>| {
            let cursor = mailbox.watermarks.named_by_file().map(str::to_owned);
            let saved = Saved { cursor, journal, damaged_after: None };
            let Opened { mailbox, staged, .. } = recover::open(own, workspace, self.queue.like(), saved, 0);
            Facts::of(&mailbox, staged.iter())
        };
        let from_journal = recovered(journal.to_vec()).differs_from(&live);
        let anew = mailbox.snapshot(&self.queue, workspace).iter().map(Event::write).collect();
        let from_snapshot = recovered(anew).differs_from(&live);
        from_journal.map(|difference| format!("the journal says other {difference}")).or_else(|| {
            from_snapshot.map(|difference| format!("a rewritten journal would say other {difference}"))
        })
    }
}

impl Mailbox {
    /// Whether everything that is known is in the journal.
    fn is_written(&self) -> bool {
        let journal = &self.journal;
        journal.state == State::Ready
            && !journal.unseen
            && !journal.in_rewrite
            && journal.writers == 0
            && journal.pending.is_empty()
            && self.unsaved_pops.is_empty()
            && self.in_projection.is_none()
            && self.takeover.is_none()
    }
}
