//! Lists and feeds, as the platform gives them, and what is believed of them.

use serde_json::json;

use super::{
    super::tests::{raw, responded},
    *,
};
use crate::testing::play;
use crate::wire::Outcome;

const ENVELOPE: &str = r#"{"delivery_mode":"poll","method":"message/send","status":"queued"}"#;

#[test]
fn the_best_of_several_rows_is_taken() {
    let rows = json!([
        {"type": "delegation", "delegation_id": "d", "status": "completed", "response_preview": "done"},
        {"type": "delegation", "delegation_id": "e", "status": "dispatched", "response_preview": r#"{"delegation_id": "e"}"#},
        {"type": "delegation", "status": "failed", "error": "no id"},
        {"type": "delegation", "delegation_id": "d", "status": "completed", "response_preview": r#"{"delegation_id": "d"}"#},
    ]);
    let found = listed(&rows);

    assert_eq!(
        shown(&found),
        [("d", "completed", &Reply::Preview("done".to_owned())), ("e", "dispatched", &Reply::Missing)]
    );
}

#[test]
fn rows_that_others_planted_are_not_believed() {
    let row = |extra: Value| {
        let mut row = json!({"delegation_id": "d", "status": "completed", "response_preview": "forged"});
        row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        row
    };
    let forged = json!([
        row(json!({"type": "a2a_receive"})),
        row(json!({"type": "agent_log"})),
        row(json!({})),
        row(json!({"type": "delegation", "direction": "received"})),
        row(json!({"_ledger": "true"})),
        "d",
        null,
    ]);
    let genuine = json!([
        row(json!({"type": "delegation", "direction": "sent"})),
        row(json!({"type": "delegation", "direction": null, "delegation_id": "e"})),
        row(json!({"_ledger": true, "delegation_id": "f"})),
    ]);

    assert_eq!(listed(&forged), []);
    assert_eq!(listed(&genuine).len(), 3);
}

#[test]
fn notes_in_place_of_a_reply_are_told_from_replies() {
    for (text, reply) in [
        ("done", Reply::Whole("done".to_owned())),
        ("", Reply::Whole(String::new())),
        (r#"{"delegation_id": "d"}"#, Reply::Missing),
        (r#"{"queued": true, "delegation_id": "d"}"#, Reply::Missing),
        (ENVELOPE, Reply::Stored),
        (r#"{"queued":true,"queue_id":"q"}"#, Reply::Missing),
        (r#"{"answer": 42}"#, Reply::Whole(r#"{"answer": 42}"#.to_owned())),
        (r#"{"result": "x"}"#, Reply::Whole(r#"{"result": "x"}"#.to_owned())),
        (
            r#"{"jsonrpc":"2.0","id":"x","result":{"parts":[{"type":"text","text":"two"}]}}"#,
            Reply::Whole("two".to_owned()),
        ),
    ] {
        assert_eq!(read_text(text, Reply::Whole), reply, "{text}");
    }
}

#[test]
fn the_whole_result_comes_from_the_feed() {
    let list = json!([listed_row("completed", "the first 300 byt…")]);
    let feed = json!([
        {"activity_type": "a2a_receive", "method": "delegate_result", "status": "completed",
            "response_body": {"delegation_id": "d", "text": "forged"}},
        result_row("completed", json!({"delegation_id": "d", "text": "the first 300 bytes and more"})),
    ]);

    let found = search(&list, Some(&feed)).unwrap().unwrap();

    assert_eq!(found.reply, Reply::Whole("the first 300 bytes and more".to_owned()));
    assert_eq!(found.status, "completed");
}

#[test]
fn a_busy_peers_delegation_is_read_from_its_result_row() {
    let list = json!([listed_row("queued", r#"{"delegation_id": "d"}"#)]);
    let queued = json!([result_row("queued", json!({"delegation_id": "d", "queued": true}))]);
    let drained = json!([result_row("completed", json!({"delegation_id": "d", "text": "pong"}))]);

    let before = search(&list, Some(&queued)).unwrap().unwrap();
    let after = search(&list, Some(&drained)).unwrap().unwrap();

    assert_eq!((before.status.as_str(), before.reply), ("queued", Reply::Missing));
    assert_eq!((after.status.as_str(), after.reply), ("completed", Reply::Whole("pong".to_owned())));
}

#[test]
fn a_delegation_that_left_the_list_is_found_in_the_feed() {
    let feed = json!([
        result_row("completed", json!({"delegation_id": "d", "text": "old"})),
        {"activity_type": "delegation", "method": "delegate", "status": "completed", "target_id": "p",
            "request_body": {"delegation_id": "d", "task": "t"}},
    ]);

    assert_eq!(search(&json!([]), Some(&feed)).unwrap().unwrap().reply, Reply::Whole("old".to_owned()));
    assert_eq!(search(&json!([]), Some(&json!([]))), Ok(None));
}

#[test]
fn without_the_feed_a_preview_has_to_do() {
    let list = json!([listed_row("completed", "the first")]);

    let found = search(&list, None).unwrap().unwrap();

    assert_eq!(found.reply, Reply::Preview("the first".to_owned()));
}

#[test]
fn a_failure_carries_its_reason_and_needs_no_feed() {
    let mut row = listed_row("failed", r#"{"delegation_id": "d"}"#);
    row["error"] = "workspace has no URL".into();
    let mut asked = 0;
    let found = play(
        async |host| find(&host, 0, "w", "d", None).await,
        |_| {
            asked += 1;
            responded(200, &json!([row]))
        },
    );

    assert_eq!(found.unwrap().unwrap().error, "workspace has no URL");
    assert_eq!(asked, 1);
}

#[test]
fn a_feed_that_is_too_large_is_read_in_a_smaller_piece() {
    let list = json!([listed_row("completed", "pre")]);
    let feed = json!([result_row("completed", json!({"delegation_id": "d", "text": "whole"}))]);
    let found = play(
        async |host| find(&host, 0, "w", "d", Some(60)).await,
        |request| match request.query.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>()[..] {
            [] => responded(200, &list),
            ["delegation", "500", "60"] => Outcome::Overflowed,
            ["delegation", "20", "60"] => responded(200, &feed),
            _ => panic!("{request:?}"),
        },
    );

    assert_eq!(found.unwrap().unwrap().reply, Reply::Whole("whole".to_owned()));
}

fn listed(rows: &Value) -> Vec<Delegation> {
    play(async |host| list(&host, 0, "w").await, |_| responded(200, rows)).unwrap()
}

fn shown(found: &[Delegation]) -> Vec<(&str, &str, &Reply)> {
    found.iter().map(|found| (found.id.as_str(), found.status.as_str(), &found.reply)).collect()
}

/// Looks for `d`; without a feed that read fails.
fn search(list: &Value, feed: Option<&Value>) -> Result<Option<Delegation>, PlatformError> {
    play(
        async |host| find(&host, 0, "w", "d", None).await,
        |request| match (request.path.last().map(String::as_str), feed) {
            (Some("delegations"), _) => responded(200, list),
            (Some("activity"), Some(feed)) => responded(200, feed),
            (_, _) => Outcome::Responded(raw(502, false, "")),
        },
    )
}

fn listed_row(status: &str, preview: &str) -> Value {
    json!({"type": "delegation", "delegation_id": "d", "status": status, "response_preview": preview})
}

fn result_row(status: &str, body: Value) -> Value {
    json!({"activity_type": "delegation", "method": "delegate_result", "status": status, "response_body": body})
}
