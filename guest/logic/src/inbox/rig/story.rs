//! A story whose end is known.

use super::Rig;

/// Seven messages and what else comes, three of which are popped: the messages that wait, and those that do not.
pub(crate) fn story() -> (Rig, (Vec<String>, Vec<String>)) {
    let mut rig = Rig::new();
    let mut waits = Vec::new();
    let mut popped = Vec::new();
    rig.platform.echo();
    rig.start();
    for number in 0..7 {
        rig.platform.echo();
        let id = rig.platform.say(&format!("text {number}"));
        rig.pass(5_000);
        if number % 2 == 1 {
            rig.pop(&id);
            popped.push(id);
        } else {
            waits.push(id);
        }
    }
    rig.pass(5_000);
    (rig, (waits, popped))
}

/// Nothing is lost; what was popped may be back.
pub(crate) fn assert_recovered(rig: &Rig, (waits, popped): &(Vec<String>, Vec<String>), why: &str) {
    let there = rig.waiting();
    for id in waits {
        assert_eq!(there.iter().filter(|waiting| *waiting == id).count(), 1, "{why}: {id} in {there:?}");
    }
    assert!(there.iter().all(|id| waits.contains(id) || popped.contains(id)), "{why}");
}
