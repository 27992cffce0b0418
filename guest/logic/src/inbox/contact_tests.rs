//! What an agent is told before its messages are known, and while the platform gives none.

use serde_json::{Value, json};

use super::{
    poll,
    rig::{Rig, error},
};
use crate::{
    dialogue::Dialogue,
    platform::tests::{responded, unreachable},
    testing::{Call, OWN, world_of_two},
    wire::{Arrival, Effect, Next, Outcome, Rest, Saved, Turn},
};

/// What `inbox_peek` says of an inbox without messages.
const EMPTY: &str = r#"{"messages":[],"more":0}"#;

const TOOLS: [&str; 3] = ["inbox_peek", "inbox_pop", "wait_for_message"];

#[test]
fn no_tool_speaks_of_messages_before_the_journal_is_read() {
    for tool in TOOLS {
        let (mut rig, id) = restarted();
        let mut call = Call::open_at(&rig.world, tool, &json!({"activity_id": id}), rig.now);
        let rest = Rest { until: rig.now + 200, arrivals_over: Some(0), workspace: None };
        assert_eq!(call.turn.next, Next::Rest(rest), "{tool}");

        rig.start();

        let mut answer = call.then(Outcome::Rested, rig.now);
        if let Next::Store(_) = answer.turn.next {
            answer = answer.then(Outcome::Stored, rig.now);
        }
        let text = answer.text();
        assert!(text.contains(&id) && !text.contains("false"), "{tool}: {text}");
    }
}

#[test]
fn a_journal_that_is_not_read_is_no_empty_inbox() {
    for tool in TOOLS {
        let (rig, id) = restarted();
        let arguments = json!({"activity_id": id, "timeout_secs": 1});
        let mut call = Call::open_at(&rig.world, tool, &arguments, rig.now);
        let mut now = rig.now;
        while let Next::Rest(rest) = &call.turn.next {
            now = rest.until;
            call.then(Outcome::Rested, now);
        }

        assert_eq!(now - rig.now, 20_000, "{tool}");
        assert!(call.answer().is_error && call.text().contains("not open yet"), "{tool}: {}", call.text());
    }
}

#[test]
fn the_first_look_is_waited_for() {
    let rig = Rig::new();
    let (mut poller, turn) = look(&rig);
    assert!(matches!(turn.next, Next::Send(_)), "{turn:?}");
    let mut call = Call::open_at(&rig.world, "inbox_peek", &json!({}), rig.now + 500);
    assert_eq!(
        call.turn.next,
        Next::Rest(Rest { until: rig.now + 2_000, arrivals_over: Some(1), workspace: None })
    );

    let mut turn = poller.resume(responded(200, &json!([])), rig.now + 900);
    let mut arrived = Vec::new();
    while let Next::Store(_) = turn.next {
        arrived.append(&mut turn.effects);
        turn = poller.resume(Outcome::Stored, rig.now + 900);
    }
    arrived.append(&mut turn.effects);

    assert!(arrived.contains(&Effect::Arrived(Arrival { workspace: 0, count: 2 })), "{arrived:?}");
    assert_eq!(call.then(Outcome::Rested, rig.now + 900).text(), EMPTY);
}

#[test]
fn a_first_look_that_takes_long_is_told_and_later_calls_do_not_wait() {
    let rig = Rig::new();
    let _looking = look(&rig);
    let mut call = Call::open_at(&rig.world, "inbox_peek", &json!({}), rig.now);

    call.then(Outcome::Rested, rig.now + 2_000);

    let told = |call: &Call| -> String { json(call)["platform"].as_str().unwrap().to_owned() };
    assert!(told(&call).starts_with("The first look at the platform has not ended yet"), "{}", told(&call));
    let later = Call::open_at(&rig.world, "wait_for_message", &json!({"timeout_secs": 0}), rig.now + 9_000);
    assert_eq!(json(&later)["timeout"], json!(true));
    assert!(told(&later).starts_with("The platform has not answered for 9 s"), "{}", told(&later));
}

#[test]
fn a_process_without_the_messages_does_not_say_that_one_was_not_there() {
    let rig = Rig::new();
    rig.world.inbox.borrow_mut().follow(0, "process 7".to_owned());

    let call = Call::open_at(&rig.world, "inbox_pop", &json!({"activity_id": "a"}), rig.now);

    assert!(call.answer().is_error && call.text().contains("nothing was removed"), "{}", call.text());
    assert!(call.answer().text[1].contains("process 7"), "{:?}", call.answer().text);
}

#[test]
fn an_outage_is_told_with_what_is_known() {
    let mut rig = Rig::new();
    rig.platform.tells_time = true;
    let id = rig.platform.say("before");
    rig.start();
    assert_eq!(peek(&mut rig).get("platform"), None);
    rig.platform.script.extend((0..20).map(|_| unreachable(false)));

    rig.pass(28_000);

    let peeked = peek(&mut rig);
    assert_eq!(
        (&peeked["messages"][0]["activity_id"], &peeked["platform"]),
        (
            &json!(id),
            &json!(
                "The platform cannot be reached since 2026-05-01T00:00:01Z (28 s): connection reset. Only what was \
                 fetched before is known here; messages sent since then come once it can be reached again."
            )
        )
    );
    let waited = rig.call("wait_for_message", &json!({}));
    assert_eq!((&json(&waited)["text"], &json(&waited)["platform"]), (&json!("before"), &peeked["platform"]));
    rig.pop(&id);
    let waited = rig.call("wait_for_message", &json!({"timeout_secs": 0}));
    assert_eq!((&json(&waited)["timeout"], &json(&waited)["platform"]), (&json!(true), &peeked["platform"]));
}

#[test]
fn an_outage_that_is_over_is_not_told() {
    let mut rig = Rig::new();
    rig.platform.script.extend([unreachable(false), responded(200, &json!([]))]);
    rig.start();
    rig.pass(1_000);
    let told = peek(&mut rig)["platform"].as_str().unwrap().to_owned();
    assert!(told.contains("for 1 s, since this process began to look: connection reset"), "{told}");

    rig.pass(10_000);

    assert_eq!(peek(&mut rig), json!({"messages": [], "more": 0}));
}

#[test]
fn a_refused_token_and_a_failing_platform_are_told_apart() {
    const REFUSAL: &str = "invalid workspace auth token";
    for (status, said, expected) in [
        (401, REFUSAL, "The platform refuses the token of this workspace"),
        (502, "no", "The platform gives no messages"),
        (403, REFUSAL, "The platform refuses the token of this workspace"),
        (403, "forbidden", "The platform gives no messages"),
        (401, "sign in first", "Something in front of the platform answers in its place"),
    ] {
        let mut rig = Rig::new();
        rig.platform.script.extend((0..20).map(|_| error(status, said)));
        rig.start();
        rig.pass(60_000);

        let told = peek(&mut rig)["platform"].as_str().unwrap().to_owned();

        let expected = format!("{expected} for 60 s");
        assert!(told.starts_with(&expected) && told.contains(&format!("HTTP {status}: {said}")), "{told}");
    }
}

/// A process with a message in its journal, which it has not read.
fn restarted() -> (Rig, String) {
    let mut rig = Rig::new();
    let id = rig.platform.say("hello");
    rig.start();
    rig.stop();
    let mut again = rig.again();
    again.platform.script.push_back(responded(200, &json!([])));
    (again, id)
}

/// A poller that waits for the answer to its first request.
fn look(rig: &Rig) -> (Dialogue, Turn) {
    let world = std::rc::Rc::clone(&rig.world);
    let saved = Saved { cursor: None, journal: Vec::new(), damaged_after: None };
    Dialogue::open(rig.now, |host| async move { poll(host, world, 0, saved).await })
}

fn peek(rig: &mut Rig) -> Value {
    json(&rig.call("inbox_peek", &json!({})))
}

fn json(call: &Call) -> Value {
    serde_json::from_str(call.text()).unwrap()
}

#[test]
fn of_several_workspaces_those_that_are_known_are_shown_and_the_others_named() {
    let world = world_of_two();
    world.note_refusal(0, "Its token is refused.".to_owned());
    {
        let mut inbox = world.inbox.borrow_mut();
        inbox.is_read(1, 0);
        inbox.has_looked(1);
    }

    let call = Call::open_at(&world, "inbox_peek", &json!({}), 10);

    let told: Value = serde_json::from_str(call.text()).unwrap();
    assert_eq!(told["platform"], "[11111111] Its token is refused.");
}

#[test]
fn of_several_workspaces_one_that_another_process_leads_hides_no_others() {
    let world = world_of_two();
    {
        let mut inbox = world.inbox.borrow_mut();
        inbox.follow(0, "process 7".to_owned());
        inbox.is_read(1, 0);
        inbox.has_looked(1);
    }

    let call = Call::open_at(&world, "inbox_pop", &json!({"activity_id": "a"}), 10);

    assert!(call.text().contains(r#""removed":false"#) && !call.answer().is_error, "{}", call.text());
    let note = &call.answer().text[1];
    assert!(note.contains("process 7") && note.contains(OWN), "{note}");
}

#[test]
fn all_of_several_workspaces_are_waited_for() {
    let world = world_of_two();
    {
        let mut inbox = world.inbox.borrow_mut();
        inbox.is_read(0, 0);
        inbox.has_looked(0);
    }
    let mut call = Call::open_at(&world, "inbox_peek", &json!({}), 10);
    assert!(matches!(call.turn.next, Next::Rest(Rest { until: 210, .. })), "{:?}", call.turn.next);

    {
        let mut inbox = world.inbox.borrow_mut();
        inbox.is_read(1, 100);
        inbox.has_looked(1);
    }

    assert_eq!(call.then(Outcome::Rested, 110).text(), EMPTY);
}
