//! The same seed and the same outcomes give the same turns.

use std::time::Duration;

use molecule_tests::story::Setting;
use serde_json::json;
use standin::{
    Script,
    faults::{Effect, Fault},
};

use crate::props::{task, waits};

#[tokio::test(start_paused = true)]
async fn the_same_story_is_told_twice_in_the_same_words() {
    let (asked, said) = tell((1, 2, 3, 4)).await;

    assert!(asked.len() > 50, "{}", asked.len());
    assert_eq!(tell((1, 2, 3, 4)).await, (asked, said));
}

#[tokio::test(start_paused = true)]
async fn another_seed_gives_other_ids_and_marks() {
    let (asked, said) = tell((1, 2, 3, 4)).await;
    let (other_asked, other_said) = tell((1, 2, 3, 5)).await;

    assert_eq!(said.len(), other_said.len());
    assert_ne!((asked, said), (other_asked, other_said));
}

/// Everything that the guest wanted done, and everything that it said.
async fn tell(seed: (u64, u64, u64, u64)) -> (Vec<String>, Vec<String>) {
    let setting = if seed.3 == 4 {
        Setting::default()
    } else {
        Setting::default().settings(|settings| settings.seed = (1, 2, 3, 5))
    };
    let story = setting.begin();
    story.fetch().await;
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let away = story.platform().push_peer("Away", Script::Refuse);
    let slow = Effect::Delay(Duration::from_secs(7));
    story.platform().inject(Fault::new(slow).method("POST").path("/workspaces/*/a2a"));
    story.hears(&json!({ "platform_inbound_secret": "s1" })).await;

    let calls = [
        story.call("delegate_task", task(&echo, "hi")),
        story.call("delegate_task", task(&away, "hi")),
        story.call("delegate_task_async", task(&echo, "later")),
        story.call("wait_for_message", json!({ "timeout_secs": 60 })),
    ];
    story.platform().user_sends(story.me.id, "hello");
    let mut said = Vec::new();
    for call in calls {
        said.push(call.await.unwrap().text().to_owned());
    }
    let message = waits(&story, 60).await;
    for (tool, arguments) in [
        ("inbox_pop", json!({ "activity_id": message["activity_id"] })),
        ("commit_memory", json!({ "content": "a fact" })),
        ("recall_memory", json!({})),
        ("check_task_status", json!({ "workspace_id": "", "task_id": "" })),
        ("send_message_to_user", json!({ "message": "done" })),
    ] {
        said.push(story.asks(tool, arguments).await.text().to_owned());
    }
    story.pass(Duration::from_secs(60)).await;
    (story.process().asked(), said)
}
