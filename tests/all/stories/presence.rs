//! Register and heartbeats, beside a platform that keeps count.

use std::time::Duration;

use molecule_runtime::{account::Token, guest::wire::Level as LogLevel, presence::Tokens as _};
use molecule_tests::story::{Setting, Story};
use serde_json::json;
use standin::{
    Level, Request, Response, Script, Status,
    faults::{Effect, Fault},
};

use crate::props::{LEVELS, task};

#[tokio::test(start_paused = true)]
async fn the_workspace_is_online_after_its_register_and_stays_so() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();
        assert_eq!(status(&story), Status::AwaitingAgent);
        let _presence = story.appear();
        story.pass(Duration::from_millis(10)).await;
        assert_eq!(status(&story), Status::Online);

        for _ in 0..20 {
            story.pass(Duration::from_secs(30)).await;
            assert_eq!(status(&story), Status::Online, "{level:?}");
        }

        assert_eq!(beats(&story).len(), 31, "at once, and every 20 s");
        assert_eq!(story.sent("POST", "/registry/register").len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_register_is_answered_before_the_first_beat() {
    let story = Setting::default().begin();
    story.platform().inject(Fault::new(Effect::Delay(Duration::from_secs(5))).path("/registry/register"));
    let _presence = story.appear();

    story.pass(Duration::from_secs(4)).await;
    assert_eq!(beats(&story), [0; 0]);
    story.pass(Duration::from_secs(21)).await;

    assert_eq!(beats(&story), [5_003, 20_001], "the slots do not move with the answer");
}

#[tokio::test(start_paused = true)]
async fn the_secret_of_the_register_is_on_disk_and_written_once() {
    for level in LEVELS {
        let story = Setting::default().level(level).begin();
        let _presence = story.appear();

        story.pass(Duration::from_secs(100)).await;

        let secret = story.platform().workspace(story.me.id).and_then(|me| me.inbound_secret.clone());
        assert!(secret.is_some(), "{level:?}");
        assert_eq!((story.secret(), story.writes()), (secret, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_the_platform_changes_is_on_disk_after_the_next_beat() {
    let story = Setting::default().begin();
    let _presence = story.appear();
    story.pass(Duration::from_secs(5)).await;
    let me = story.me.id;
    story.platform().alter(me, |me| me.inbound_secret = Some("another".to_owned()));

    story.pass(Duration::from_secs(20)).await;

    assert_eq!(story.secret().as_deref(), Some("another"));
}

#[tokio::test(start_paused = true)]
async fn beats_tell_what_the_agent_is_waiting_for() {
    let story = Setting::default().begin();
    let echo = story.platform().push_peer("Echo", Script::Echo);
    let slow = Effect::Delay(Duration::from_secs(30));
    story.platform().inject(Fault::new(slow).method("POST").path("/workspaces/*/a2a"));
    let _presence = story.appear();
    story.pass(Duration::from_secs(1)).await;

    let call = story.call("delegate_task", task(&echo, "hi"));
    story.pass(Duration::from_secs(20)).await;
    let busy = story.platform().workspace(story.me.id).map(|me| me.beat.clone()).unwrap();
    assert!(!call.await.unwrap().failed());
    story.pass(Duration::from_secs(20)).await;
    let idle = story.platform().workspace(story.me.id).map(|me| me.beat.clone()).unwrap();

    assert_eq!((busy.active_tasks, busy.current_task.as_str()), (1, "Delegating to Echo"));
    assert_eq!((idle.active_tasks, idle.current_task.as_str()), (0, ""));
    assert_eq!(idle.uptime_seconds, 40);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_worked_ends_the_process_within_a_second() {
    let story = Setting::default().begin();
    let me = story.me.id;
    story.platform().revoke_tokens(me);
    story.platform().mint_for(me);

    let rejected = story.appear().await.unwrap();

    assert_eq!(rejected.status, 401);
    assert!(story.elapsed_ms() < 1_000, "{}", story.elapsed_ms());
    let text = rejected.to_string();
    assert!(text.contains("MOLECULE_WORKSPACE_TOKEN") && text.contains("Tokens tab"), "{text}");
    assert!(!text.contains(&story.me.token));
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_at_the_start_is_tried_until_it_is_up() {
    let story = Setting::default().begin();
    let down = Effect::Answer(Response::empty(503));
    story.platform().inject(Fault::new(down).path("/registry/").times(8));
    let presence = story.appear();

    story.pass(Duration::from_secs(60)).await;

    assert!(!presence.is_finished());
    assert_eq!(status(&story), Status::Online);
    assert!(story.process().logged(LogLevel::Warn)[0].contains("is not registered"));
}

#[tokio::test(start_paused = true)]
async fn refused_beats_are_said_aloud_at_the_third_and_the_twenty_third() {
    let story = Setting::default().begin();
    let presence = story.appear();
    story.pass(Duration::from_secs(1)).await;
    let me = story.me.id;
    story.platform().revoke_tokens(me);
    story.platform().mint_for(me);
    let mut loud = Vec::new();

    for slot in 1..=24 {
        story.pass(Duration::from_secs(20)).await;
        if story.process().logged(LogLevel::Error).len() > loud.len() {
            loud.push(slot);
        }
    }

    assert_eq!(loud, [3, 23]);
    let errors = story.process().logged(LogLevel::Error).concat();
    assert!(errors.contains("MOLECULE_WORKSPACE_TOKEN") && errors.contains("revoked"), "{errors}");
    assert!(!presence.is_finished(), "tools go on to say what is wrong");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_survived_and_its_end_is_said() {
    let story = Setting::default().begin();
    let _presence = story.appear();
    story.pass(Duration::from_secs(1)).await;
    story.platform().inject(Fault::new(Effect::CloseAfterReading).path("/registry/").times(60));

    story.pass(Duration::from_secs(300)).await;
    story.pass(Duration::from_secs(60)).await;

    assert_eq!(status(&story), Status::Online);
    let told = story.process().logged(LogLevel::Info);
    assert!(told.iter().any(|line| line.starts_with("the heartbeat recovered after ")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn beats_do_not_wait_for_a_guest_that_traps_or_a_disk_that_is_full() {
    let story = Setting::default().begin();
    story.disk_trouble(Some("disk full"));
    let _presence = story.appear();
    story.pass(Duration::from_secs(1)).await;
    story.process().flood();
    assert!(story.asks("list_peers", json!({})).await.is_lost());

    story.pass(Duration::from_secs(60)).await;

    assert_eq!(beats(&story).len(), 4);
    assert_eq!(status(&story), Status::Online);
}

#[tokio::test(start_paused = true)]
async fn beats_go_on_while_nothing_can_be_written() {
    let story = Setting::default().begin();
    story.disk_trouble(Some("disk full"));
    let _presence = story.appear();

    story.pass(Duration::from_secs(600)).await;
    assert_eq!((status(&story), story.secret()), (Status::Online, None));
    story.disk_trouble(None);
    story.pass(Duration::from_secs(20)).await;

    assert!(story.secret().is_some());
}

#[tokio::test(start_paused = true)]
async fn at_the_newest_level_a_token_of_the_tokens_tab_is_no_reason_to_complain() {
    let story = Setting::default().level(Level::Newest).begin();
    let me = story.me.id;
    story.platform().revoke_tokens(me);
    let token = story.platform().mint_for(me);
    story.process().adopt(Token::parse(&token).unwrap());

    let _presence = story.appear();
    story.pass(Duration::from_secs(70)).await;

    assert_eq!(story.process().adopted(), Some(token));
    assert_eq!(story.process().logged(LogLevel::Warn), Vec::<String>::new());
    let told = story.process().logged(LogLevel::Info).concat();
    assert!(told.contains("issued a further token") && status(&story) == Status::Online, "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_alone_opens_the_workspace_is_used() {
    let story = Setting::default().begin();
    let me = story.me.id;
    story.platform().revoke_tokens(me);

    let _presence = story.appear();
    story.pass(Duration::from_secs(70)).await;

    let adopted = story.process().adopted().unwrap();
    assert_ne!(adopted, story.me.token);
    assert!(!story.asks("list_peers", json!({})).await.failed());
    let warned = story.process().logged(LogLevel::Warn).concat();
    assert!(warned.contains("the token from MOLECULE_WORKSPACE_TOKEN was revoked"), "{warned}");
    assert!(!warned.contains(&adopted), "{warned}");
    assert_eq!(status(&story), Status::Online);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_workspace_is_told_by_the_token_that_it_is_offered() {
    let story = Setting::default().begin();
    let path = format!("/workspaces/{}?confirm=true", story.me.id);
    let deleted = story.somebody_sends(&Request::new("DELETE", &path).bearer(&story.me.token)).unwrap();
    assert_eq!(deleted.status, 200);

    let presence = story.appear();
    story.pass(Duration::from_secs(70)).await;

    let warned = story.process().logged(LogLevel::Warn);
    assert!(warned[0].contains("deleted, or all its tokens were revoked"), "{warned:?}");
    // From here on there is a live token, and it is not ours.
    assert!(story.process().logged(LogLevel::Error)[0].contains("Tokens tab"));
    assert!(!presence.is_finished());
}

/// When the beats came, in milliseconds.
fn beats(story: &Story) -> Vec<u64> {
    let platform = story.platform();
    let beats = platform.requests(0).into_iter().filter(|entry| entry.request.path.ends_with("/heartbeat"));
    beats.map(|entry| story.ms_of(entry.at)).collect()
}

fn status(story: &Story) -> Status {
    story.platform().workspace(story.me.id).map(|me| me.status).unwrap()
}
