use std::rc::Rc;

use serde_json::{Value, json};

use super::*;
use crate::{
    inbox::{Message, Staged, rig::PEER},
    platform::tests::responded,
    testing::{Call, OWN, SECOND, world, world_of_two},
    tools::inbox::Shown,
    wire::Next,
};

const FIRST: Workspace = 0;
const OTHER: Workspace = 1;

#[test]
fn a_workspace_is_named_by_its_id_or_by_the_beginning_that_lists_show() {
    let world = world_of_two();

    for (given, found) in [
        (OWN, Some(FIRST)),
        (SECOND, Some(OTHER)),
        (&SECOND.to_uppercase(), Some(OTHER)),
        (&format!(" {SECOND}\n"), Some(OTHER)),
        (&SECOND.replace('-', ""), Some(OTHER)),
        (&SECOND[..8], Some(OTHER)),
        ("", None),
        (" ", None),
    ] {
        assert_eq!(selector(given).named(&world), Ok(found), "{given}");
    }
}

#[test]
fn a_workspace_of_another_server_is_refused_with_those_of_this_one() {
    for given in [PEER, "333", "3333333", "../33333333"] {
        let Err(Failure(text)) = selector(given).named(&world_of_two()) else { panic!("accepted {given}") };

        assert!(text.starts_with("Error: this server does not act for workspace "), "{text}");
        assert!(text.contains(OWN) && text.contains(SECOND), "{text}");
    }
}

#[test]
fn only_several_workspaces_have_selectors_in_their_schemas() {
    let properties = |world: &World| -> Vec<Vec<String>> {
        let specs = crate::tools::specs(world);
        let schemas = specs.iter().map(|spec| serde_json::from_str::<Value>(&spec.input_schema).unwrap());
        schemas.map(|schema| schema["properties"].as_object().unwrap().keys().cloned().collect()).collect()
    };
    let (one, several) = (properties(&world()), properties(&world_of_two()));

    let added: Vec<Vec<String>> = several
        .iter()
        .zip(&one)
        .map(|(several, one)| several.iter().filter(|name| !one.contains(name)).cloned().collect())
        .collect();
    let (source, canvas, none) = (["source_workspace_id"], ["workspace_id"], [""; 0]);
    let expected: [&[&str]; 11] =
        [&source, &source, &source, &source, &source, &canvas, &none, &none, &none, &source, &source];
    assert_eq!(added, expected);
    for spec in crate::tools::specs(&world_of_two()) {
        assert!(!spec.input_schema.contains(MARK), "{}", spec.input_schema);
    }
}

#[test]
fn a_reply_to_the_user_goes_to_the_canvas_that_was_written_on() {
    let world = world_of_two();
    stage(&world, OTHER, "m1", "");
    show_all(&world);

    let mut call = Call::open(&world, "send_message_to_user", &json!({"message": "hello"}));

    assert_eq!((call.request().workspace, &*call.request().path[1]), (OTHER, SECOND));
    call.then(responded(200, &json!({})), 5);
    assert_eq!(call.text(), format!("Message sent to user of workspace {SECOND}"));
}

#[test]
fn a_user_who_is_answered_after_the_pop_is_answered_on_the_same_canvas() {
    let world = world_of_two();
    stage(&world, OTHER, "m1", "");
    show_all(&world);
    world.inbox.borrow_mut().queue_mut().pop("m1");

    let call = Call::open(&world, "send_message_to_user", &json!({"message": "hello"}));

    assert_eq!(call.request().workspace, OTHER);
}

#[test]
fn without_a_message_the_primary_workspace_speaks() {
    let world = world_of_two();
    // It was not shown, so nothing said now is an answer to it.
    stage(&world, OTHER, "m1", "");

    let call = Call::open(&world, "send_message_to_user", &json!({"message": "hello"}));

    assert_eq!(call.request().workspace, FIRST);
}

#[test]
fn where_two_users_wait_the_agent_has_to_say_whom_it_answers() {
    let world = world_of_two();
    stage(&world, FIRST, "m1", "");
    stage(&world, OTHER, "m2", "");
    show_all(&world);

    let call = Call::open(&world, "send_message_to_user", &json!({"message": "hello"}));
    assert!(call.answer().is_error);
    assert!(call.text().contains(OWN) && call.text().contains(SECOND), "{}", call.text());
    assert!(call.text().contains("workspace_id = the arrival_workspace_id"), "{}", call.text());

    let named = json!({"message": "hello", "workspace_id": SECOND});
    assert_eq!(Call::open(&world, "send_message_to_user", &named).request().workspace, OTHER);
    world.inbox.borrow_mut().queue_mut().pop("m2");
    let call = Call::open(&world, "send_message_to_user", &json!({"message": "hello"}));
    assert_eq!(call.request().workspace, FIRST);
}

#[test]
fn a_peer_is_answered_by_the_workspace_it_wrote_to() {
    for tool in ["delegate_task", "delegate_task_async"] {
        let world = world_of_two();
        stage(&world, OTHER, "m1", PEER);
        show_all(&world);
        world.peers.borrow_mut().listed(PEER, FIRST, 0);

        assert_eq!(delegate(&world, tool, &json!({})).request().workspace, OTHER, "{tool}");
        let named = json!({"source_workspace_id": OWN});
        assert_eq!(delegate(&world, tool, &named).request().workspace, FIRST, "{tool}");
    }
}

#[test]
fn a_peer_that_wrote_to_two_workspaces_is_not_answered_by_a_guess() {
    let world = world_of_two();
    stage(&world, FIRST, "m1", PEER);
    stage(&world, OTHER, "m2", PEER);
    show_all(&world);

    let call = delegate(&world, "delegate_task", &json!({}));

    assert!(call.text().contains("source_workspace_id = the arrival_workspace_id"), "{}", call.text());
}

#[test]
fn a_peer_that_did_not_write_is_talked_to_by_the_workspace_that_lists_it() {
    let world = world_of_two();
    assert_eq!(delegate(&world, "delegate_task", &json!({})).request().workspace, FIRST);

    let mut call = Call::open(&world, "list_peers", &json!({"source_workspace_id": SECOND}));
    assert_eq!(call.request().path[1], SECOND);
    call.then(responded(200, &json!([{"id": PEER, "name": "Research"}])), 5);

    assert_eq!(delegate(&world, "delegate_task", &json!({})).request().workspace, OTHER);
}

#[test]
fn an_own_workspace_may_be_delegated_to_by_another_one_only() {
    let world = world_of_two();
    let to = |arguments: Value| Call::open(&world, "delegate_task", &arguments);

    let own = to(json!({"workspace_id": SECOND, "task": "t", "source_workspace_id": SECOND}));
    assert!(own.text().contains("your own workspace"), "{}", own.text());
    assert_eq!(to(json!({"workspace_id": SECOND, "task": "t"})).request().workspace, FIRST);
}

#[test]
fn peers_of_all_workspaces_are_listed_with_the_one_that_has_them() {
    let world = world_of_two();
    let mut call = Call::open(&world, "list_peers", &json!({}));
    assert_eq!(call.request().path[1], OWN);
    call.then(responded(200, &json!([{"id": "p1", "name": "Research", "status": "online"}])), 5);
    assert_eq!(call.request().path[1], SECOND);
    call.then(responded(500, &json!({})), 6);

    assert_eq!(
        call.text(),
        "- Research (ID: p1, status: online, role: , via: 11111111)\nPeers of other workspaces are not known: \
         [33333333] Platform error: HTTP 500. Try again in a minute."
    );
}

#[test]
fn a_workspace_whose_token_is_refused_is_not_asked_and_named() {
    let world = world_of_two();
    world.note_refusal(FIRST, "Its token is refused.".to_owned());

    let mut call = Call::open(&world, "list_peers", &json!({}));
    assert_eq!(call.request().path[1], SECOND);
    call.then(responded(200, &json!([])), 5);

    assert_eq!(call.text(), "No peers found. [11111111] Its token is refused.");
    let mut call = Call::open(&world, "get_workspace_info", &json!({}));
    call.then(responded(200, &json!({"id": OWN})), 6);
    let info: Value = serde_json::from_str(call.text()).unwrap();
    assert_eq!(
        info["acts_for"],
        json!([{"workspace_id": OWN, "refused": "Its token is refused."}, {"workspace_id": SECOND}])
    );
}

#[test]
fn a_task_is_looked_for_in_all_workspaces() {
    let world = world_of_two();
    let mut call = Call::open(&world, "check_task_status", &json!({"task_id": "d1"}));
    let mut asked = Vec::new();
    while let Some(workspace) = asks(&call) {
        asked.push(workspace);
        let outcome = if workspace == OTHER {
            responded(200, &json!([{"type": "delegation", "delegation_id": "d1", "status": "in_progress"}]))
        } else {
            responded(200, &json!([]))
        };
        call.then(outcome, 5);
    }

    assert_eq!((asked.first(), asked.last()), (Some(&FIRST), Some(&OTHER)));
    assert!(call.text().contains("in_progress"), "{}", call.text());
}

#[test]
fn memory_is_the_primary_ones_unless_another_is_named() {
    let world = world_of_two();
    for (tool, arguments) in
        [("commit_memory", json!({"content": "fact"})), ("recall_memory", json!({"scope": "LOCAL"}))]
    {
        let mut named = arguments.clone();
        named["source_workspace_id"] = SECOND.into();

        assert_eq!(Call::open(&world, tool, &arguments).request().workspace, FIRST, "{tool}");
        assert_eq!(Call::open(&world, tool, &named).request().workspace, OTHER, "{tool}");
    }
}

fn selector(text: &str) -> Selector {
    Selector(Text(text.to_owned()))
}

fn asks(call: &Call) -> Option<Workspace> {
    let Next::Send(request) = &call.turn.next else { return None };
    Some(request.workspace)
}

fn delegate(world: &Rc<World>, tool: &str, more: &Value) -> Call {
    let mut arguments = json!({"workspace_id": PEER, "task": "t"});
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Call::open(world, tool, &arguments)
}

#[test]
fn a_message_says_which_workspace_it_came_to_if_there_are_several() {
    for (world, workspace, arrival) in [
        (world(), FIRST, Value::Null),
        (world_of_two(), OTHER, SECOND.into()),
        (world_of_two(), FIRST, OWN.into()),
    ] {
        stage(&world, workspace, "m1", "");
        let inbox = world.inbox.borrow();
        let staged = inbox.queue().ready().next().unwrap();

        let shown = serde_json::to_value(Shown::new(&world, staged, 0)).unwrap();

        assert_eq!(shown.get("arrival_workspace_id").cloned().unwrap_or_default(), arrival);
    }
}

/// Puts a message into the inbox that came to `workspace`, from the user or from a peer.
fn stage(world: &World, workspace: Workspace, id: &str, peer: &str) {
    let kind = if peer.is_empty() { "canvas_user" } else { "peer_agent" };
    let message: Message = serde_json::from_value(json!({
        "activity_id": id, "text": id, "peer_id": peer, "kind": kind, "method": "message/send",
        "created_at": "2026-05-01T00:00:00Z",
    }))
    .unwrap();
    let mut inbox = world.inbox.borrow_mut();
    inbox.queue_mut().stage(Staged::new(Rc::new(Message { workspace, ..message }), true));
    inbox.queue_mut().publish(workspace);
}

/// The agent looks at its inbox.
fn show_all(world: &World) {
    let mut inbox = world.inbox.borrow_mut();
    inbox.queue_mut().look(0, 10).for_each(|(staged, _)| drop(Shown::new(world, staged, 0)));
}
