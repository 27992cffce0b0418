//! Clients that write and do not read.

use super::*;

#[tokio::test(start_paused = true)]
async fn ten_thousand_calls_of_a_client_that_does_not_read_are_all_answered_in_the_end() {
    let mut wire = Wire::with_pipes(4096);
    let mut to = wire.to.take().unwrap();
    let writing = tokio::spawn(async move {
        for id in 0..10_000 {
            let line = format!(
                "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"list_peers\"}}}}\n"
            );
            to.write_all(line.as_bytes()).await.unwrap();
        }
        to
    });
    // Until nothing moves any more.
    time::sleep(LONG).await;
    assert!(!writing.is_finished(), "the rest waits in the pipe");
    assert!(wire.platform.asked() <= 1_100, "{}", wire.platform.asked());

    let mut answered = vec![false; 10_000];
    for _ in 0..10_000 {
        let id = wire.answer().await["id"].as_u64().unwrap();
        answered[usize::try_from(id).unwrap()] = true;
    }

    assert!(answered.iter().all(|answered| *answered));
    wire.to = Some(writing.await.unwrap());
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn refusals_that_nobody_reads_stop_the_reading() {
    let mut wire = Wire::with_pipes(4096);
    let mut to = wire.to.take().unwrap();
    let writing = tokio::spawn(async move {
        for _ in 0..50_000 {
            to.write_all(b"[]\n").await.unwrap();
        }
        to
    });
    time::sleep(LONG).await;
    assert!(!writing.is_finished());

    for _ in 0..50_000 {
        assert_eq!(code(&wire.answer().await), -32600);
    }

    wire.to = Some(writing.await.unwrap());
    wire.is_silent().await;
}
