//! Notes of progress: for whom, how often, and when no longer.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_call_that_lasts_is_spoken_of_every_ten_seconds_in_both_eras() {
    let mut without_handshake = stateless("2026-07-28");
    without_handshake["progressToken"] = json!("t");
    for meta in [json!({ "progressToken": "t" }), without_handshake] {
        let mut wire = Wire::new();
        wire.platform.hold();
        let start = time::Instant::now();
        call(&mut wire, 1, &meta).await;

        for secs in [10, 20, 30] {
            let note = wire.answer().await;

            assert_eq!(start.elapsed().as_secs(), secs);
            assert_eq!((&note["jsonrpc"], note.get("id")), (&json!("2.0"), None));
            assert_eq!(note["method"], "notifications/progress");
            let message = format!("still at it after {secs} s");
            assert_eq!(
                note["params"],
                json!({ "progressToken": "t", "progress": secs as f64, "message": message })
            );
        }
        wire.platform.answer(1);
        assert_eq!(wire.answer().await["id"], 1);
        says_nothing_more(&mut wire).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_token_is_not_spoken_of() {
    for meta in
        [json!({}), json!({ "progressToken": 1.5 }), json!({ "progressToken": null }), json!({ "x": 1 })]
    {
        let mut wire = Wire::new();
        wire.platform.hold();
        call(&mut wire, 1, &meta).await;
        time::sleep(LONG / 2).await;

        wire.platform.answer(1);

        assert_eq!(wire.answer().await["id"], 1, "{meta}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_beside_each_other_are_spoken_of_under_their_own_tokens() {
    let mut wire = Wire::new();
    wire.platform.hold();
    for token in [json!(7), json!("7")] {
        call(&mut wire, token.clone(), &json!({ "progressToken": token })).await;
    }

    let mut told = [wire.answer().await, wire.answer().await];

    told.sort_by_key(|note| note["params"]["progressToken"].to_string());
    assert_eq!(told[0]["params"]["progressToken"], "7");
    assert_eq!(told[1]["params"]["progressToken"], 7);
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_their_turn_are_spoken_of_too() {
    let mut wire = Wire::new();
    wire.platform.hold();
    for id in 0..32 {
        wire.call(id).await;
    }
    call(&mut wire, 32, &json!({ "progressToken": "last" })).await;

    assert_eq!(wire.answer().await["params"]["progressToken"], "last");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_spoken_of() {
    let mut wire = Wire::new();
    wire.platform.hold();
    call(&mut wire, 1, &json!({ "progressToken": 1 })).await;
    wire.platform.was_asked(1).await;

    wire.notify("notifications/cancelled", json!({ "requestId": 1 })).await;

    says_nothing_more(&mut wire).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_buried_in_notes() {
    let mut wire = Wire::with_pipes(64 << 10);
    wire.platform.hold();
    for id in 0..32 {
        call(&mut wire, id, &json!({ "progressToken": "x".repeat(1 << 20) })).await;
    }

    time::sleep(100 * LONG).await;

    wire.platform.answer(32);
    let (answers, _, _) = wire.end().await;
    let notes = answers.iter().filter(|answer| answer["method"] == "notifications/progress").count();
    assert!((16..=48).contains(&notes), "{notes}");
}

/// Calls the tool that makes one request of the platform.
async fn call(wire: &mut Wire, id: impl Into<Value>, meta: &Value) {
    let params = json!({ "name": "list_peers", "arguments": {}, "_meta": meta });
    wire.request(id, "tools/call", params).await;
}

async fn says_nothing_more(wire: &mut Wire) {
    time::sleep(LONG).await;
    wire.is_silent().await;
}
