//! What the agent is told beside a result: counts and times, and no words from outside.

use std::rc::Rc;

use super::{Inbox, record::Record};
use crate::{
    dialogue::Host,
    wire::{Instant, Workspace},
    world::World,
};

/// A line about messages that wait, unless the agent knows of them, or does not want to be told.
pub(crate) fn waiting_mail(world: &World, now: Instant) -> Option<String> {
    if !world.settings.notice {
        return None;
    }
    let (count, since) = world.inbox.borrow_mut().queue.tell()?;
    let secs = now.saturating_sub(since) / 1_000;
    Some(if count == 1 {
        format!("1 message waits, for {secs} s; inbox_peek shows it")
    } else {
        format!("{count} messages wait, the oldest for {secs} s; inbox_peek shows them")
    })
}

/// Lines about what an inbox tool cannot show: that another process has the messages, and, once,
/// that some may be missing.
pub(crate) async fn in_inbox(host: &Host, world: &Rc<World>) -> Vec<String> {
    let mut lines: Vec<String> =
        world.inbox.borrow().leaders.values().map(|leader| followed(leader)).collect();
    let untold = world.inbox.borrow_mut().tell_gaps();
    for (workspace, record, line) in untold {
        lines.push(line);
        super::journal::append(host, world, workspace, vec![record]).await;
    }
    lines
}

fn followed(leader: &str) -> String {
    format!(
        "Another molecule-mcp ({leader}) receives the messages of this workspace and shows them to its own agent; this \
         one takes over when it ends. Everything else works here."
    )
}

impl Inbox {
    /// The gaps that the agent does not know of. It does now.
    fn tell_gaps(&mut self) -> Vec<(Workspace, Record, String)> {
        let mut told = Vec::new();
        for (workspace, book) in &mut self.books {
            for gap in book.gaps.iter_mut().filter(|gap| !gap.told) {
                gap.told = true;
                let line = format!(
                    "Messages from between {} and {} may be missing here: the platform no longer gives them. Whoever \
                     wrote then can be asked to write again; the user sees the whole conversation on the canvas.",
                    gap.from, gap.to
                );
                told.push((*workspace, gap.record(), line));
            }
        }
        told
    }
}
