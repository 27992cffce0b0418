//! How the inbox of a running process stands, for people.

use super::Inbox;
use crate::{
    wire::{InboxStatus, Instant, Workspace},
    world::World,
};

/// How the inbox of `workspace` stands. No words of a message are in it.
pub(crate) fn status(world: &World, workspace: Workspace, now: Instant) -> InboxStatus {
    let refusal = world.refusal(workspace);
    let status = world.inbox.borrow().status(workspace, now);
    InboxStatus { trouble: refusal.or(status.trouble), ..status }
}

impl Inbox {
    fn status(&self, workspace: Workspace, now: Instant) -> InboxStatus {
        let (contact, mailbox) = (self.contacts.get(&workspace), self.mailboxes.get(&workspace));
        let (parked, waiting): (Vec<_>, Vec<_>) = self.queue.of(workspace).partition(|staged| staged.parked);
        let oldest = waiting.iter().map(|staged| &staged.message).min_by_key(|message| message.stamp);
        let position = mailbox.and_then(|mailbox| mailbox.watermarks.position());
        InboxStatus {
            staged: count(waiting.len()),
            parked: count(parked.len()),
            oldest_waiting: oldest.map(|message| message.created_at.clone()),
            position: position.map(|mark| mark.id.to_string()),
            gaps: count(mailbox.map_or(0, |mailbox| mailbox.gaps.len())),
            read_at: contact.and_then(|contact| contact.read_at()),
            trouble: contact.and_then(|contact| contact.trouble(now)),
        }
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::rig::{Rig, error};

    #[test]
    fn it_tells_what_waits_and_how_far_fetching_has_come() {
        let mut rig = Rig::new();
        let first = rig.platform.say("the first");
        let second = rig.platform.say("the second");
        rig.start();
        let before = status(&rig.world, 0, rig.now);

        rig.pop(&first);

        let after = status(&rig.world, 0, rig.now);
        assert_eq!((before.staged, after.staged), (2, 1));
        assert_eq!(after.position, Some(second));
        assert!(before.oldest_waiting < after.oldest_waiting, "{before:?} {after:?}");
        assert!(after.read_at.is_some() && after.trouble.is_none(), "{after:?}");
        assert!(!format!("{before:?}").contains("the first"));
    }

    #[test]
    fn a_platform_that_gives_nothing_is_told() {
        let mut rig = Rig::new();
        rig.start();
        rig.platform.script.push_back(error(502, "bad gateway"));
        rig.pass(5_000);

        let status = status(&rig.world, 0, rig.now);

        assert!(status.trouble.is_some(), "{status:?}");
    }

    #[test]
    fn who_follows_has_nothing() {
        let mut rig = Rig::new();
        rig.platform.say("one");
        rig.start();

        rig.world.inbox.borrow_mut().follow(0, "process 4711".to_owned());

        let status = status(&rig.world, 0, rig.now);
        assert_eq!((status.staged, status.position, status.trouble), (0, None, None));
    }
}
