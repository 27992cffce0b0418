//! A platform whose clock is set.

use super::rig::Rig;

#[test]
fn messages_that_are_made_after_the_clock_was_set_back_are_shown() {
    for restarts in [false, true] {
        for age in [0, 300_000] {
            let mut rig = ahead();
            let a = rig.platform.say("by a clock that is ahead");
            rig.start();
            rig.pass(age);
            rig.platform.clock -= 150_000_000 + i64::try_from(age).unwrap() * 1_000;
            let b = rig.platform.say("b");
            if restarts {
                rig.restart();
            }
            rig.pass(20_000);
            let c = rig.platform.say("c");
            rig.pass(20_000);

            assert_eq!(rig.waiting(), [a, b, c], "{restarts} {age}");
        }
    }
}

#[test]
fn messages_from_while_nothing_ran_are_shown_although_the_clock_has_caught_up() {
    let mut rig = ahead();
    let a = rig.platform.say("a");
    rig.start();
    rig.pass(300_000);
    let last = rig.platform.say("last");
    rig.pass(5_000);
    rig.stop();
    rig.platform.clock -= 400_000_000;
    let b = rig.platform.say("b");
    rig.platform.clock += 900_000_000;

    rig.restart();

    assert_eq!(rig.waiting(), [a, last, b]);
}

#[test]
fn messages_from_during_an_outage_are_shown_although_the_clock_has_caught_up() {
    let mut rig = ahead();
    rig.start();
    rig.pass(600_000);
    let last = rig.platform.say("last");
    rig.pass(130_000);
    let failing = (0..12).map(|_| super::rig::error(503, "not now"));
    rig.platform.script.extend(failing);
    rig.pass(5_000);
    rig.platform.clock -= 400_000_000;
    let b = rig.platform.say("b");
    rig.pass(1_200_000);

    assert_eq!(rig.waiting(), [last, b]);
}

#[test]
fn what_was_handled_stays_handled_when_the_clock_is_set() {
    let mut rig = ahead();
    rig.start();
    for step in [-500_000_000, 300_000_000, -100_000_000, 700_000_000, -650_000_000] {
        rig.platform.clock += step;
        let id = rig.platform.say("x");
        rig.pass(40_000);
        assert_eq!(rig.pop_all(), [id], "{step}");
        rig.restart();
        rig.pass(40_000);
        assert_eq!(rig.waiting(), [] as [String; 0], "{step}");
    }
}

#[test]
fn nothing_from_before_the_first_start_is_looked_for_when_the_clock_is_set_back() {
    let mut rig = ahead();
    rig.platform.say("long before");
    rig.platform.clock += 605_000_000;
    rig.start();
    let id = rig.platform.say("a");
    rig.pass(5_000);
    rig.restart();
    rig.pass(40_000);

    assert_eq!(rig.waiting(), [id]);
}

fn ahead() -> Rig {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    rig
}
