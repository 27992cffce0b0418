//! What an instance leaves to the one that takes its place.
//!
//! The memory of a component never shrinks, so after large messages its host takes a new instance. That one reads
//! the disk, as after a crash; this is what is on no disk, and what a crash would lose.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{peers::Peers, wire::Workspace, world::World};

#[derive(Serialize, Deserialize)]
struct Legacy {
    peers: Peers,
    users_wrote_to: BTreeSet<Workspace>,
    /// The workspaces whose inboxes are kept.
    inboxes: BTreeSet<Workspace>,
}

/// Nothing while the instance is needed.
pub(crate) fn of(world: &World) -> Option<String> {
    if world.own_uploads.borrow().in_flight() || !world.inbox.borrow().is_at_rest() {
        return None;
    }
    let legacy = Legacy {
        peers: world.peers.borrow().clone(),
        users_wrote_to: world.users_wrote_to.borrow().clone(),
        inboxes: world.inbox.borrow().kept(),
    };
    serde_json::to_string(&legacy).ok()
}

/// Takes over what was left. Nothing depends on it, so what cannot be read is left out.
pub(crate) fn inherit(world: &World, left: &str) {
    if let Ok(Legacy { peers, users_wrote_to, inboxes }) = serde_json::from_str(left) {
        world.peers.replace(peers);
        world.users_wrote_to.replace(users_wrote_to);
        world.inbox.borrow_mut().were_kept(inboxes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inbox::rig::{PEER, Rig},
        testing::world,
        uploads::InFlight,
    };

    #[test]
    fn what_is_on_no_disk_is_known_to_the_next_instance() {
        let (before, after) = (world(), world());
        before.peers.borrow_mut().saw("p", "Research", "online", 5);
        before.peers.borrow_mut().wrote("p", 0, 6);
        before.users_wrote_to.borrow_mut().insert(3);

        inherit(&after, &of(&before).unwrap());

        assert_eq!(after.peers.borrow().of("p"), before.peers.borrow().of("p"));
        assert!(after.users_wrote_to.borrow().contains(&3));
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let world = world();
        world.peers.borrow_mut().saw("p", "Research", "online", 5);

        inherit(&world, "gibberish");

        assert_eq!(world.peers.borrow().name("p"), "Research");
    }

    #[test]
    fn an_instance_is_needed_while_a_message_waits() {
        let mut rig = Rig::new();
        assert!(of(&rig.world).is_some());
        rig.start();
        rig.platform.say_as(PEER, "hello");
        rig.pass(200_000);
        assert_eq!(of(&rig.world), None);

        rig.pop_all();
        rig.pass(20_000);

        assert!(of(&rig.world).is_some());
    }

    #[test]
    fn an_instance_is_needed_while_a_file_is_on_its_way_to_the_user() {
        let world = world();
        let _upload = InFlight::begin(&world);

        assert_eq!(of(&world), None);
    }
}
