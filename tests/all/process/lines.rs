//! Every kind of line that a client may send, and what comes of it. The numbers are those of the list of bad inputs.

use anyhow::Result;
use molecule_tests::{
    launch::Launch,
    process::{Program, WITH_HANDSHAKE, stateless},
};
use serde_json::{Value, json};

/// Lines, and what is answered: nothing, or a code with the id, if one is usable.
const LINES: &[(&str, &str, &[&str])] = &[
    ("S1 an empty line", "", &[]),
    ("S1 spaces", "   ", &[]),
    ("S1 a carriage return", "\r", &[]),
    ("S2 no JSON", "not json", &[]),
    ("S3 half of a message", r#"{"jsonrpc":"2.0","id":1"#, &["-32700 1"]),
    ("S4 an array", "[]", &["-32600"]),
    ("S4 a number", "5", &["-32600"]),
    ("S4 a string", r#""x""#, &["-32600"]),
    ("S4 null", "null", &["-32600"]),
    ("S4 true", "true", &["-32600"]),
    (
        "S5 a batch",
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#,
        &["-32600"],
    ),
    ("S6 no method", r#"{"jsonrpc":"2.0","id":"m"}"#, &[r#"-32600 "m""#]),
    ("S7 id null", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, &["-32600"]),
    ("S7 id a fraction", r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, &["-32600"]),
    ("S7 id an object", r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, &["-32600"]),
    ("S7 id an array", r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, &["-32600"]),
    ("S7 id true", r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, &["-32600"]),
    ("S9 id beyond 64 bits", r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#, &["-32600"]),
    ("S9 id beyond all numbers", r#"{"jsonrpc":"2.0","id":1e400,"method":"ping"}"#, &["-32600"]),
    ("S12 a response", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[]),
    ("S12 an error", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#, &[]),
    ("S13 an unknown notification", r#"{"jsonrpc":"2.0","method":"notifications/unheard"}"#, &[]),
    ("S13 a request without an id", r#"{"jsonrpc":"2.0","method":"tools/list"}"#, &[]),
    ("S15 no version", r#"{"id":1,"method":"ping"}"#, &["-32600 1"]),
    ("S15 version 1.0", r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, &["-32600 1"]),
    ("S15 version a number", r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, &["-32600 1"]),
    ("S16 two ids", r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, &["-32600"]),
    ("S16 two methods", r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, &["-32600 1"]),
    (
        "S21 half a character in an escape",
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"inbox_pop","arguments":{"activity_id":"\ud800"}}}"#,
        &["-32602 1"],
    ),
    ("S23 a NUL", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\0ng\"}", &["-32700 1"]),
    ("S24 a record separator", "\u{1e}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", &["-32700 1"]),
    (
        "S25 two messages on one line",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}"#,
        &["-32700"],
    ),
    (
        "S32 a cancellation of nothing",
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}"#,
        &[],
    ),
    ("S32 a cancellation without an id", r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#, &[]),
];

/// Ids that are echoed as they are.
const IDS: &[&str] =
    &["-1", "0", "9223372036854775807", "-9223372036854775808", r#""1""#, r#""""#, "\"\u{2028}\u{2029}\""];

#[tokio::test]
async fn every_line_has_its_answer_and_none_ends_the_program() -> Result<()> {
    let mut program = started()?;
    for (what, line, expected) in LINES {
        program.send(line).await?;

        let answers: Vec<_> = program.messages().await?.iter().map(summary).collect();

        assert_eq!(answers, *expected, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn s9_and_s24_ids_are_echoed_as_they_are() -> Result<()> {
    let mut program = started()?;
    for id in IDS {
        program.send(&ping(id)).await?;

        let answer = program.receive().await?;

        assert_eq!((answer["id"].to_string(), &answer["result"]), ((*id).to_owned(), &json!({})));
    }
    Ok(())
}

#[tokio::test]
async fn s8_a_long_id_is_echoed_and_a_longer_one_refused() -> Result<()> {
    let mut program = started()?;
    let long = "x".repeat(1_024);

    program.send(&ping(&format!("\"{long}\""))).await?;
    assert_eq!(program.receive().await?["id"], json!(long));

    program.send(&ping(&format!("\"{}\"", "x".repeat(10 << 10)))).await?;
    assert_eq!(summary(&program.receive().await?), "-32600");
    Ok(())
}

#[tokio::test]
async fn s10_and_s11_an_id_is_free_again_once_it_is_answered() -> Result<()> {
    let mut program = started()?;
    let wait = json!({ "name": "wait_for_message", "arguments": { "timeout_secs": 300 } });
    let wait = json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": wait }).to_string();
    program.send(&wait).await?;

    program.send(&ping(r#""a""#)).await?;
    assert_eq!(summary(&program.receive().await?), "-32600");

    program.notify("notifications/cancelled", json!({ "requestId": "a" })).await?;
    for _ in 0..2 {
        program.send(&ping(r#""a""#)).await?;
        assert_eq!(program.receive().await?, json!({ "jsonrpc": "2.0", "id": "a", "result": {} }));
    }
    Ok(())
}

#[tokio::test]
async fn s14_an_unknown_method_is_refused_by_name() -> Result<()> {
    let mut program = started()?;

    let reply = program.request("tools/unheard", json!({})).await?;

    assert_eq!(reply["error"]["code"], -32601);
    assert_eq!(reply["error"]["message"], "Method not found: tools/unheard");
    Ok(())
}

#[tokio::test]
async fn s17_deep_nesting_is_refused() -> Result<()> {
    let mut program = started()?;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));

    program.send(&deep).await?;
    let params = format!(r#"{{"name":"inbox_pop","arguments":{{"activity_id":{deep}}}}}"#);
    program.send(&format!(r#"{{"jsonrpc":"2.0","id":"d","method":"tools/call","params":{params}}}"#)).await?;

    let answer = program.reply(&json!("d")).await?;
    let refused = answer["error"]["code"] == -32602 || answer["result"]["isError"] == true;
    assert!(refused, "{answer}");
    let others: Vec<_> = program.messages().await?.iter().map(summary).collect();
    assert!(others.is_empty() || others == ["-32600"], "{others:?}");
    Ok(())
}

#[tokio::test]
async fn s18_a_hundred_thousand_keys_are_served() -> Result<()> {
    let mut program = started()?;
    let mut arguments: serde_json::Map<_, _> =
        (0..100_000).map(|place| (format!("key-{place}"), json!(place))).collect();
    arguments.insert("limit".to_owned(), json!(5));

    let peek = program.call("inbox_peek", Value::Object(arguments)).await?;

    assert!(peek.json()["messages"] == json!([]) || peek.failed(), "{peek:?}");
    Ok(())
}

#[tokio::test]
async fn s21_a_request_with_bytes_that_are_no_text_is_refused() -> Result<()> {
    let mut program = started()?;
    for bytes in [b"\xff\xfe".as_slice(), b"\xc0\xaf", b"\xed\xa0\x80"] {
        let line = [br#"{"jsonrpc":"2.0","id":1,"method":""#, bytes, b"\"}\n"].concat();
        program.send_bytes(&line).await?;

        assert_eq!(summary(&program.receive().await?), "-32700 1", "{bytes:?}");
        program.send_bytes(&[bytes, b"\n"].concat()).await?;
        assert_eq!(program.messages().await?, Vec::<Value>::new(), "{bytes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn s22_a_byte_order_mark_and_windows_line_ends_are_accepted() -> Result<()> {
    let mut program = started()?;

    program.send(&format!("\u{feff}{}\r", ping("1"))).await?;

    assert_eq!(program.receive().await?, json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    Ok(())
}

#[tokio::test]
async fn s29_tools_can_be_called_before_the_handshake() -> Result<()> {
    let mut program = started()?;

    assert_eq!(program.call("inbox_peek", json!({})).await?.json()["messages"], json!([]));

    assert_eq!(program.initialize().await?["protocolVersion"], WITH_HANDSHAKE);
    Ok(())
}

#[tokio::test]
async fn s30_a_second_handshake_is_answered_like_the_first() -> Result<()> {
    let mut program = started()?;

    assert_eq!(program.initialize().await?, program.initialize().await?);
    Ok(())
}

#[tokio::test]
async fn s30_an_unknown_version_is_answered_with_the_newest() -> Result<()> {
    let mut program = started()?;
    let hello = json!({
        "protocolVersion": "1999-12-31",
        "capabilities": {},
        "clientInfo": { "name": "x", "version": "1" },
    });

    let welcome = program.request("initialize", hello).await?;

    assert_eq!(welcome["result"]["protocolVersion"], WITH_HANDSHAKE);
    Ok(())
}

#[tokio::test]
async fn s31_a_version_that_is_not_spoken_is_refused_with_those_that_are() -> Result<()> {
    let mut program = started()?;
    let mut params = stateless(json!({}));
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");

    let refused = program.request("tools/list", params).await?;
    let discovered = program.request("server/discover", stateless(json!({}))).await?;

    assert_eq!(refused["error"]["code"], -32022, "{refused}");
    assert_eq!(refused["error"]["data"]["supported"], discovered["result"]["supportedVersions"]);
    Ok(())
}

#[tokio::test]
async fn s32_a_cancellation_with_an_id_of_another_type_is_ignored() -> Result<()> {
    let mut program = started()?;
    let wait = program.ask_tool("wait_for_message", json!({ "timeout_secs": 1 })).await?;

    program.notify("notifications/cancelled", json!({ "requestId": wait.to_string() })).await?;

    assert_eq!(program.said(&wait).await?.json()["timeout"], true);
    program.notify("notifications/cancelled", json!({ "requestId": wait })).await?;
    assert_eq!(program.messages().await?, Vec::<Value>::new());
    Ok(())
}

/// A program without a platform: nothing of this needs one.
fn started() -> Result<Program> {
    let launch = Launch::new()?
        .env("PLATFORM_URL", "http://127.0.0.1:9")
        .env("WORKSPACE_ID", "00000000-0000-4000-8000-000000000000")
        .env("MOLECULE_WORKSPACE_TOKEN", "token");
    Program::start(&launch)
}

fn ping(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}

/// The code of an error and its id, as in `-32600 1`.
fn summary(message: &Value) -> String {
    match (&message["error"]["code"], &message["id"]) {
        (Value::Null, _) => message.to_string(),
        (code, Value::Null) => code.to_string(),
        (code, id) => format!("{code} {id}"),
    }
}
