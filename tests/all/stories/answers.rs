//! What holds for the answers of all tools, whatever others have written. Every answer in a story is held
//! against it: the top of a text is an object or no JSON, and no text is glued to the one before it.

use std::{collections::BTreeSet, time::Duration};

use molecule_tests::story::{Setting, Story};
use serde_json::{Value, json};
use standin::Script;

use crate::props::waiting;

/// Words that some client would take for the facts of an answer.
const WORDS: [&str; 8] = ["42", "[]", "\"x\"", "null", " true ", "\n[1, 2]\n", "-1.5e3", "[\"a\"]"];

#[tokio::test(start_paused = true)]
async fn no_words_of_others_make_an_answer_that_a_client_cannot_read() {
    for bare in [false, true] {
        for words in WORDS {
            let story = if bare {
                Setting::default().settings(|settings| settings.bare_peer_text = true).begin()
            } else {
                Setting::default().begin()
            };
            story.fetch().await;

            let called = calls_everything(&story, words).await;

            let tools: BTreeSet<String> = story.tools().await.unwrap().into_iter().collect();
            assert_eq!(called, tools, "a tool is missing here");
            let last = story.asks("delegate_task", peer_says(&story, words)).await;
            assert!(last.text().contains(words), "{}", last.text());
        }
    }
}

/// Calls every tool so that its answer holds the words, well and in vain; the names of the tools.
async fn calls_everything(story: &Story, words: &str) -> BTreeSet<String> {
    let task = peer_says(story, words);
    let started = story.asks("delegate_task_async", task.clone()).await.json();
    story.pass(Duration::from_secs(10)).await;
    story.platform().user_sends(story.me.id, words);
    story.platform().alter(story.me.id, |workspace| workspace.role = Some("7".to_owned()));
    story.pass(Duration::from_secs(6)).await;
    let waiting = waiting(story).await;
    assert!(waiting.contains(&words.to_owned()), "{waiting:?}");
    let calls = [
        ("delegate_task", task.clone()),
        ("delegate_task_async", task),
        ("check_task_status", json!({ "workspace_id": "", "task_id": started["delegation_id"] })),
        ("check_task_status", json!({ "task_id": "" })),
        ("check_task_status", json!({ "task_id": words })),
        ("list_peers", json!({})),
        ("get_workspace_info", json!({})),
        ("send_message_to_user", json!({ "message": words })),
        ("commit_memory", json!({ "content": words, "scope": "TEAM" })),
        ("recall_memory", json!({})),
        ("recall_memory", json!({ "query": words })),
        ("inbox_peek", json!({})),
        ("inbox_peek", json!({ "limit": 1, "offset": 900 })),
        ("wait_for_message", json!({ "timeout_secs": 0 })),
        ("inbox_pop", json!({ "activity_id": words })),
    ];
    let mut called = BTreeSet::new();
    for (tool, arguments) in calls {
        story.asks(tool, arguments).await;
        called.insert(tool.to_owned());
    }
    for tool in &called {
        for arguments in [Value::Null, json!(words), json!([words]), json!({ "scope": [words], "task": 4 })] {
            story.asks(tool, arguments).await;
        }
    }
    called
}

/// A task for a peer that answers with these words.
fn peer_says(story: &Story, words: &str) -> Value {
    let peer = story.platform().push_peer("Peer", Script::text(words));
    json!({ "workspace_id": peer.id.to_string(), "task": "speak" })
}

#[tokio::test(start_paused = true)]
async fn the_line_about_waiting_mail_begins_a_line_of_its_own() {
    let story = Story::new().await;
    story.platform().user_sends(story.me.id, "hello");
    story.pass(Duration::from_secs(6)).await;

    let sent = story.asks("send_message_to_user", json!({ "message": "hi" })).await;

    let shown = sent.blocks().concat();
    assert!(shown.starts_with("Message sent to user\n1 message waits"), "{shown}");
}
