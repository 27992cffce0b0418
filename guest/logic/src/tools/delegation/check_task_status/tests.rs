//! What an agent reads about tasks in every state.

use serde_json::json;

use super::*;
use crate::{
    platform::tests::{raw, responded, unreachable},
    testing::{Call, OWN, assert_says, settings, world},
    wire::Outcome,
};

const ENVELOPE: &str = r#"{"delivery_mode":"poll","method":"message/send","status":"queued"}"#;

#[test]
fn its_description_says_what_agents_rely_on() {
    assert_says(
        "check_task_status",
        &["pending", "in_progress", "queued", "completed", "failed"],
        &[("task_id", "delegate_task_async")],
    );
}

#[test]
fn a_finished_task_gives_the_whole_answer_and_says_whose_words_it_is() {
    let mut call = check("d");
    assert_eq!(call.request().path, ["workspaces", OWN, "delegations"]);
    call.then(responded(200, &json!([row("completed", "the be…")])), 1);
    assert_eq!(call.request().path, ["workspaces", OWN, "activity"]);
    call.then(responded(200, &json!([result("the beginning\nand the end")])), 2);

    let told = told(&call);
    assert_eq!(told["status"], "completed");
    assert_eq!(told["state"], "answered");
    assert_eq!(told["result"], "the beginning\nand the end");
    assert_eq!(told["target_id"], "p");
    assert_eq!(told["created_at"], "2026-11-23T03:35:43.17961Z");
    assert_eq!(told.get("preview"), None);
    assert_eq!(told.as_object().unwrap().keys().next().map(String::as_str), Some("about"));
}

#[test]
fn a_preview_is_marked_as_one() {
    let mut call = check("d");
    call.then(responded(200, &json!([row("completed", "the be…")])), 1);
    call.then(Outcome::Responded(raw(500, false, "")), 2);

    let told = told(&call);
    assert_eq!((&told["response_preview"], &told["preview"]), (&json!("the be…"), &json!(true)));
    assert_eq!(told.get("result"), None);
}

#[test]
fn a_queued_envelope_is_not_an_answer() {
    let mut call = check("d");
    call.then(
        responded(200, &json!([row("completed", ENVELOPE), row("completed", r#"{"delegation_id":"d"}"#)])),
        1,
    );

    let told = told(&call);
    assert_eq!(told["state"], "stored");
    assert!(told["note"].as_str().unwrap().contains("as a message"));
    assert!(!call.text().contains("delivery_mode"));
}

#[test]
fn an_answer_that_tells_of_an_error_is_said_to_be_one() {
    let kept = r#"{"jsonrpc":"2.0","id":"1","error":{"code":-3,"message":"bad"}}"#;
    let mut call = check("d");
    call.then(responded(200, &json!([row("completed", kept)])), 1);
    call.then(responded(200, &json!([result(kept)])), 2);

    let told = told(&call);
    assert_eq!(told["error"], "its agent answered with an error (code=-3): bad");
    assert!(told["note"].as_str().unwrap().starts_with("It failed for good"));
}

#[test]
fn a_completed_task_without_an_answer_is_said_to_be_one() {
    let mut call = check("d");
    call.then(responded(200, &json!([row("completed", r#"{"delegation_id":"d"}"#)])), 1);
    call.then(responded(200, &json!([])), 2);

    let told = told(&call);
    assert_eq!(told["state"], "unknown");
    assert!(told["note"].as_str().unwrap().contains("no text of the answer"));
}

#[test]
fn a_failure_tells_its_reason_without_credentials() {
    let mut failed = row("failed", "");
    failed["error"] = "no: Bearer abcdefghijklmnop1234".into();
    let mut call = check("d");
    call.then(responded(200, &json!([failed])), 1);

    let told = told(&call);
    assert_eq!((&told["status"], &told["error"]), (&json!("failed"), &json!("no: <redacted-secret>")));
}

#[test]
fn an_unknown_task_is_not_found() {
    let mut call = check(" d ");
    call.then(
        responded(200, &json!([{"type": "a2a_receive", "delegation_id": "d", "status": "completed"}])),
        1,
    );
    call.then(responded(200, &json!([])), 2);

    let told = told(&call);
    assert_eq!((&told["status"], &told["delegation_id"]), (&json!("not_found"), &json!("d")));
}

#[test]
fn the_late_answer_of_a_busy_peer_is_found_by_its_queue_id() {
    let id = "44444444-4444-4444-8444-444444444444";
    let mut call = check(id);
    call.then(responded(200, &json!([])), 1).then(responded(200, &json!([])), 2);
    assert_eq!(call.request().path, ["workspaces", OWN, "a2a", "queue", id]);
    let answer =
        json!({"jsonrpc": "2.0", "id": "x", "result": {"parts": [{"kind": "text", "text": "late"}]}});
    call.then(
        responded(
            200,
            &json!({"queue_id": id, "workspace_id": "p", "status": "completed", "response_body": answer}),
        ),
        3,
    );

    let told = told(&call);
    assert_eq!(
        (&told["state"], &told["result"], &told["target_id"]),
        (&json!("answered"), &json!("late"), &json!("p"))
    );
}

#[test]
fn without_an_id_the_latest_tasks_are_listed() {
    let rows: Vec<Value> = (0..12)
        .map(|nr| json!({"type": "delegation", "delegation_id": format!("d{nr}"), "status": "queued"}))
        .collect();
    let mut call = check("");
    call.then(responded(200, &json!(rows)), 1);

    let told = told(&call);
    assert_eq!((told["delegations"].as_array().map(Vec::len), &told["count"]), (Some(LISTED), &json!(12)));
    assert_eq!(
        told["delegations"][0],
        json!({"delegation_id": "d0", "target_id": "", "status": "queued", "state": "queued", "summary": "",
            "response_preview": ""})
    );
}

#[test]
fn a_list_that_cannot_be_read_is_an_error() {
    for (outcome, said) in [
        (
            responded(500, &json!({"error": "query failed"})),
            "Error: failed to check delegations (500): query failed",
        ),
        (responded(401, &json!({"error": "no"})), "Error: failed to check delegations (401)"),
        (responded(200, &json!({})), "Error checking delegations: HTTP 200, but the body was not a list"),
        (unreachable(false), "Error checking delegations: connection reset"),
    ] {
        let mut call = check("d");
        call.then(outcome, 1);
        assert!(call.text().starts_with(said), "{}", call.text());
        assert!(call.answer().is_error);
    }
}

#[test]
fn a_program_gets_the_same_facts() {
    let world = Rc::new(World::new(crate::wire::Settings { structured: true, ..settings() }));
    let mut call = Call::open(&world, "check_task_status", &json!({"task_id": "d"}));
    call.then(responded(200, &json!([row("failed", "")])), 1);

    let structured: Value = serde_json::from_str(call.answer().structured.as_deref().unwrap()).unwrap();
    assert_eq!(structured, told(&call));
}

fn check(task_id: &str) -> Call {
    Call::open(&world(), "check_task_status", &json!({"workspace_id": "p", "task_id": task_id}))
}

fn row(status: &str, preview: &str) -> Value {
    json!({"id": "r", "type": "delegation", "delegation_id": "d", "source_id": OWN, "target_id": "p", "status": status,
        "summary": format!("Delegation completed ({preview})"), "created_at": "2026-11-23T03:35:43.17961Z", "response_preview": preview})
}

fn result(text: &str) -> Value {
    json!({"activity_type": "delegation", "method": "delegate_result", "status": "completed",
        "response_body": {"delegation_id": "d", "text": text}})
}

fn told(call: &Call) -> Value {
    assert!(!call.answer().is_error, "{}", call.text());
    serde_json::from_str(call.text()).unwrap()
}
