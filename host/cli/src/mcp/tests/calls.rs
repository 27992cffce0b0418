//! Calls of tools: side by side, cancelled, and failing alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_answer_is_text_alone() {
    let mut wire = Wire::new();

    let answer = wire.ask(1, "tools/call", json!({ "name": "list_peers", "arguments": {} })).await;

    let result = answer["result"].as_object().unwrap();
    assert_eq!(result.keys().collect::<Vec<_>>(), ["content", "isError"]);
    assert_eq!(result["content"][0]["type"], "text");
    assert!(!result["content"][0]["text"].as_str().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tool_is_an_answer_for_the_model() {
    let mut wire = Wire::new();
    for (params, text) in [
        (json!({ "name": "nonsense" }), "Unknown tool: nonsense"),
        (json!({}), "Unknown tool: "),
        (Value::Null, "Unknown tool: "),
    ] {
        let answer = wire.ask(1, "tools/call", params).await;

        assert_eq!(answer["result"]["isError"], true, "{answer}");
        assert_eq!(answer["result"]["content"][0]["text"], text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_call_delays_nothing() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call("slow").await;
    wire.platform.was_asked(1).await;

    for id in 0..100 {
        wire.ask(id, "tools/list", json!({})).await;
    }
    wire.platform.answer(1);

    assert_eq!(wire.answer().await["id"], "slow");
}

#[tokio::test(start_paused = true)]
async fn thirty_two_calls_run_and_the_others_wait_without_delaying_anything_else() {
    let mut wire = Wire::new();
    wire.platform.hold();
    for id in 0..40 {
        wire.call(id).await;
    }
    wire.platform.was_asked(32).await;
    wire.is_silent().await;
    assert_eq!(wire.platform.asked(), 32);

    wire.platform.answer(40);

    let mut answered = Vec::new();
    for _ in 0..40 {
        answered.push(wire.answer().await["id"].as_i64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_dropped_and_never_answered() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.platform.was_asked(1).await;

    wire.notify("notifications/cancelled", json!({ "requestId": 1, "reason": "user-cancel" })).await;
    wire.is_silent().await;

    assert_eq!(wire.platform.given_up(), 1);
    wire.platform.answer(1);
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn cancelled_calls_make_way_for_those_that_wait() {
    let mut wire = Wire::new();
    wire.platform.hold();
    for id in 0..33 {
        wire.call(id).await;
    }
    wire.platform.was_asked(32).await;

    wire.notify("notifications/cancelled", json!({ "requestId": 0 })).await;

    wire.platform.was_asked(33).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_meets_only_the_request_it_names() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.call("2").await;
    wire.platform.was_asked(2).await;

    for id in [json!("1"), json!(2), json!(3), json!(1.0), json!(null), json!({})] {
        wire.notify("notifications/cancelled", json!({ "requestId": id })).await;
    }
    wire.is_silent().await;
    assert_eq!(wire.platform.given_up(), 0);
    wire.platform.answer(2);

    let mut answered = vec![wire.answer().await["id"].to_string(), wire.answer().await["id"].to_string()];
    answered.sort_unstable();
    assert_eq!(answered, ["\"2\"", "1"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_used_again_after_a_cancel_gets_the_answer_of_its_own_call() {
    let mut wire = Wire::new();
    wire.platform.hold();
    for round in 1..50 {
        wire.call(7).await;
        wire.platform.was_asked(round).await;
        wire.notify("notifications/cancelled", json!({ "requestId": 7 })).await;
    }
    wire.call(7).await;
    wire.platform.was_asked(50).await;
    wire.platform.answer(1);

    let answer = wire.answer().await;
    assert_eq!(answer["result"]["isError"], false, "{answer}");
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_request_with_an_id_in_flight_is_refused_and_the_first_is_answered() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.call(1).await;

    let refusal = wire.answer().await;
    wire.platform.answer(2);
    let answer = wire.answer().await;

    assert_eq!(code(&refusal), -32600);
    assert!(refusal.get("id").is_none());
    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["isError"], false);
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn an_id_may_be_used_again_once_it_was_answered() {
    let mut wire = Wire::new();
    for _ in 0..3 {
        let answer = wire.ask(1, "tools/call", json!({ "name": "list_peers" })).await;
        assert_eq!(answer["result"]["isError"], false);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_is_an_answer_and_the_next_call_works() {
    let mut wire = Wire::new();
    wire.platform.panics.store(1, Ordering::SeqCst);
    let answer = wire.ask(1, "tools/call", json!({ "name": "list_peers" })).await;
    assert_eq!(answer["result"]["isError"], true);
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains("try again"));

    wire.platform.panics.store(0, Ordering::SeqCst);
    let answer = wire.ask(2, "tools/call", json!({ "name": "list_peers" })).await;

    assert_eq!(answer["result"]["isError"], false);
}
