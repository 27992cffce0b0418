//! What the agent is told beside a result: counts and times, and no words from outside.

use std::rc::Rc;

use super::{
    Inbox,
    mailbox::Gap,
    queue::Mail,
    showing::{self, Told},
};
use crate::{
    dialogue::Host,
    platform::{PlatformError, stamp::Stamp},
    wire::{Instant, Workspace},
    world::World,
};

/// How many workspaces are named whose messages another process receives.
const LEADERS_SHOWN: usize = 10;

/// Nothing is known of the platform yet.
pub(super) const FIRST_LOOK: &str =
    "The first look at the platform has not ended yet: messages that it already has may be missing here.";

/// A line about messages that wait, unless the agent was told of them within the last minute, or does not
/// want to be told.
pub(crate) fn waiting_mail(world: &World, now: Instant, told: &mut Told) -> Option<String> {
    if !world.settings.notice {
        return None;
    }
    let inbox = world.inbox.borrow();
    let Mail { count, oldest, all_shown } = inbox.queue.untold(now)?;
    told.mail = Some(inbox.queue.arrivals());
    let age = inbox.age(oldest, now).map(in_words);
    Some(match (count, all_shown, age) {
        (1, false, Some(age)) => format!("1 message waits, for {age}; inbox_peek shows it"),
        (1, false, None) => "1 message waits; inbox_peek shows it".to_owned(),
        (_, false, Some(age)) => {
            format!("{count} messages wait, the oldest for {age}; inbox_peek shows them")
        }
        (_, false, None) => format!("{count} messages wait; inbox_peek shows them"),
        (1, true, _) => {
            "1 message that was shown is not removed yet; once it is handled, inbox_pop removes it".to_owned()
        }
        (_, true, _) => format!(
            "{count} messages that were shown are not removed yet; once they are handled, inbox_pop removes them"
        ),
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
pub(crate) async fn in_inbox(host: &Host, world: &Rc<World>, told: &mut Told) -> Vec<String> {
    let mut lines: Vec<String> = {
        let inbox = world.inbox.borrow();
        let each = inbox.leaders.iter().take(LEADERS_SHOWN);
        each.map(|(workspace, leader)| followed(world, *workspace, leader)).collect()
    };
    let (gaps, untold) = showing::untold_gaps(host, world).await;
    lines.extend(gaps);
    told.gaps = untold;
    lines
}

fn followed(world: &World, workspace: Workspace, leader: &str) -> String {
    let of_which = world.shown(workspace);
    format!(
        "Another molecule-mcp ({leader}) receives the messages of {of_which} and shows them to its own agent; this \
         one takes over when it ends. If its session is over or forgotten, call this tool with take_over: true to \
         receive them here from now on. Everything else works here."
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
        why if why.refuses_token() => format!(
            "The platform refuses the token of this workspace {since}: {why}. {KNOWN} messages sent since then come \
             once the operator has given this server a valid token."
        ),
        why if why.is_in_front() => format!(
            "Something in front of the platform answers in its place {since}, such as a login page, a firewall or a \
             proxy: {why}. {KNOWN} messages sent since then come once the operator has seen to that."
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
    pub(crate) fn age(&self, made: Stamp, now: Instant) -> Option<u64> {
        let (at, server) = self.platform_time().filter(|_| made > Stamp::UNKNOWN)?;
        let since = i64::try_from(now.saturating_sub(at)).unwrap_or(i64::MAX).saturating_mul(1_000);
        let age = server.microseconds().saturating_add(since).saturating_sub(made.microseconds());
        Some(u64::try_from(age).unwrap_or_default() / 1_000_000)
    }
}

/// That messages may be missing.
pub(super) fn gap(gap: &Gap) -> String {
    let Gap { from, to, .. } = gap;
    if *from == Stamp::UNKNOWN {
        return format!(
            "This inbox begins at {to}: what was written before that is not all here. Nothing has to be done; the user \
             sees the whole conversation on the canvas."
        );
    }
    format!(
        "Messages from between {from} and {to} may be missing here: the platform no longer gives them. Whoever wrote \
         then can be asked to write again; the user sees the whole conversation on the canvas."
    )
}
