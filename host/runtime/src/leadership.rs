//! Keeps the inbox of the component open, also after the component had to be restarted.
//!
//! ```text
//! token is taken ──► lock taken ──► told what is on disk ──► fetching ──► stopped ──► pause
//!                   ▲   │  ▲                                   │                       │
//!                   │   │  └─────────── lock lost ─────────────┘                       │
//!                   2 s ▼                                                              │
//!          another process has it                            ◄── begins anew ──────────┘
//! ```

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use futures::future::select_all;
use tokio::{
    task,
    time::{self, Instant},
};
use tracing::Span;

use crate::{
    driver::{Driver, Ports},
    guest::{
        GuestDown,
        wire::{Saved, Workspace},
    },
    presence::Standing,
    storage::files::{Files, Lead},
};

/// Before the first try to open it again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A message that stops the component each time it is read costs one restart a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Takes over within 6 s of the end of another process, with time for reading the disk.
const LOCK_AGAIN: Duration = Duration::from_secs(2);
/// So many messages that are dealt with one after the other change the cursor file once.
const SETTLE_AFTER: Duration = Duration::from_millis(500);
/// A lock is lost when somebody removes its file, which nothing tells.
const LOCK_CHECK: Duration = Duration::from_secs(60);
/// One that keeps files in order, and two that fetch them: a slow file leaves a way for the next.
const FILE_LANES: u32 = 3;

/// Tells the component what the files of `account` hold and lets it fetch messages, for as long as the future is
/// polled, the platform takes the token, and no other process does. Without `fetch` nothing is fetched, and no lock
/// is taken.
pub async fn keep_open<P: Ports>(
    driver: Arc<Driver<P>>,
    workspace: Workspace,
    files: Files,
    standing: Standing,
    fetch: bool,
) {
    let mut inbox = Inbox { driver, workspace, files, standing, said: Lead::Here };
    let mut pause = FIRST_PAUSE;
    loop {
        let opened = Instant::now();
        let mut stops = inbox.driver.guest().stops();
        tokio::select! {
            // Where nothing is fetched, nothing else would notice the stop.
            _ = stops.changed() => {}
            _ = inbox.open(fetch) => {}
        }
        if opened.elapsed() >= LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        }
        tracing::warn!("the inbox is opened again in {} s", pause.as_secs());
        time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Inbox<P: Ports> {
    driver: Arc<Driver<P>>,
    workspace: Workspace,
    files: Files,
    standing: Standing,
    /// What the operator knows.
    said: Lead,
}

impl<P: Ports> Inbox<P> {
    /// Ends only if the component stops.
    async fn open(&mut self, fetch: bool) -> Result<(), GuestDown> {
        let files = self.files.clone();
        let span = Span::current();
        let read = task::spawn_blocking(move || span.in_scope(|| files.read_secret()));
        if let Some(secret) = read.await.unwrap_or_default() {
            self.driver.guest().remember_secret(self.workspace, &secret).await?;
        }
        loop {
            self.wait_for_the_token().await?;
            let (standing, workspace) = (self.standing.clone(), self.workspace);
            tokio::select! {
                ended = self.keep(fetch) => return ended,
                () = standing.until(workspace, true) => self.files.resign().await,
            }
        }
    }

    /// Ends once the platform takes the token of the workspace; tells the component why it does not.
    async fn wait_for_the_token(&self) -> Result<(), GuestDown> {
        while let Some(rejected) = self.standing.refusal(self.workspace) {
            let guest = self.driver.guest();
            guest.refused(self.workspace, &rejected.to_string()).await?;
            self.standing.until(self.workspace, false).await;
            guest.refused(self.workspace, "").await?;
        }
        Ok(())
    }

    /// Ends only if the component stops.
    async fn keep(&mut self, fetch: bool) -> Result<(), GuestDown> {
        if !fetch {
            return pending().await;
        }
        loop {
            self.follow().await?;
            self.lead().await?;
        }
    }

    /// Ends when no other process leads any more.
    async fn follow(&mut self) -> Result<(), GuestDown> {
        let mut told = None;
        loop {
            let lead = self.files.lead().await;
            self.say(&lead);
            let Lead::Another(leader) = lead else { return Ok(()) };
            if told.as_ref() != Some(&leader) {
                self.driver.guest().follow(self.workspace, &leader).await?;
                told = Some(leader);
            }
            time::sleep(LOCK_AGAIN).await;
        }
    }

    /// Fetches until another process may have taken the lock.
    async fn lead(&self) -> Result<(), GuestDown> {
        let saved = self.files.saved().await;
        let mut fetching = pin!(self.fetch(saved));
        let mut settling = pin!(self.settle());
        loop {
            tokio::select! {
                ended = &mut fetching => return ended,
                Err(down) = &mut settling => return Err(down),
                () = self.files.lock_in_doubt() => {}
                () = time::sleep(LOCK_CHECK) => {}
            }
            if !self.files.still_leads().await {
                tracing::warn!("the lock of the inbox was removed or lost, and the inbox is opened again");
                // No pop may act on what was known before the journal is read again.
                return self.driver.guest().follow(self.workspace, "another process").await;
            }
        }
    }

    /// Has the cursor file follow what the agent deals with; ends only if the component stops.
    async fn settle(&self) -> Result<Infallible, GuestDown> {
        loop {
            self.driver.handled(self.workspace).await;
            time::sleep(SETTLE_AFTER).await;
            self.driver.settle_inbox(self.workspace).await?;
        }
    }

    /// Fetches messages, and beside them the files that come with them; ends only if the component stops.
    async fn fetch(&self, saved: Saved) -> Result<(), GuestDown> {
        let files = select_all((0..FILE_LANES).map(|lane| Box::pin(self.keep_files(lane))));
        tokio::select! {
            biased;
            ended = self.driver.fetch_inbox(self.workspace, saved) => ended.map(drop),
            (stopped, ..) = files => Err(stopped),
        }
    }

    /// Ends only if the component stops.
    async fn keep_files(&self, lane: u32) -> GuestDown {
        match self.driver.keep_files(self.workspace, lane).await {
            Ok(_) => pending().await,
            Err(stopped) => stopped,
        }
    }

    /// Tells the operator what changed.
    fn say(&mut self, lead: &Lead) {
        if self.said == *lead {
            return;
        }
        match lead {
            Lead::Another(leader) => tracing::warn!(
                "{leader}, fetches the messages of this workspace; this process takes over when that one ends"
            ),
            Lead::Here if matches!(self.said, Lead::Another(_)) => {
                tracing::warn!("the other process has ended, and this one fetches the messages");
            }
            Lead::Here => {}
            Lead::Unlocked(why) => tracing::warn!(
                "the inbox is not locked, so another process on this workspace shows the same messages: {why}"
            ),
        }
        self.said = lead.clone();
    }
}

#[cfg(test)]
mod tests {
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

    use super::*;
    use crate::guest::{
        Guest,
        wire::{
            Effect, FileUpdate, Listen, Outcome, Permissions, PlatformRequest, PlatformResponse, Rest,
            Settings, UploadRequest, WorkspaceSettings,
        },
    };
    use crate::{
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
            let world = World {
                start: Instant::now(),
                body,
                requests: Mutex::default(),
                stores: AtomicUsize::default(),
            };
            let driver = Driver::new(Guest::embedded(settings()).unwrap(), Arc::new(world));
            let files = files(&configs);
            let kept = Arc::clone(&driver);
            let inbox = tokio::spawn(async move {
                Session::default().begun().await;
                keep_open(kept, 0, files, Standing::default(), fetch).await;
            });
            Self { driver, configs, inbox }
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
        Settings {
            seed: (1, 2, 3, 4),
            workspaces: vec![WorkspaceSettings { id: "w".to_owned(), platform: String::new() }],
            inbox: true,
            redeliver: false,
            notice: true,
            structured: false,
            bare_peer_text: false,
            delegate_durably: false,
            durable_budget_secs: 300,
            poll_timeout_secs: 2,
            permissions: Permissions { roles: Vec::new(), allowed_actions: Vec::new(), tier: 1 },
        }
    }
}
