//! What is learned of a client from what it says.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_is_known_by_its_handshake_or_by_what_its_requests_say() {
    let mut greeted = Wire::new();
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "codex-mcp-client", "version": "0.171.0" },
    });
    greeted.ask(1, "initialize", hello).await;
    assert_eq!(known(&greeted), ("codex-mcp-client".to_owned(), "0.171.0".to_owned(), None));

    let mut stateless_client = Wire::new();
    stateless_client.ask(1, "server/discover", json!({ "_meta": stateless("2026-07-28") })).await;
    assert_eq!(known(&stateless_client), ("claude-code".to_owned(), "2.1.330".to_owned(), None));
}

#[tokio::test(start_paused = true)]
async fn the_thread_of_the_last_call_is_known() {
    let mut wire = Wire::new();
    for thread in ["thread-1", "thread-2"] {
        let params = json!({ "name": "no_such_tool", "arguments": {}, "_meta": { "threadId": thread } });
        wire.ask(thread, "tools/call", params).await;
        assert_eq!(known(&wire).2.as_deref(), Some(thread));
    }
}

fn known(wire: &Wire) -> (String, String, Option<String>) {
    let Introduction { name, version, thread } = wire.introduction.borrow().clone();
    (name, version, thread)
}
