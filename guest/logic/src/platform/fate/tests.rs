//! Answers of the platform, as it gives them, and what they mean.

use serde_json::json;

use super::{super::tests::raw, *};

#[test]
fn every_envelope_under_a_success_is_told_apart() {
    for (envelope, fate) in [
        (json!({"result": "hi"}), answered("hi")),
        (json!({"result": {"kind": "message", "parts": [text("hi")]}}), answered("hi")),
        (json!({"result": {"parts": [{"type": "text", "text": "a"}, text("b")]}}), answered("a\nb")),
        (json!({"result": {"parts": [{"root": text("old")}]}}), answered("old")),
        (json!({"result": {"message": {"parts": [text("hi")]}}}), answered("hi")),
        (json!({"result": {"parts": []}}), answered("(no response)")),
        (json!({"result": {"parts": "hi"}}), answered("(no response)")),
        (json!({"result": {"parts": [{"kind": "text"}]}}), answered("")),
        (json!({"result": null}), answered("(no response)")),
        (json!({"result": "hi", "error": null}), answered("hi")),
        (task("completed"), answered("a\ns")),
        (task("TASK_STATE_FAILED"), failed("its task ended as failed", "a\ns")),
        (
            json!({"result": {"parts": [text("Agent error: out of tokens")]}}),
            failed("its agent reported an error", "Agent error: out of tokens"),
        ),
        (
            json!({"error": {"code": -32603, "message": " broken "}}),
            failed("its agent answered with an error (code=-32603)", "broken"),
        ),
        (json!({"error": {"code": 0}}), failed("JSON-RPC error with no message (code=0)", "")),
        (json!({"error": {}}), failed("JSON-RPC error with no message", "")),
        (
            json!({"error": "out of tokens", "restarting": true, "retry_after": 15}),
            failed("its agent answered with an error (restarting, retry_after=15s)", "out of tokens"),
        ),
        (
            json!({"error": "agent returned empty response body"}),
            failed("its agent answered with an error", "agent returned empty response body"),
        ),
        (json!({"delivery_mode": "poll", "method": "message/send", "status": "queued"}), Fate::Stored),
        (json!({"delivery_mode": "push-async", "status": "queued"}), queued_as("")),
        (json!({"queued": true, "queue_id": "q", "queue_depth": 3}), queued_as("q")),
        (json!({"queued": true}), queued_as("")),
        (json!({"queued": "yes"}), malformed(r#"{"queued":"yes"}"#)),
        (json!({"status": "queued"}), malformed(r#"{"status":"queued"}"#)),
        (json!({}), malformed("{}")),
        (json!(["hi"]), malformed(r#"["hi"]"#)),
        (json!(null), malformed("null")),
    ] {
        assert_eq!(read(&Ok(raw(200, true, &envelope.to_string()))), fate, "{envelope}");
    }
}

#[test]
fn a_status_that_is_no_success_tells_whether_another_attempt_is_safe() {
    for (status, body, again) in [
        (502, json!({"error": "failed to reach workspace agent"}), Some(0)),
        (503, json!({"error": "waking", "waking": true, "retry_after": 15}), Some(15_000)),
        (503, json!({"error": "unreachable", "restarting": true}), Some(1_000)),
        (503, json!({"error": "not running", "restarting": true, "preflight": true}), Some(1_000)),
        (503, json!({"code": "platform_unavailable", "error": "datastore"}), Some(1_000)),
        (429, json!({"error": "rate limit exceeded", "retry_after": 0}), Some(1_000)),
        (429, json!({"error": "rate limit exceeded", "retry_after": 9_000}), Some(LONGEST_PAUSE_MS)),
        (502, json!({"error": "workspace URL is not publicly routable"}), None),
        (503, json!({"error": "workspace has no URL", "status": "awaiting_agent"}), None),
    ] {
        let fate = read(&Ok(raw(status, true, &body.to_string())));
        assert!(matches!(&fate, Fate::NotSent { again: pause, .. } if *pause == again), "{body}: {fate:?}");
    }
}

#[test]
fn what_may_have_arrived_is_never_called_failed() {
    let busy = json!({"busy": true, "error": "workspace agent busy", "retry_after": 30}).to_string();
    let cut = json!({"delivery_confirmed": true, "error": "failed to read agent response"}).to_string();
    for (answer, arrived) in [
        (Ok(raw(503, true, &busy)), false),
        (Ok(raw(502, true, &cut)), true),
        (Ok(raw(504, true, r#"{"error":"Gateway Timeout"}"#)), false),
        (Ok(raw(524, false, "<html>a timeout occurred</html>")), false),
        (Ok(raw(500, false, "")), false),
        (Err(NoAnswer::Overflowed), true),
        (Err(NoAnswer::Unreachable { reason: "reset".to_owned(), maybe_sent: true }), false),
    ] {
        let fate = read(&answer);
        assert!(matches!(fate, Fate::Unknown { arrived: known, .. } if known == arrived), "{fate:?}");
    }
}

#[test]
fn other_refusals_are_failures_in_the_words_of_the_platform() {
    for (status, body, why) in [
        (500, json!({"error": "out of\ntokens"}), "HTTP 500: out of tokens"),
        (502, json!({"error": "Bad Gateway"}), "HTTP 502: Bad Gateway"),
        (429, json!({"error": "Too Many Requests"}), "HTTP 429: Too Many Requests"),
        (
            502,
            json!({"delivery_confirmed": false, "error": "failed to read agent response"}),
            "HTTP 502: failed to read agent response",
        ),
        (418, json!({"tea": 1}), r#"HTTP 418: {"tea":1}"#),
    ] {
        assert_eq!(read(&Ok(raw(status, true, &body.to_string()))), failed(why, ""), "{body}");
    }
}

#[test]
fn bodies_that_are_no_json_are_a_page_or_the_words_of_the_peer() {
    let plain = "  plain <text>\n";

    assert_eq!(read(&Ok(raw(201, true, plain))), answered(plain));
    assert_eq!(read(&Ok(raw(200, true, ""))), failed("its agent returned an empty response body", ""));
    assert_eq!(read(&Ok(raw(200, true, "<html>login</html>"))), malformed("<html>login</html>"));
    for (status, body) in [(200, "<html>login</html>"), (200, ""), (404, ""), (403, ""), (302, "")] {
        let fate = read(&Ok(raw(status, false, body)));
        assert!(matches!(fate, Fate::NotSent { again: None, .. }), "{status}: {fate:?}");
    }
}

#[test]
fn a_connection_that_never_stood_may_be_tried_again() {
    let refused = NoAnswer::Unreachable { reason: "connection refused".to_owned(), maybe_sent: false };
    let why = "connection refused".to_owned();
    assert_eq!(read(&Err(refused)), Fate::NotSent { why, again: Some(0) });

    let why = "the body is too large".to_owned();
    assert_eq!(read(&Err(NoAnswer::Refused(why.clone()))), Fate::NotSent { why, again: None });
}

fn text(text: &str) -> Value {
    json!({"kind": "text", "text": text})
}

/// A task whose artifact says `a`, and its state `s`.
fn task(state: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": "x", "result": {
        "kind": "task",
        "id": "t",
        "contextId": "c",
        "status": {"state": state, "message": {"parts": [text("s")]}},
        "artifacts": [{"parts": [text("a")]}],
    }})
}

fn answered(text: &str) -> Fate {
    Fate::Answered(text.to_owned())
}

fn queued_as(queue_id: &str) -> Fate {
    Fate::Queued { queue_id: queue_id.to_owned() }
}
