//! Keeps the inbox of the component open, also after the component had to be restarted.
//!
//! ```text
//! session begun ──► lock taken ──► told what is on disk ──► fetching ──► stopped ──► pause
//!                   ▲   │  ▲                                │   │                      │
//!                   │   │  └─────────── lock lost ──────────┘   │ handed over          │
//!                   2 s ▼                                       ▼                      │
//!          another process has it ◄── tool called, 10 min ── displaced ◄─ begins anew ─┘
//! ```
//!
//! A process is displaced when the agent of another one has asked for the lead. Its own agent is likely gone,
//! so it leaves the lead to others that begin meanwhile, until its own client calls a tool.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::select_all};
use tokio::{
    sync::watch,
    task,
    time::{self, Instant},
};

use crate::{
    driver::{Driver, Ports},
    guest::{GuestDown, wire::Saved},
    ports::{
        door::Door,
        files::{Files, Lead},
    },
    session::Session,
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
/// How long a process whose client calls no tool leaves the lead to others after it was displaced.
const DISPLACED: Duration = Duration::from_secs(600);
/// How long the cursor file is waited for before the lead is handed over.
const SETTLED_WITHIN: Duration = Duration::from_millis(500);
/// How often it is written down for others that the client calls tools.
const NOTE_CALLS: Duration = Duration::from_secs(15);

/// Tells the component what `files` hold and lets it fetch messages, for as long as the future is
/// polled and no other process does. Without `fetch` nothing is fetched, and no lock is taken.
pub async fn keep_open<P: Ports>(driver: Arc<Driver<P>>, files: Files, session: Session, fetch: bool) {
    session.begun().await;
    let mut inbox = Inbox { driver, files, calls: session.calls(), said: Lead::Here, displaced: None };
    // The call that began the session counts.
    inbox.calls.mark_changed();
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
    files: Files,
    /// Changes with each call of a tool.
    calls: watch::Receiver<u64>,
    /// What the operator knows.
    said: Lead,
    /// Until when the lead is left to others.
    displaced: Option<Instant>,
}

/// Why this process does not lead any more.
enum Ended {
    /// Another process asked for it.
    HandedOver(u32),
    /// The lock was removed or lost.
    LockLost,
}

impl<P: Ports> Inbox<P> {
    /// Ends only if the component stops.
    async fn open(&mut self, fetch: bool) -> Result<(), GuestDown> {
        let files = self.files.clone();
        let secret = task::spawn_blocking(move || files.read_secret()).await.unwrap_or_default();
        if let Some(secret) = secret {
            self.driver.guest().remember_secret(0, &secret).await?;
        }
        if !fetch {
            return pending().await;
        }
        loop {
            self.stay_displaced().await?;
            self.follow().await?;
            match self.lead().await? {
                Ended::LockLost => {
                    tracing::warn!(
                        "the lock of the inbox was removed or lost, and the inbox is opened again"
                    );
                    // No pop may act on what was known before the journal is read again.
                    self.driver.guest().follow(0, "another process").await?;
                }
                Ended::HandedOver(process) => self.hand_over(process).await?,
            }
        }
    }

    /// Ends when this process may lead again although it was displaced.
    async fn stay_displaced(&mut self) -> Result<(), GuestDown> {
        let Some(until) = self.displaced else { return Ok(()) };
        let mut told = None;
        loop {
            let leader = self.files.leader().await.map(|leader| leader.to_string()).unwrap_or_default();
            if told.as_ref() != Some(&leader) {
                self.driver.guest().follow(0, &leader).await?;
                told = Some(leader);
            }
            tokio::select! {
                () = time::sleep_until(until) => break,
                () = changed(&mut self.calls) => break,
                () = self.files.has_taken_over() => break,
                () = time::sleep(LOCK_AGAIN) => {}
            }
        }
        self.displaced = None;
        Ok(())
    }

    /// Ends when no other process leads any more.
    async fn follow(&mut self) -> Result<(), GuestDown> {
        let mut told = None;
        loop {
            let lead = self.files.lead().await;
            self.say(&lead);
            let Lead::Another(leader) = lead else { return Ok(()) };
            let leader = leader.to_string();
            if told.as_ref() != Some(&leader) {
                self.driver.guest().follow(0, &leader).await?;
                told = Some(leader);
            }
            tokio::select! {
                () = self.files.has_taken_over() => {}
                () = time::sleep(LOCK_AGAIN) => {}
            }
        }
    }

    /// Fetches until another process may have taken the lock, or asks for it.
    async fn lead(&self) -> Result<Ended, GuestDown> {
        let saved = self.files.saved().await;
        let door = self.files.open_door();
        let mut fetching = pin!(self.fetch(saved));
        let mut settling = pin!(self.settle());
        let (mut calls, mut noted) = (self.calls.clone(), None);
        loop {
            tokio::select! {
                // It ends with a stop of the component alone.
                ended = &mut fetching => { ended?; return Ok(Ended::LockLost) }
                Err(down) = &mut settling => return Err(down),
                process = asked(door.as_ref()) => return Ok(Ended::HandedOver(process)),
                () = called(&mut calls, noted) => {
                    self.files.note_asked().await;
                    noted = Some(Instant::now());
                    continue;
                }
                () = self.files.lock_in_doubt() => {}
                () = time::sleep(LOCK_CHECK) => {}
            }
            if !self.files.still_leads().await {
                return Ok(Ended::LockLost);
            }
        }
    }

    /// Has the cursor file follow what the agent deals with; ends only if the component stops.
    async fn settle(&self) -> Result<Infallible, GuestDown> {
        loop {
            self.driver.handled().await;
            time::sleep(SETTLE_AFTER).await;
            self.driver.settle_inbox(0).await?;
        }
    }

    /// Fetches messages, and beside them the files that come with them; ends only if the component stops.
    async fn fetch(&self, saved: Saved) -> Result<(), GuestDown> {
        let files = select_all((0..FILE_LANES).map(|lane| Box::pin(self.keep_files(lane))));
        tokio::select! {
            biased;
            ended = self.driver.fetch_inbox(0, saved) => ended.map(drop),
            (stopped, ..) = files => Err(stopped),
        }
    }

    /// Ends only if the component stops.
    async fn keep_files(&self, lane: u32) -> GuestDown {
        match self.driver.keep_files(0, lane).await {
            Ok(_) => pending().await,
            Err(stopped) => stopped,
        }
    }

    /// Lets another process lead. Nothing is fetched any more, and the tools of this one show nothing from here
    /// on; a pop that is not on disk by then says that it is not.
    async fn hand_over(&mut self, process: u32) -> Result<(), GuestDown> {
        // The journal says the same: a slow disk is not waited for.
        let _ = time::timeout(SETTLED_WITHIN, self.driver.settle_inbox(0)).await;
        self.driver.guest().follow(0, &format!("process {process}")).await?;
        // Only what comes from here on says that the agent of this one is there after all.
        self.calls.mark_unchanged();
        let _ = self.files.has_taken_over().now_or_never();
        self.files.hand_over().await;
        tracing::warn!(
            "the agent of process {process} has asked for the messages of this workspace, and gets them"
        );
        self.displaced = Some(Instant::now() + DISPLACED);
        Ok(())
    }

    /// Tells the operator what changed.
    fn say(&mut self, lead: &Lead) {
        let is_said = match (&self.said, lead) {
            (Lead::Another(said), Lead::Another(leader)) => said.who == leader.who,
            (said, lead) => said == lead,
        };
        if is_said {
            return;
        }
        match lead {
            Lead::Another(leader) => tracing::warn!(
                "{}, fetches the messages of this workspace; this process takes over when that one ends, or when its \
                 agent asks for it",
                leader.who
            ),
            Lead::Here if matches!(self.said, Lead::Another(_)) => {
                tracing::warn!(
                    "the other process has ended or handed over, and this one fetches the messages"
                );
            }
            Lead::Here => {}
            Lead::Unlocked(why) => tracing::warn!(
                "the inbox is not locked, so another process on this workspace shows the same messages: {why}"
            ),
        }
        self.said = lead.clone();
    }
}

async fn asked(door: Option<&Door>) -> u32 {
    match door {
        Some(door) => door.asked().await,
        None => pending().await,
    }
}

async fn changed(calls: &mut watch::Receiver<u64>) {
    if calls.changed().await.is_err() {
        // The session is over, and nobody calls any more.
        pending().await
    }
}

/// Returns at the next call, but not soon after the one that was `noted` last.
async fn called(calls: &mut watch::Receiver<u64>, noted: Option<Instant>) {
    if let Some(noted) = noted {
        time::sleep_until(noted + NOTE_CALLS).await;
    }
    changed(calls).await;
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
            Settings, UploadRequest, Workspace, WorkspaceSettings,
        },
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
    async fn who_has_handed_over_leaves_the_lead_to_others_until_its_client_calls() {
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
    async fn who_has_handed_over_leads_again_if_nobody_does_for_ten_minutes() {
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
            let world = World {
                start: Instant::now(),
                body,
                requests: Mutex::default(),
                stores: AtomicUsize::default(),
            };
            let driver = Driver::new(Guest::embedded(settings()).unwrap(), Arc::new(world));
            let files = files(&configs);
            let session = Session::default();
            let inbox = tokio::spawn(keep_open(Arc::clone(&driver), files, session.clone(), fetch));
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
        Files::new(Some(configs.path().to_owned()), &Url::parse("http://platform").unwrap(), "w")
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
