//! `delegate_task`, where something goes wrong: nothing is done twice, and the agent learns what to do.

use std::time::Duration;

use molecule_runtime::guest::wire::Level as LogLevel;
use molecule_tests::story::Setting;
use serde_json::{Value, json};
use standin::{
    Script,
    faults::{Effect, Fault},
    world::Store,
};

use crate::props::{LEVELS, sent_to, task};

#[tokio::test(start_paused = true)]
async fn when_the_answer_is_lost_the_task_is_never_sent_again() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();
        let echo = story.platform().push_peer("Echo", Script::Echo);
        story.platform().inject(on_a2a(Effect::LoseAnswer));

        let answer = story.asks("delegate_task", task(&echo, "hi")).await;
        story.pass(Duration::from_secs(900)).await;

        assert!(answer.failed());
        assert!(answer.text().starts_with("DELEGATION OUTCOME UNKNOWN to Echo: "), "{}", answer.text());
        assert!(answer.text().contains("state: unknown"), "{}", answer.text());
        assert!(answer.text().contains("Do not send the task again"), "{}", answer.text());
        assert_eq!(sent_to(&story, &echo).len(), 1, "{level:?}");
        assert_eq!(story.platform().rows(echo.id).len(), 1, "the peer had it");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_leaves_the_outcome_unknown() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    story.platform().inject(on_a2a(Effect::Delay(Duration::from_secs(3_600))));

    let answer = story.asks("delegate_task", task(&echo, "hi")).await;

    assert!(answer.text().starts_with("DELEGATION OUTCOME UNKNOWN to Echo: no answer in time"));
    assert!(story.elapsed_ms() <= 601_000, "{}", story.elapsed_ms());
    assert_eq!(sent_to(&story, &echo).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_found_no_connection_is_tried_again_with_the_same_ids() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    // The look-up of the peer, and the first two attempts.
    story.process().disconnect(3);

    let answer = story.asks("delegate_task", task(&echo, "hi")).await;

    assert!(answer.text().contains("You said: hi"), "{}", answer.text());
    assert_eq!(sent_to(&story, &echo).len(), 1);
    let attempts = story.process().asked().into_iter().filter(|asked| asked.contains("/a2a ")).map(body_of);
    let attempts: Vec<Value> = attempts.collect();
    assert_eq!(attempts.len(), 3);
    assert!(attempts.iter().all(|attempt| *attempt == attempts[0]));
    assert_eq!(story.process().logged(LogLevel::Warn).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_any_connection_it_fails_after_five_attempts() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    story.process().disconnect(100);

    let answer = story.asks("delegate_task", task(&echo, "hi")).await;

    assert!(answer.failed());
    assert!(answer.text().starts_with("DELEGATION FAILED to "), "{}", answer.text());
    assert!(
        answer.text().contains("nothing reached it: connection refused (5 attempts)"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("do the work yourself"), "{}", answer.text());
    assert!((11_000..20_000).contains(&story.elapsed_ms()), "{}", story.elapsed_ms());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_the_platform_cannot_connect_to_is_tried_again_and_then_given_up() {
    let story = Setting::default().begin();
    let away = story.platform().push_peer("Away", Script::Refuse);

    let answer = story.asks("delegate_task", task(&away, "hi")).await;

    assert!(answer.text().starts_with("DELEGATION FAILED to Away: nothing reached it"), "{}", answer.text());
    let ids: Vec<Value> = sent_to(&story, &away).iter().map(message_id).collect();
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_means_that_the_peer_had_the_task() {
    let story = Setting::default().begin();
    let peer = story.platform().push_peer("Cutter", Script::Cut);

    let answer = story.asks("delegate_task", task(&peer, "hi")).await;

    assert!(answer.text().starts_with("DELEGATION OUTCOME UNKNOWN to Cutter"), "{}", answer.text());
    assert!(answer.text().contains("It has received the task, but its answer is lost"), "{}", answer.text());
    assert_eq!(sent_to(&story, &peer).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_peer_is_told_with_its_words_fenced_and_what_else_can_be_done() {
    let story = Setting::default().begin();
    let reply =
        json!({ "jsonrpc": "2.0", "error": { "code": -32_000, "message": "no sk-abcdefghijklmnopqrstuv" } });
    let peer = story.platform().push_peer("Broken", Script::json(&reply));

    let answer = story.asks("delegate_task", task(&peer, "hi")).await;

    assert!(answer.failed());
    let head = "DELEGATION FAILED to Broken: its agent answered with an error (code=-32000).\n[";
    assert!(answer.text().starts_with(head), "{}", answer.text());
    assert!(answer.text().contains("\nno <redacted-secret>\n["), "{}", answer.text());
    assert!(answer.text().contains("(1) delegate to another peer"), "{}", answer.text());
    let platform = story.platform();
    let told = platform.rows(story.me.id).into_iter().last().unwrap();
    assert_eq!(told.status, "error");
    assert!(!told.error_detail.as_deref().unwrap().contains("sk-"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_out_of_reach_gets_nothing() {
    let story = Setting::default().begin();
    let stranger = story.platform().push_peer("Stranger", Script::Echo);
    let parent = story.platform().poll_peer("Somebody");
    story.platform().alter(stranger.id, |workspace| workspace.parent = Some(parent.id));
    let me = story.me.id;
    let cousin = story.platform().poll_peer("Cousin");
    story.platform().alter(me, |workspace| workspace.parent = Some(cousin.id));

    let answer = story.asks("delegate_task", task(&stranger, "hi")).await;

    assert!(answer.failed());
    assert!(answer.text().contains("not found or not accessible"), "{}", answer.text());
    assert_eq!(story.sent("POST", "/a2a").len(), 0);
    assert!(story.platform().rows(me).is_empty(), "nothing is reported that was not sent");
}

#[tokio::test(start_paused = true)]
async fn oneself_nobody_and_nothing_are_refused_without_a_request() {
    let story = Setting::default().begin();
    let own = story.me.id.to_string();

    for (arguments, why) in [
        (json!({ "workspace_id": own, "task": "hi" }), "is your own workspace"),
        (json!({ "workspace_id": own.to_uppercase(), "task": "hi" }), "is your own workspace"),
        (json!({ "workspace_id": "../registry", "task": "hi" }), "cannot be the id of a workspace"),
        (json!({ "workspace_id": "", "task": "hi" }), "workspace_id and task are required"),
        (json!({ "workspace_id": own, "task": " " }), "workspace_id and task are required"),
        (json!({ "workspace_id": own, "task": ["hi"] }), "the argument task does not fit"),
        (json!({ "workspace_id": "a", "task": "x".repeat(2 << 20) }), "the platform takes 1048576"),
    ] {
        for tool in ["delegate_task", "delegate_task_async"] {
            let answer = story.asks(tool, arguments.clone()).await;
            assert!(answer.failed() && answer.text().contains(why), "{tool} {why}: {}", answer.text());
        }
    }
    assert!(story.platform().requests(0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_said_before_anything_is_sent() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let me = story.me.id;
    story.platform().revoke_tokens(me);
    story.platform().mint_for(me);

    let answer = story.asks("delegate_task", task(&echo, "hi")).await;

    assert!(answer.text().contains("the platform refuses the token of this workspace"), "{}", answer.text());
    assert!(answer.text().contains("Tokens tab"), "{}", answer.text());
    assert_eq!(story.sent("POST", "/a2a").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_does_not_stop_a_delegation() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    story.platform().outage(Store::Activity, true);

    let answer = story.asks("delegate_task", task(&echo, "hi")).await;

    assert!(answer.text().contains("You said: hi"), "{}", answer.text());
}

#[tokio::test(start_paused = true)]
async fn a_page_in_front_of_the_platform_is_no_answer_of_a_peer() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let page = standin::Response {
        headers: [("Content-Type", "text/html")].into_iter().collect(),
        body: "<html>Sign in</html>".into(),
        ..standin::Response::empty(200)
    };
    story.platform().inject(on_a2a(Effect::Answer(page)));

    let answer = story.asks("delegate_task", task(&echo, "hi")).await;

    assert!(answer.failed());
    assert!(answer.text().contains("something in front of it answered"), "{}", answer.text());
    assert!(!answer.text().contains("Sign in"), "{}", answer.text());
}

fn on_a2a(effect: Effect) -> Fault {
    Fault::new(effect).method("POST").path("/workspaces/*/a2a")
}

fn body_of(asked: String) -> Value {
    let start = asked.find(" {\"").unwrap();
    serde_json::from_str(asked[start..].trim()).unwrap()
}

fn message_id(envelope: &Value) -> Value {
    envelope.pointer("/params/message/messageId").unwrap().clone()
}
