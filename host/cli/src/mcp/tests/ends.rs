//! How the service ends: at the end of the input, by order, or because nobody reads.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_ends_an_idle_service_at_once() {
    let (answers, ended, after) = Wire::new().end().await;

    assert_eq!((answers.len(), ended, after), (0, Ended::Input, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_open_subscription_ends_with_the_input() {
    let mut wire = Wire::new();
    let listen = json!({ "_meta": stateless("2026-07-28"), "notifications": { "toolsListChanged": true } });
    wire.request("listen:0", "subscriptions/listen", listen).await;
    wire.answer().await;

    let (answers, ended, after) = wire.end().await;

    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0]["id"], "listen:0");
    assert_eq!((ended, after), (Ended::Input, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_ready_in_time_are_answered_after_the_end_of_the_input() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.platform.was_asked(1).await;
    let platform = Arc::clone(&wire.platform);
    tokio::spawn(async move {
        time::sleep(Duration::from_millis(1_500)).await;
        platform.answer(1);
    });

    let (answers, ended, after) = wire.end().await;

    assert_eq!(answers[0]["id"], 1);
    assert_eq!((ended, after), (Ended::Input, Duration::from_millis(1_500)));
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_not_ready_in_time_are_dropped() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.platform.was_asked(1).await;
    let platform = Arc::clone(&wire.platform);

    let (answers, ended, after) = wire.end().await;

    assert_eq!((answers.len(), ended, after), (0, Ended::Input, Duration::from_secs(2)));
    tokio::task::yield_now().await;
    assert_eq!(platform.given_up(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_last_line_without_a_line_end_is_served_if_it_is_whole() {
    let mut wire = Wire::new();
    wire.write(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    let (answers, ..) = wire.end().await;
    assert_eq!(answers, [json!({ "jsonrpc": "2.0", "id": 1, "result": {} })]);

    let mut wire = Wire::new();
    wire.write(br#"{"jsonrpc":"2.0","id":1,"method":"pi"#).await;
    let (answers, ended, _) = wire.end().await;
    assert_eq!((answers.len(), ended), (0, Ended::Input));
}

#[tokio::test(start_paused = true)]
async fn an_order_to_stop_is_obeyed_at_once_also_when_busy() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.platform.was_asked(1).await;
    let start = time::Instant::now();

    wire.stop.cancel();

    assert_eq!(wire.serving.await.unwrap(), Ended::Stopped);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_any_more_ends_the_service_at_the_next_answer() {
    let mut wire = Wire::new();
    let (_, nobody) = tokio::io::duplex(1);
    wire.from = BufReader::new(nobody);

    wire.request(1, "ping", json!({})).await;

    assert_eq!(wire.serving.await.unwrap(), Ended::Output);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_answers_unread_does_not_hold_the_end() {
    let mut wire = Wire::with_pipes(64);
    for id in 0..10 {
        wire.request(id, "tools/list", json!({})).await;
    }
    let start = time::Instant::now();
    drop(wire.to.take());

    assert_eq!(wire.serving.await.unwrap(), Ended::Input);
    assert!(start.elapsed() <= Duration::from_secs(2), "{:?}", start.elapsed());
}
