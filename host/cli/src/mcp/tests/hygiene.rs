//! Bad lines, through the whole service: it says what it must and lives on.

use super::*;

#[tokio::test(start_paused = true)]
async fn noise_is_not_answered() {
    let mut wire = Wire::new();
    let mut bytes = b"\n   \n\r\nnot json\n{\n[1,\n\xff\xfe\n".to_vec();
    bytes.extend(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/\xff\"}\n");
    bytes.extend(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
    wire.write(&bytes).await;

    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_read_is_refused_with_its_id() {
    let mut wire = Wire::new();
    let long = format!(r#"{{"method":"ping","params":{{"x":"{}"}},"id":"end"}}"#, "x".repeat(9 << 20));
    for (line, id) in [
        (&b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}"[..], json!(1)),
        (
            b"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/call\",\"params\":{\"x\":\"\x01\"}}",
            json!("a"),
        ),
        (br#"{"jsonrpc":"2.0","id":2"#, json!(2)),
        (long.as_bytes(), json!("end")),
        (br#"{"id":1,"method":"ping"}{"id":2,"method":"ping"}"#, Value::Null),
    ] {
        wire.write(line).await;
        wire.write(b"\n").await;

        let answer = wire.answer().await;

        assert_eq!((code(&answer), answer.get("id")), (-32700, Some(&id)), "{answer}");
    }
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_takes_no_answer_from_a_request_in_flight() {
    let mut wire = Wire::new();
    wire.platform.hold();
    wire.call(1).await;
    wire.platform.was_asked(1).await;

    wire.write(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}\n{\"id\":1,\"method\":5}\n").await;

    for expected in [-32700, -32600] {
        let answer = wire.answer().await;
        assert_eq!((code(&answer), &answer["id"]), (expected, &Value::Null));
    }
    wire.platform.answer(1);
    assert_eq!(wire.answer().await["id"], 1);
}

#[tokio::test(start_paused = true)]
async fn lines_without_an_id_that_cannot_be_read_make_no_storm() {
    let mut wire = Wire::new();
    for _ in 0..1_000 {
        wire.send(r#"{"method":"ping","id":{},"x":"#).await;
    }
    let mut answers = 0;
    wire.request("the end", "ping", json!({})).await;
    while wire.answer().await["id"] != "the end" {
        answers += 1;
    }
    assert_eq!(answers, 10);

    time::sleep(Duration::from_secs(1)).await;
    wire.send(r#"{"method":"ping","id":{},"x":"#).await;

    assert_eq!(code(&wire.answer().await), -32700);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_refused_without_an_id() {
    let mut wire = Wire::new();
    for line in ["[]", "5", "\"x\"", "null", "true", "{}", r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#] {
        wire.send(line).await;

        let answer = wire.answer().await;

        assert_eq!(code(&answer), -32600, "{line}");
        assert!(answer.get("id").is_none(), "{line}");
    }
    wire.send(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#).await;
    assert_eq!(code(&wire.answer().await), -32600);
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_of_the_wrong_shape_is_refused_with_its_id() {
    let mut wire = Wire::new();
    wire.send(r#"{"jsonrpc":"2.0","id":"a"}"#).await;
    let answer = wire.answer().await;
    assert_eq!((code(&answer), &answer["id"]), (-32600, &json!("a")));

    wire.send(r#"{"id":7,"method":"ping"}"#).await;
    let answer = wire.answer().await;
    assert_eq!((code(&answer), &answer["id"]), (-32600, &json!(7)));

    let answer = wire.ask(8, "tools/call", json!({ "name": "list_peers", "arguments": "x" })).await;
    assert_eq!(code(&answer), -32602);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_method_is_not_found() {
    let mut wire = Wire::new();
    for method in ["unheard", "tools/unheard", "tasks/get", "", "sampling/createMessage"] {
        let answer = wire.ask(1, method, json!({})).await;

        assert_eq!(code(&answer), -32601, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn deep_arguments_are_an_answer_and_not_the_end() {
    let mut wire = Wire::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    wire.send(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"list_peers","arguments":{{"x":{deep}}}}}}}"#
    ))
    .await;

    let answer = wire.answer().await;

    assert_eq!(answer["id"], 1);
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_line_of_almost_eight_mebibytes_is_served() {
    let mut wire = Wire::new();
    let frame = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_peers","arguments":{"x":""}}}"#;
    let padding = "x".repeat((8 << 20) - 1 - frame.len());
    wire.send(&frame.replace("\"\"}", &format!("\"{padding}\"}}"))).await;

    let answer = wire.answer().await;

    assert_eq!(answer["result"]["isError"], false, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_is_ignored_to_its_end() {
    let mut wire = Wire::new();
    for _ in 0..40 {
        wire.write(&vec![b'x'; 1 << 20]).await;
    }
    wire.write(b"\n").await;

    wire.is_silent().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_drip_in_are_intact_while_answers_flow() {
    let mut wire = Wire::new();
    wire.platform.hold();
    for id in 0..20 {
        wire.call(id).await;
    }
    wire.platform.was_asked(20).await;
    for byte in b"\xEF\xBB\xBF{\"jsonrpc\":\"2.0\",\"id\":\"dripped\",\"method\":\"ping\"}\r\n" {
        wire.write(&[*byte]).await;
        time::sleep(Duration::from_millis(10)).await;
        wire.platform.answer(1);
    }

    let mut answered = Vec::new();
    for _ in 0..21 {
        answered.push(wire.answer().await["id"].to_string());
    }

    assert!(answered.contains(&"\"dripped\"".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn several_requests_in_one_write_are_all_answered() {
    let mut wire = Wire::new();
    let lines: String =
        (0..10).map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n")).collect();
    wire.write(lines.as_bytes()).await;

    for _ in 0..10 {
        assert_eq!(wire.answer().await["result"], json!({}));
    }
}
