//! Calls side by side, and calls that are given up.

use anyhow::{Context, Result};
use molecule_tests::{
    process::{DEADLINE, Program, stateless},
    served::Served,
};
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, net::TcpListener, time};

/// Calls that run at the same time.
const AT_ONCE: usize = 32;

#[tokio::test]
async fn a_hundred_calls_are_answered_behind_a_pending_wait() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let wait = program.ask_tool("wait_for_message", json!({ "timeout_secs": 300 })).await?;

    let mut ids = Vec::new();
    for tool in ["inbox_peek", "list_peers"].repeat(50) {
        ids.push(program.ask_tool(tool, json!({})).await?);
    }
    for id in &ids {
        assert!(!program.said(id).await?.failed());
    }

    cancel(&mut program, &wait).await?;
    let rest = program.messages().await?;
    assert!(rest.iter().all(|message| message.get("id") != Some(&wait)), "{rest:?}");
    Ok(())
}

#[tokio::test]
async fn a_message_ends_a_wait_and_stays_until_it_is_popped() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let me = platform.me.id;
    let wait = program.ask_tool("wait_for_message", json!({ "timeout_secs": 300 })).await?;
    platform.hears(&format!("GET /workspaces/{me}/activity")).await?;

    let sent = platform.with(|platform| platform.user_sends(me, "hello")).to_string();
    let message = program.said(&wait).await?.json();

    assert_eq!((&message["text"], &message["activity_id"]), (&json!("hello"), &json!(sent)));
    let peek = program.call("inbox_peek", json!({})).await?.json();
    assert_eq!(peek["messages"][0]["activity_id"], sent.as_str());
    let popped = program.call("inbox_pop", json!({ "activity_id": sent })).await?.json();
    assert_eq!(popped["removed"], true);
    assert_eq!(program.call("inbox_peek", json!({})).await?.json()["messages"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_cancelled_wait_is_never_answered_and_others_live_on() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let given_up = program.ask_tool("wait_for_message", json!({ "timeout_secs": 300 })).await?;
    let kept = program.ask_tool("wait_for_message", json!({ "timeout_secs": 300 })).await?;

    cancel(&mut program, &given_up).await?;
    let me = platform.me.id;
    platform.with(|platform| platform.user_sends(me, "hello"));

    assert_eq!(program.said(&kept).await?.json()["text"], "hello");
    let rest = program.messages().await?;
    assert_eq!(rest, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn a_stateless_wait_can_be_cancelled_too() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    let call = json!({ "name": "wait_for_message", "arguments": { "timeout_secs": 300 } });
    let wait = program.ask("tools/call", stateless(call)).await?;

    cancel(&mut program, &wait).await?;
    let peek = json!({ "name": "inbox_peek", "arguments": {} });
    let peek = program.request("tools/call", stateless(peek)).await?;

    assert_eq!(peek["result"]["content"][0]["text"], r#"{"messages":[],"more":0}"#);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_call_makes_room_for_the_next() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    program.initialize().await?;
    let mut waits = Vec::new();
    for _ in 0..AT_ONCE {
        waits.push(program.ask_tool("wait_for_message", json!({ "timeout_secs": 300 })).await?);
    }
    let next = program.ask_tool("inbox_peek", json!({})).await?;
    assert_eq!(program.messages().await?, Vec::<Value>::new());

    cancel(&mut program, waits.first().context("no wait")?).await?;

    assert_eq!(program.said(&next).await?.json()["messages"], json!([]));
    Ok(())
}

#[tokio::test]
async fn cancelling_a_call_lets_go_of_the_platform() -> Result<()> {
    let platform = Served::start().await?;
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let launch = platform
        .launch()?
        .env("PLATFORM_URL", &format!("http://{}", silent.local_addr()?))
        .env("MOLECULE_MCP_DISABLE_HEARTBEAT", "1")
        .env("MOLECULE_MCP_DISABLE_INBOX", "1");
    let mut program = Program::start(&launch)?;
    let call = program.ask_tool("list_peers", json!({})).await?;
    let (mut connection, _) = time::timeout(DEADLINE, silent.accept()).await??;
    let mut head = [0; 1024];
    assert!(connection.read(&mut head).await? > 0);

    cancel(&mut program, &call).await?;

    let mut rest = Vec::new();
    // Its end, orderly or not, is what is waited for.
    let _ = time::timeout(DEADLINE, connection.read_to_end(&mut rest)).await?;
    assert_eq!(program.messages().await?, Vec::<Value>::new());
    Ok(())
}

async fn cancel(program: &mut Program, id: &Value) -> Result<()> {
    program.notify("notifications/cancelled", json!({ "requestId": id, "reason": "AbortError" })).await
}
