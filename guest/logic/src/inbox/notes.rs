//! What the agent is told beside a result: counts and times, and no words from outside.

use std::rc::Rc;

use super::{Inbox, record::Record};
use crate::{
    dialogue::Host,
    platform::{PlatformError, stamp::Stamp},
    wire::{Instant, Workspace},
    world::World,
};

/// Nothing is known of the platform yet.
pub(super) const FIRST_LOOK: &str =
    "The first look at the platform has not ended yet: messages that it already has may be missing here.";

/// A line about messages that wait, unless the agent knows of them, or does not want to be told.
pub(crate) fn waiting_mail(world: &World, now: Instant) -> Option<String> {
    if !world.settings.notice {
        return None;
    }
    let mut inbox = world.inbox.borrow_mut();
    let (count, made) = inbox.queue.tell()?;
    let age = inbox.age(made, now).map(in_words);
    Some(match (count, age) {
        (1, Some(age)) => format!("1 message waits, for {age}; inbox_peek shows it"),
        (1, None) => "1 message waits; inbox_peek shows it".to_owned(),
        (_, Some(age)) => format!("{count} messages wait, the oldest for {age}; inbox_peek shows them"),
        (_, None) => format!("{count} messages wait; inbox_peek shows them"),
    })
}

/// A time that an agent can picture.
fn in_words(secs: u64) -> String {
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} min", secs / 60),
        7_200..172_800 => format!("{} h", secs / 3_600),
        172_800.. => format!("{} days", secs / 86_400),
    }
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

/// Since when the platform gives no rows: by its own clock, if it was told.
pub(super) fn since(good: Option<(Instant, Option<Stamp>)>, opened: Instant, now: Instant) -> String {
    let (at, stamp) = good.unwrap_or((opened, None));
    let secs = now.saturating_sub(at) / 1_000;
    match stamp {
        Some(stamp) => format!("since {} ({secs} s)", stamp.whole_secs()),
        None if good.is_some() => format!("for {secs} s"),
        None => format!("for {secs} s, since this process began to look"),
    }
}

/// That the platform gives no rows, why, and what that means for an answer.
pub(super) fn outage(why: &PlatformError, since: &str) -> String {
    match why {
        PlatformError::Unreachable { reason, .. } => format!(
            "The platform cannot be reached {since}: {reason}. {KNOWN} messages sent since then come once it can be \
             reached again."
        ),
        PlatformError::Status { status: 401 | 403, .. } => format!(
            "The platform refuses the token of this workspace {since}: {why}. {KNOWN} messages sent since then come \
             once the operator has given this server a valid token."
        ),
        PlatformError::Overflowed
        | PlatformError::Refused(_)
        | PlatformError::Shape(_)
        | PlatformError::Status { .. } => format!(
            "The platform gives no messages {since}: {why}. {KNOWN} messages sent since then come once it gives \
             messages again."
        ),
    }
}

/// That the platform has not answered the last request so far.
pub(super) fn silence(since: &str) -> String {
    format!("The platform has not answered {since}. {KNOWN} messages sent since then come once it answers.")
}

/// What an answer is worth while the platform gives no rows.
const KNOWN: &str = "Only what was fetched before is known here;";

impl Inbox {
    /// How many seconds ago something was made, by the platform's clock alone; nothing if either is unknown.
    fn age(&self, made: Stamp, now: Instant) -> Option<u64> {
        let (at, server) = self.platform_time().filter(|_| made > Stamp::UNKNOWN)?;
        let since = i64::try_from(now.saturating_sub(at)).unwrap_or(i64::MAX).saturating_mul(1_000);
        let age = server.microseconds().saturating_add(since).saturating_sub(made.microseconds());
        Some(u64::try_from(age).unwrap_or_default() / 1_000_000)
    }

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
