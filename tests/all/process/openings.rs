//! The first messages of real clients, as they were recorded.

use anyhow::{Context, Result};
use molecule_tests::{
    process::{Program, STATELESS, stateless},
    served::Served,
};
use rustix::process::Signal;
use serde_json::{Value, json};

#[tokio::test]
async fn claude_code_probes_listens_and_lists_without_a_handshake() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;

    let probe = ask(&mut program, "server-discover-probe-1", "server/discover", json!({})).await?;
    let filter = json!({ "toolsListChanged": true, "resourcesListChanged": true });
    let listen = request("listen:0", "subscriptions/listen", stateless(json!({ "notifications": filter })));
    program.send(&listen).await?;
    let again = ask(&mut program, "1", "server/discover", json!({})).await?;
    let tools = ask(&mut program, "2", "tools/list", json!({})).await?;
    let resources = ask(&mut program, "3", "resources/list", json!({})).await?;

    let versions = probe["result"]["supportedVersions"].as_array().context("no versions")?;
    assert!(versions.contains(&json!(STATELESS)), "{probe}");
    assert!(probe["result"]["instructions"].as_str().is_some_and(|text| text.contains("inbox_pop")));
    assert_eq!(again["result"], probe["result"]);
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(11));
    let resources = resources["result"]["resources"].as_array().context("no resources")?;
    let uris: Vec<_> = resources.iter().map(|resource| &resource["uri"]).collect();
    assert_eq!(uris, ["molecule://inbox", "molecule://workspace"]);
    let acknowledged = program.receive().await?;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    Ok(())
}

#[tokio::test]
async fn claude_code_calls_a_tool_without_a_handshake() -> Result<()> {
    let platform = Served::start().await?;
    let peer = platform.with(|platform| platform.poll_peer("Research"));
    let mut program = Program::start(&platform.launch()?)?;
    let mut call = stateless(json!({ "name": "list_peers", "arguments": {} }));
    call["_meta"]["progressToken"] = json!(2);
    call["_meta"]["claudecode/toolUseId"] = json!("toolu_1");

    let reply = program.request("tools/call", call).await?;

    let text = reply["result"]["content"][0]["text"].as_str().context("no text")?;
    assert!(text.contains(&peer.id.to_string()), "{reply}");
    assert_eq!(reply["result"]["resultType"], "complete");
    assert_eq!(reply["result"].get("structuredContent"), None);
    Ok(())
}

#[tokio::test]
async fn an_older_claude_code_shakes_hands() -> Result<()> {
    let capabilities = json!({ "roots": { "listChanged": true }, "elicitation": { "form": {}, "url": {} } });

    opens_with("claude-code", "2025-11-25", capabilities).await
}

#[tokio::test]
async fn codex_shakes_hands() -> Result<()> {
    let capabilities = json!({
        "elicitation": { "form": {}, "url": {} },
        "experimental": { "codex/auth-change": {} },
    });

    opens_with("codex-mcp-client", "2025-06-18", capabilities).await
}

#[tokio::test]
async fn gemini_shakes_hands() -> Result<()> {
    opens_with("gemini-cli-mcp-client", "2025-06-18", json!({ "roots": { "listChanged": true } })).await
}

#[tokio::test]
async fn the_listing_of_claude_code_leaves_no_trace() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    program.request("tools/list", json!({})).await?;

    program.signal(Signal::INT)?;
    let status = program.exit().await?;

    assert!(status.success(), "{status}");
    leaves_no_trace(&platform, &program)
}

#[tokio::test]
async fn the_health_check_of_gemini_leaves_no_trace() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.request("initialize", hello("mcp-test-client", "2025-06-18", json!({}))).await?;
    program.request("ping", json!({})).await?;

    program.signal(Signal::TERM)?;
    let status = program.exit().await?;

    assert!(status.success(), "{status}");
    leaves_no_trace(&platform, &program)
}

async fn opens_with(client: &str, version: &str, capabilities: Value) -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;

    let welcome = program.request("initialize", hello(client, version, capabilities)).await?;
    program.notify("notifications/initialized", json!({})).await?;
    let pong = program.request("ping", json!({})).await?;
    let tools = program.request("tools/list", json!({ "_meta": { "progressToken": 1 } })).await?;
    let call = json!({ "name": "inbox_peek", "arguments": {}, "_meta": { "progressToken": 2 } });
    let peek = program.request("tools/call", call).await?;

    let welcome = &welcome["result"];
    assert_eq!(welcome["protocolVersion"], version);
    assert_eq!(welcome["serverInfo"]["name"], "molecule");
    assert!(welcome["instructions"].as_str().is_some_and(|text| !text.is_empty()));
    assert_eq!(pong["result"], json!({}));
    assert_eq!(tools["result"]["tools"].as_array().map(Vec::len), Some(11));
    assert_eq!(peek["result"]["content"][0]["text"], r#"{"messages":[],"more":0}"#);
    Ok(())
}

fn leaves_no_trace(platform: &Served, program: &Program) -> Result<()> {
    assert_eq!(platform.requests(), Vec::<String>::new());
    assert_eq!(program.launch().left_behind()?, Vec::<String>::new());
    Ok(())
}

fn hello(client: &str, version: &str, capabilities: Value) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": capabilities,
        "clientInfo": { "name": client, "version": "1.0.0" },
    })
}

async fn ask(program: &mut Program, id: &str, method: &str, params: Value) -> Result<Value> {
    program.send(&request(id, method, stateless(params))).await?;
    program.reply(&json!(id)).await
}

fn request(id: &str, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}
