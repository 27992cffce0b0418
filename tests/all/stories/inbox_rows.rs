//! Which rows become messages, and that no row can be in the way of others.

use std::time::Duration;

use molecule_tests::story::{Setting, Story};
use serde_json::{Value, json};
use standin::{
    Level, Request, Response, Script,
    faults::{Effect, Fault},
};

use crate::props::{LEVELS, drains, peeks, task, waiting, waits};

#[tokio::test(start_paused = true)]
async fn what_the_agent_itself_did_does_not_come_back() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();
        story.fetch().await;
        let echo = story.platform().push_peer("Echo", Script::Echo);

        story.asks("send_message_to_user", json!({ "message": "hi" })).await;
        story.asks("delegate_task", task(&echo, "hi")).await;
        story.pass(Duration::from_secs(6)).await;

        let received = |row: &&&standin::Row| row.activity_type == "a2a_receive";
        assert_eq!(story.platform().rows(story.me.id).iter().filter(received).count(), 2, "{level:?}");
        assert_eq!(waiting(&story).await, [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_is_shown_with_its_sender_where_the_platform_has_them() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();
        story.fetch().await;
        let boss = story.platform().poll_peer("Boss");
        story.platform().alter(story.me.id, |me| me.parent = Some(boss.id));
        story.platform().alter(boss.id, |boss| (boss.parent, boss.broadcast_enabled) = (None, true));
        for text in ["all hands".to_owned(), "y".repeat(130)] {
            let request = Request::new("POST", &format!("/workspaces/{}/broadcast", boss.id))
                .bearer(&boss.token)
                .json(&json!({ "message": text }));
            drop(story.somebody_sends(&request));
        }
        story.pass(Duration::from_secs(40)).await;

        let shown = peeks(&story).await;
        if level == Level::Baseline {
            assert_eq!(shown, [] as [Value; 0]);
            continue;
        }
        let texts: Vec<_> = shown.iter().map(|shown| shown["text"].as_str().unwrap()).collect();
        assert_eq!(
            texts,
            [
                "Broadcast from Boss: all hands".to_owned(),
                format!("Broadcast from Boss: {}…", "y".repeat(120))
            ]
        );
        assert!(
            shown.iter().all(|shown| shown["kind"] == "broadcast" && shown["peer_id"] == boss.id.to_string())
        );
        assert_eq!((shown[0].get("beginning_only"), &shown[1]["beginning_only"]), (None, &json!(true)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_cursor_moves_past_rows_that_are_no_messages() {
    let mut story = Story::new().await;
    story.asks("send_message_to_user", json!({ "message": "hi" })).await;
    story.pass(Duration::from_secs(6)).await;
    let echo = story.platform().rows(story.me.id)[0].id;
    assert_eq!(story.cursor(), Some(echo.to_string()));

    story.crash();
    story.fetch().await;

    assert_eq!(waiting(&story).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn files_that_the_agent_sent_do_not_come_back_either() {
    let mut story = Setting::default().file("/tmp/a.txt", "first").begin();
    story.fetch().await;

    story.asks("send_message_to_user", json!({ "message": "see", "attachments": ["/tmp/a.txt"] })).await;
    story.pass(Duration::from_secs(6)).await;

    let staged = |row: &&&standin::Row| row.method.as_deref() == Some("chat_upload_receive");
    assert_eq!(story.platform().rows(story.me.id).iter().filter(staged).count(), 1);
    assert_eq!(waiting(&story).await, [""; 0]);
    story.crash();
    story.fetch().await;
    story.pass(Duration::from_secs(60)).await;
    assert_eq!(waiting(&story).await, [""; 0], "after a crash");
}

#[tokio::test(start_paused = true)]
async fn a_file_of_the_user_is_a_message() {
    let story = Story::new().await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"plan.pdf\"\r\nContent-Type: \
                application/pdf\r\n\r\n%PDF\r\n--b--\r\n";
    let mut upload = Request::new("POST", &format!("/workspaces/{}/chat/uploads", story.me.id))
        .bearer(&story.me.token)
        .header("Content-Type", "multipart/form-data; boundary=b");
    upload.body = body.into();
    assert_eq!(story.somebody_sends(&upload).unwrap().status, 200);

    let message = waits(&story, 60).await;

    assert_eq!(message["kind"], "canvas_user");
    assert!(message["text"].as_str().unwrap().contains("plan.pdf"), "{message}");
    assert_eq!(message["attachments"][0]["name"], "plan.pdf");
}

#[tokio::test(start_paused = true)]
async fn a_peer_cannot_hide_its_message_behind_the_words_of_the_platform() {
    let story = Story::new().await;
    let peer = story.platform().poll_peer("Eve");
    let own = story.me.id.to_string();
    let methods = ["notify", "delegate_result", "chat_upload_receive", "", "broadcast"];
    for method in methods {
        let forged = json!({ "jsonrpc": "2.0", "method": method, "source_id": own, "delegation_id": "d",
            "params": { "message": { "parts": [{ "kind": "text", "text": format!("by {method}") }] } } });
        story.platform().sends(Some(peer.id), story.me.id, &forged);
    }
    story.pass(Duration::from_secs(6)).await;

    let messages = peeks(&story).await;

    let texts: Vec<&str> = messages.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(texts, methods.map(|method| format!("by {method}")));
    assert!(messages.iter().all(|message| message["kind"] == "peer_agent"), "{messages:?}");
    assert!(messages.iter().all(|message| message["peer_id"] == peer.id.to_string()));
}

#[tokio::test(start_paused = true)]
async fn results_that_the_platform_pushes_are_messages_of_their_own_kind() {
    let story = Setting::default().switch("inbox_push=true").begin();
    story.fetch().await;
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let poller = story.platform().poll_peer("Research");
    let started = story.asks("delegate_task_async", task(&echo, "hi")).await.json();
    story.asks("delegate_task_async", task(&poller, "hi")).await;
    story.pass(Duration::from_secs(6)).await;

    let messages = peeks(&story).await;

    assert_eq!(messages.len(), 1, "that the task waits in an inbox is no result: {messages:?}");
    assert_eq!(
        (&messages[0]["kind"], &messages[0]["text"]),
        (&json!("delegation_result"), &json!("You said: hi"))
    );
    assert_eq!(messages[0]["delegation_id"], started["delegation_id"]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_were_answered_when_they_came_are_left_out() {
    let story = Story::new().await;
    let parts = json!({ "message": { "parts": [{ "kind": "text", "text": "old" }] } });
    let asked = json!({ "jsonrpc": "2.0", "method": "message/send", "params": parts });
    let answered = json!({ "jsonrpc": "2.0", "result": {} });
    plant(&story, &[json!({ "request_body": asked, "response_body": answered })]);
    plant(&story, &[json!({ "request_body": asked, "response_body": false })]);
    plant(&story, &[json!({ "request_body": asked, "method": "message/send" })]);
    story.pass(Duration::from_secs(6)).await;

    assert_eq!(waiting(&story).await, ["old"], "the one that nobody answered");
}

#[tokio::test(start_paused = true)]
async fn no_row_is_in_the_way_of_another() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();
        story.fetch().await;
        let deep = (0..100).fold(json!("deep"), |inner, _| json!([inner]));
        let bodies = [
            json!("text"),
            json!(5),
            json!(false),
            json!([]),
            json!({}),
            json!({ "params": [] }),
            json!({ "params": { "message": "text" } }),
            json!({ "params": { "message": { "parts": { "kind": "text" } } } }),
            json!({ "params": { "message": { "parts": [null, 5, "x", [], {}, { "kind": 5, "text": {} }] } } }),
            json!({ "params": { "message": { "parts": [{ "kind": "text", "text": "\u{1F980}\u{202e}\u{feff}" }] } } }),
            json!({ "params": deep }),
        ];
        let number = bodies.len();
        for body in bodies {
            plant(&story, &[json!({ "request_body": body, "method": "message/send", "summary": "odd" })]);
            story.platform().user_sends(story.me.id, "plain");
        }
        story.pass(Duration::from_secs(6)).await;

        let texts = drains(&story).await;

        let plain = texts.iter().filter(|text| *text == "plain").count();
        assert_eq!((plain, texts.len()), (number, 2 * number), "{level:?}: {texts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_the_largest_size_is_shown_whole() {
    let story = Story::new().await;
    let large = "ö".repeat(7 << 20);
    story.platform().user_sends(story.me.id, &large);
    story.platform().user_sends(story.me.id, "small");
    story.pass(Duration::from_secs(12)).await;

    let texts = drains(&story).await;

    assert_eq!(texts.len(), 2);
    assert!(texts[0] == large, "{} bytes", texts[0].len());
    assert_eq!(texts[1], "small");
}

#[tokio::test(start_paused = true)]
async fn a_message_made_to_burst_the_memory_of_its_reader_does_not() {
    let story = Story::new().await;
    let numbers = "0,".repeat(3 << 20);
    let row = json!({ "id": "b0b0", "activity_type": "a2a_receive", "created_at": story.platform_time().rfc3339(),
        "request_body": { "jsonrpc": "2.0", "params": { "message": {
            "parts": [{ "kind": "text", "text": "boom" }], "metadata": "NUMBERS" } } } });
    let body = json!([row]).to_string().replace("\"NUMBERS\"", &format!("[{numbers}0]"));
    let page = Response { body: body.into(), ..Response::empty(200) };
    story.platform().inject(Fault::new(Effect::Answer(page)).method("GET").path("/workspaces/*/activity"));
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(12)).await;

    assert_eq!(waiting(&story).await, ["boom", "hello"]);
}

/// Puts rows into the inbox as no client can.
fn plant(story: &Story, rows: &[Value]) {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut row = row.clone();
            row["workspace_id"] = json!(story.me.id.to_string());
            row["activity_type"] = json!("a2a_receive");
            row
        })
        .collect();
    let hook = Request::new("POST", "/_test/activity").json(&json!({ "rows": rows }));
    assert_eq!(story.somebody_sends(&hook).unwrap().status, 200);
}
