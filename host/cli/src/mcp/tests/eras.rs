//! Both eras of the protocol, and none at all.

use super::*;
use rmcp::model::ProtocolVersion;

#[tokio::test(start_paused = true)]
async fn a_handshake_agrees_on_the_version_of_the_client() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut wire = Wire::new();

        let answer = wire.ask(0, "initialize", hello(version)).await;

        let result = &answer["result"];
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "molecule");
        assert_eq!(result["serverInfo"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(result["serverInfo"]["title"], "Molecule");
        assert_eq!(result["capabilities"], json!({ "resources": { "subscribe": true }, "tools": {} }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_without_a_handshake_or_unheard_of_is_answered_with_the_newest_that_has_one() {
    let mut wire = Wire::new();
    for version in ["2026-07-28", "2099-01-01", "1.0", ""] {
        let answer = wire.ask(version, "initialize", hello(version)).await;

        assert_eq!(answer["result"]["protocolVersion"], ProtocolVersion::LATEST_WITH_INITIALIZE.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_handshake_is_answered_alike() {
    let mut wire = Wire::new();
    let first = wire.ask(1, "initialize", hello("2025-06-18")).await;
    wire.notify("notifications/initialized", json!({})).await;

    let second = wire.ask(1, "initialize", hello("2025-06-18")).await;

    assert_eq!(first, second);
}

#[tokio::test(start_paused = true)]
async fn instructions_are_those_of_the_guest() {
    let mut wire = Wire::new();
    let guest = Guest::embedded(settings()).unwrap();
    let expected = guest.instructions().await.unwrap();

    let answer = wire.ask(1, "initialize", hello("2025-06-18")).await;

    assert_eq!(answer["result"]["instructions"].as_str().unwrap_or_default(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_opening_of_claude_code_works() {
    let mut wire = Wire::new();
    let meta = stateless("2026-07-28");

    let probe = wire.ask("server-discover-probe-1", "server/discover", json!({ "_meta": meta })).await;
    let wanted = json!({ "toolsListChanged": true, "resourcesListChanged": true });
    let listen = json!({ "_meta": meta, "notifications": wanted });
    wire.request("listen:0", "subscriptions/listen", listen).await;
    let acknowledged = wire.answer().await;
    let again = wire.ask(1, "server/discover", json!({ "_meta": meta })).await;
    let tools = wire.ask(2, "tools/list", json!({ "_meta": meta })).await;
    let resources = wire.ask(3, "resources/list", json!({ "_meta": meta })).await;

    assert!(probe["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));
    assert_eq!(probe["result"], again["result"]);
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let id = &acknowledged["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(*id, "listen:0", "{acknowledged}");
    assert_eq!(tools["result"]["resultType"], "complete");
    assert!(tools["result"]["ttlMs"].as_u64().unwrap() > 0);
    assert_eq!(resources["result"]["resources"].as_array().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_opening_of_codex_and_gemini_works() {
    let mut wire = Wire::new();

    wire.ask(0, "initialize", hello("2025-06-18")).await;
    wire.notify("notifications/initialized", json!({})).await;
    let ping = wire.ask(1, "ping", json!({})).await;
    let tools = wire.ask(2, "tools/list", json!({ "_meta": { "progressToken": 2 } })).await;

    assert_eq!(ping["result"], json!({}));
    assert!(tools["result"]["resultType"].is_null());
    assert!(tools["result"]["ttlMs"].is_null());
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_not_spoken_is_refused_with_those_that_are() {
    let mut wire = Wire::new();

    let answer = wire.ask(1, "tools/list", json!({ "_meta": stateless("2031-01-01") })).await;

    assert_eq!(code(&answer), -32022);
    assert!(answer["error"]["data"]["supported"].as_array().unwrap().contains(&json!("2026-07-28")));
}

#[tokio::test(start_paused = true)]
async fn tools_can_be_listed_and_called_without_any_handshake() {
    let mut wire = Wire::new();

    let tools = wire.ask(1, "tools/list", json!({})).await;
    let call = wire.ask(2, "tools/call", json!({ "name": "list_peers" })).await;

    assert_eq!(tools["result"]["tools"][0]["inputSchema"]["type"], "object");
    assert_eq!(call["result"]["isError"], false);
}

#[tokio::test(start_paused = true)]
async fn notifications_may_come_first() {
    let mut wire = Wire::new();
    wire.notify("notifications/initialized", json!({})).await;
    wire.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    wire.notify("notifications/unheard", json!({})).await;

    let answer = wire.ask(0, "initialize", hello("2025-11-25")).await;

    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
}

#[tokio::test(start_paused = true)]
async fn what_this_server_does_not_have_is_empty_where_clients_ask_unasked() {
    let mut wire = Wire::new();
    for (method, key) in [("prompts/list", "prompts"), ("resources/templates/list", "resourceTemplates")] {
        let answer = wire.ask(1, method, json!({})).await;

        assert_eq!(answer["result"][key], json!([]), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_tool_is_listed_with_all_that_clients_decide_by() {
    let mut wire = Wire::new();
    let specs = Guest::embedded(settings()).unwrap().specs().await.unwrap();

    let answer = wire.ask(1, "tools/list", json!({})).await;

    let tools = answer["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), specs.len());
    for (tool, spec) in tools.iter().zip(&specs) {
        assert_eq!(tool["name"], spec.name);
        assert_eq!(tool["title"], spec.title);
        assert_eq!(tool["description"], spec.description);
        assert_eq!(tool["inputSchema"].to_string(), spec.input_schema);
        assert_eq!(tool["annotations"]["readOnlyHint"], spec.read_only);
        assert_eq!(tool["annotations"]["destructiveHint"], spec.destructive);
        assert_eq!(tool["annotations"]["idempotentHint"], spec.idempotent);
        assert_eq!(tool["annotations"]["openWorldHint"], spec.open_world);
        let meta = spec.meta.as_ref().map(|meta| serde_json::from_str::<Value>(meta).unwrap());
        assert_eq!(tool.get("_meta"), meta.as_ref());
        assert!(tool.get("outputSchema").is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_no_session_and_what_follows_it_is() {
    let mut wire = Wire::new();
    let meta = stateless("2026-07-28");
    wire.ask(1, "server/discover", json!({ "_meta": meta })).await;
    assert_eq!(begun_after(&wire.session).await, Duration::from_secs(3));

    wire.ask(2, "tools/list", json!({ "_meta": meta })).await;
    assert_eq!(begun_after(&wire.session).await, Duration::from_secs(1));

    wire.call(3).await;
    wire.answer().await;
    assert_eq!(begun_after(&wire.session).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_finished_handshake_is_a_session() {
    let mut wire = Wire::new();
    wire.ask(1, "initialize", hello("2025-06-18")).await;
    wire.ask(2, "ping", json!({})).await;
    assert_eq!(begun_after(&wire.session).await, Duration::from_secs(3));

    wire.notify("notifications/initialized", json!({})).await;
    wire.is_silent().await;
    assert_eq!(begun_after(&wire.session).await, Duration::from_secs(1));
}

fn hello(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": { "roots": { "listChanged": true } },
        "clientInfo": { "name": "codex-mcp-client", "version": "0.169.0" },
    })
}

async fn begun_after(session: &Session) -> Duration {
    let start = time::Instant::now();
    session.begun().await;
    start.elapsed()
}
