//! How a workspace comes online and stays there.

use std::time::Duration;

use molecule_mcp::guest::wire::Level as LogLevel;
use molecule_tests::story::{Setting, Story};
use standin::{
    Request, Response,
    faults::{Effect, Fault},
};

/// Longer than the platform waits for a sign of life.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn a_workspace_comes_online_and_stays_so() {
    let story = Setting::default().begin();
    assert_eq!(status(&story), "awaiting_agent");

    let presence = story.appear();
    story.pass(LONG).await;

    assert_eq!(status(&story), "online");
    assert_eq!((story.sent("POST", "/register").len(), story.sent("POST", "/heartbeat").len()), (1, 30));
    assert!(!presence.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_the_register_and_every_beat_is_stored_once() {
    let story = Setting::default().begin();

    let _presence = story.appear();
    story.pass(LONG).await;

    assert!(story.secret().is_some());
    assert_eq!(story.writes(), 1);
}

#[tokio::test(start_paused = true)]
async fn beats_go_on_while_nothing_can_be_written() {
    let story = Setting::default().begin();
    story.disk_trouble(Some("disk full"));

    let _presence = story.appear();
    story.pass(LONG).await;

    assert_eq!((status(&story).as_str(), story.secret()), ("online", None));
    story.disk_trouble(None);
    story.pass(Duration::from_secs(20)).await;
    assert!(story.secret().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_is_down_at_the_start_is_found_later() {
    let story = Setting::default().begin();
    let down = Fault::new(Effect::Answer(Response::empty(502))).path("/registry").times(20);
    story.platform().inject(down);

    let presence = story.appear();
    story.pass(LONG).await;

    assert_eq!(status(&story), "online");
    assert!(!presence.is_finished());
    let warned = story.process().logged(LogLevel::Warn).concat();
    assert!(warned.contains("HTTP 502"), "{warned}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_workspace_is_told_by_the_token_it_is_offered() {
    let story = Setting::default().begin();
    let path = format!("/workspaces/{}?confirm=true", story.me.id);
    assert_eq!(
        story.somebody_sends(&Request::new("DELETE", &path).bearer(&story.me.token)).unwrap().status,
        200
    );

    let presence = story.appear();
    story.pass(Duration::from_secs(70)).await;

    let warned = story.process().logged(LogLevel::Warn);
    assert!(warned[0].contains("deleted, or all its tokens were revoked"), "{warned:?}");
    // From here on there is a live token, and it is not ours.
    assert!(story.process().logged(LogLevel::Error)[0].contains("Tokens tab"));
    assert!(!presence.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_workspace_of_others_is_refused_at_once() {
    let story = Setting::default().begin();
    let refusal = Fault::new(Effect::Answer(Response::empty(401))).path("/registry/register");
    story.platform().inject(refusal);

    let rejected = story.appear().await.unwrap();

    assert_eq!((rejected.status, rejected.workspace), (401, story.me.id.to_string()));
    assert!(story.elapsed_ms() < 1_000);
}

fn status(story: &Story) -> String {
    let path = format!("/workspaces/{}", story.me.id);
    let seen = story.somebody_sends(&Request::new("GET", &path)).unwrap().body_json();
    seen.get("status").unwrap().as_str().unwrap().to_owned()
}
