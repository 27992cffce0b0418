use std::{
    fs,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use tokio::task::JoinHandle;
use url::Url;

use super::{leading::DISPLACED, *};
use crate::guest::{
    Guest,
    wire::{
        Effect, FileUpdate, Listen, Outcome, PlatformRequest, PlatformResponse, Rest, Settings,
        UploadRequest, WorkspaceSettings,
    },
};
use crate::{
    config::ToolOptions,
    session::Session,
    storage::paths::{InboxPaths, Naming},
};

/// More than the component may hold.
const FLOOD_BYTES: usize = 512 << 20;
const FIRST: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";
const SECOND: &str = "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";
const SECRET: &str = "s3cret-of-the-platform";

#[tokio::test(start_paused = true)]
async fn a_component_that_always_stops_is_opened_at_a_bounded_rate() {
    let scene = Scene::new(vec![0; FLOOD_BYTES], true);

    time::sleep(Duration::from_secs(200)).await;

    assert_eq!(scene.world().polls(), [3, 4, 6, 10, 18, 34, 66, 126, 186]);
}

#[tokio::test(start_paused = true)]
async fn fetching_goes_on_from_what_is_on_disk() {
    let scene = Scene::new(vec![0; FLOOD_BYTES], true);
    fs::write(scene.configs.path().join(".mcp_inbox_cursor"), FIRST).unwrap();
    time::sleep(Duration::from_millis(3_500)).await;
    fs::write(scene.configs.path().join(".mcp_inbox_cursor"), SECOND).unwrap();

    time::sleep(Duration::from_secs(1)).await;

    let since = |id: &str| ("since_id".to_owned(), id.to_owned());
    let requests = scene.world().requests.lock().unwrap();
    assert!(requests[0].1.query.contains(&since(FIRST)), "{:?}", requests[0].1.query);
    assert!(requests[1].1.query.contains(&since(SECOND)), "{:?}", requests[1].1.query);
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_is_switched_off_asks_for_nothing_and_knows_the_secret() {
    let scene = Scene::new(b"[]".to_vec(), false);
    fs::write(scene.configs.path().join(".platform_inbound_secret"), SECRET).unwrap();
    time::sleep(Duration::from_secs(600)).await;

    for secret in [SECRET, "another", SECRET] {
        let body = format!(r#"{{"platform_inbound_secret":"{secret}"}}"#);
        scene.driver.learn_secret(0, body.as_bytes()).await.unwrap();
    }

    assert_eq!(scene.world().polls(), [0; 0]);
    assert_eq!(scene.world().stores.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_follower_fetches_nothing_and_takes_over_within_six_seconds() {
    let configs = TempDir::new().unwrap();
    let leader = files(&configs);
    leader.lead().await;
    let scene = Scene::at(configs, b"[]".to_vec(), true);
    time::sleep(Duration::from_secs(20)).await;
    assert_eq!(scene.world().polls(), [0; 0]);

    drop(leader);
    time::sleep(Duration::from_secs(6)).await;

    assert!(!scene.world().polls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_displaced_process_leaves_the_lead_to_others_until_its_client_calls_a_tool() {
    let scene = Scene::new(b"[]".to_vec(), true);
    time::sleep(Duration::from_secs(10)).await;
    let newer = files(&scene.configs);
    newer.take_over().await.unwrap();
    time::sleep(Duration::from_secs(20)).await;
    let polls = scene.world().polls();
    drop(newer);

    time::sleep(Duration::from_secs(120)).await;
    assert_eq!(scene.world().polls(), polls);
    let another = files(&scene.configs);
    assert_eq!(another.lead().await, Lead::Here);
    drop(another);
    scene.session.tool_called();
    time::sleep(Duration::from_secs(6)).await;

    assert!(scene.world().polls().len() > polls.len());
}

#[tokio::test(start_paused = true)]
async fn a_displaced_process_leads_again_if_no_other_does_for_ten_minutes() {
    let scene = Scene::new(b"[]".to_vec(), true);
    time::sleep(Duration::from_secs(10)).await;
    let newer = files(&scene.configs);
    newer.take_over().await.unwrap();
    drop(newer);
    let polls = scene.world().polls();

    time::sleep(DISPLACED + Duration::from_secs(6)).await;

    assert!(scene.world().polls().len() > polls.len());
}

#[tokio::test(start_paused = true)]
async fn only_calls_of_tools_are_told_as_calls() {
    let scene = Scene::new(b"[]".to_vec(), true);
    let other = files(&scene.configs);
    time::sleep(Duration::from_secs(10)).await;
    let idle = other.leader().await.unwrap();
    scene.session.tool_called();
    time::sleep(Duration::from_secs(1)).await;

    assert!(idle.called.contains("no tool so far"), "{idle}");
    let busy = other.leader().await.unwrap();
    assert!(busy.called.contains("within the last minute"), "{busy}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lock_is_taken_stops_within_a_minute() {
    let scene = Scene::new(b"[]".to_vec(), true);
    time::sleep(Duration::from_secs(10)).await;
    let other = files(&scene.configs);
    fs::remove_file(scene.lock()).unwrap();
    assert_eq!(other.lead().await, Lead::Here);

    time::sleep(Duration::from_secs(60)).await;
    let polls = scene.world().polls();
    time::sleep(Duration::from_secs(20)).await;

    assert!(!polls.is_empty());
    assert_eq!(scene.world().polls(), polls);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lock_was_removed_goes_on_and_locks_again() {
    let scene = Scene::new(b"[]".to_vec(), true);
    time::sleep(Duration::from_secs(10)).await;
    fs::remove_file(scene.lock()).unwrap();

    time::sleep(Duration::from_secs(90)).await;

    assert!(matches!(files(&scene.configs).lead().await, Lead::Another(_)));
    assert!(scene.world().polls().last().is_some_and(|last| *last > 80));
}

#[tokio::test(start_paused = true)]
async fn an_inbox_that_is_switched_off_takes_no_lock() {
    let scene = Scene::new(b"[]".to_vec(), false);
    time::sleep(Duration::from_secs(10)).await;

    assert!(!scene.lock().exists());
}

/// An inbox, and the directory of its files.
struct Scene {
    driver: Arc<Driver<World>>,
    configs: TempDir,
    session: Session,
    inbox: JoinHandle<()>,
}

/// A platform that answers everything with the same body.
struct World {
    start: Instant,
    body: Vec<u8>,
    requests: Mutex<Vec<(u64, PlatformRequest)>>,
    stores: AtomicUsize,
}

impl Scene {
    fn new(body: Vec<u8>, fetch: bool) -> Self {
        Self::at(TempDir::new().unwrap(), body, fetch)
    }

    fn at(configs: TempDir, body: Vec<u8>, fetch: bool) -> Self {
        let world =
            World { start: Instant::now(), body, requests: Mutex::default(), stores: AtomicUsize::default() };
        let driver = Driver::new(Guest::embedded(settings()).unwrap(), Arc::new(world));
        let files = files(&configs);
        let session = Session::default();
        let (kept, begins) = (Arc::clone(&driver), session.clone());
        let inbox = tokio::spawn(async move {
            begins.begun().await;
            keep_open(kept, 0, (files, begins.calls()), Standing::default(), fetch).await;
        });
        Self { driver, configs, session, inbox }
    }

    fn lock(&self) -> PathBuf {
        let entries = fs::read_dir(self.configs.path()).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|end| end == "lock")).unwrap_or_default()
    }

    fn world(&self) -> &World {
        self.driver.ports()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.inbox.abort();
    }
}

impl World {
    /// When the inbox was asked for, in seconds.
    fn polls(&self) -> Vec<u64> {
        self.requests.lock().unwrap().iter().map(|(second, _)| *second).collect()
    }
}

impl Ports for World {
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn perform(&self, _effect: Effect) {}

    async fn send(&self, request: PlatformRequest) -> Outcome {
        self.requests.lock().unwrap().push((self.start.elapsed().as_secs(), request));
        Outcome::Responded(PlatformResponse {
            status: 200,
            json: true,
            retry_after_ms: None,
            server_time_ms: None,
            body: self.body.clone(),
        })
    }

    async fn store(&self, _update: FileUpdate) -> Outcome {
        self.stores.fetch_add(1, Ordering::Relaxed);
        Outcome::Stored
    }

    async fn listen(&self, listen: Listen) -> Outcome {
        time::sleep_until(self.start + Duration::from_millis(listen.until)).await;
        Outcome::Heard(listen.hints_over)
    }

    async fn rest(&self, rest: Rest) -> Outcome {
        time::sleep_until(self.start + Duration::from_millis(rest.until)).await;
        Outcome::Rested
    }

    async fn take_over(&self, _workspace: Workspace) -> Outcome {
        Outcome::Refused("nothing is taken here".to_owned())
    }

    async fn upload(&self, _request: UploadRequest) -> Outcome {
        Outcome::Refused("nothing is sent here".to_owned())
    }
}

fn files(configs: &TempDir) -> Files {
    let platform = Url::parse("http://platform").unwrap();
    let naming = Naming::of(&["w"]).remove(0);
    Files::at(Some(InboxPaths::new(configs.path(), &platform, "w", &naming)))
}

fn settings() -> Settings {
    let workspace = WorkspaceSettings { id: "w".to_owned(), platform: String::new() };
    ToolOptions::default().settings((1, 2, 3, 4), vec![workspace], true)
}
