//! Presence beside a platform that is scripted, on a clock that leaps.

mod issued;
mod trouble;

use std::{
    collections::VecDeque,
    fs,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, time};
use url::Url;

use super::*;
use crate::{
    account::{AgentCard, Credentials, TokenSource},
    guest::wire::{
        FileUpdate, Listen, Outcome, PlatformRequest, PlatformResponse, Unreachable, UploadRequest, Workspace,
    },
};

/// What a request takes there and back.
const LATENCY_MS: u64 = 50;
/// Silence is a session after this long.
const BEGIN_MS: u64 = 3_000;

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_session_has_begun() {
    let scene = Scene::new(|_| ok());
    scene.begin();

    time::sleep(Duration::from_millis(BEGIN_MS - 1)).await;
    assert_eq!(scene.times("register"), [0; 0]);
    time::sleep(Duration::from_millis(2)).await;

    assert_eq!(scene.times("register"), [BEGIN_MS]);
    assert_eq!(scene.times("heartbeat"), [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_card_is_registered_for_polling() {
    let scene = Scene::new(|_| ok());
    scene.begin();

    time::sleep(Duration::from_secs(5)).await;

    let body = r#"{"id":"w-1","url":"","agent_card":{"name":"n","description":"d","skills":[{"name":"a"},{"name":"b"}]},"delivery_mode":"poll"}"#;
    assert_eq!(scene.body("register"), body);
}

#[tokio::test(start_paused = true)]
async fn a_card_without_description_has_no_such_key() {
    let mut scene = Scene::new(|_| ok());
    scene.account.card = AgentCard { name: "n".to_owned(), description: None, skills: vec![] };
    scene.begin();

    time::sleep(Duration::from_secs(5)).await;

    assert!(scene.body("register").contains(r#""agent_card":{"name":"n","skills":[]}"#));
}

#[tokio::test(start_paused = true)]
async fn every_beat_tells_everything() {
    let scene = Scene::new(|_| ok());
    scene.begin();
    let busy = crate::guest::wire::Working { workspace: 0, active_tasks: 2, current_task: "a\0b".to_owned() };
    scene.working.note(&busy);

    time::sleep(Duration::from_secs(44)).await;

    let body = r#"{"workspace_id":"w-1","error_rate":0.0,"sample_error":"","active_tasks":2,"uptime_seconds":40,"current_task":"ab"}"#;
    assert_eq!(scene.body("heartbeat"), body);
}

#[tokio::test(start_paused = true)]
async fn beats_keep_their_slots_whatever_an_answer_takes() {
    let scene = Scene::new(|call| Reply { after_ms: 1_000 + 300 * call.count as u64, ..ok() });
    scene.begin();

    time::sleep(Duration::from_secs(85)).await;

    let slots = [1_000, 20_000, 40_000, 60_000, 80_000].map(|slot| BEGIN_MS + slot);
    assert_eq!(scene.times("heartbeat"), slots);
}

#[tokio::test(start_paused = true)]
async fn a_refused_register_ends_it_at_once() {
    for status in [401, 403] {
        let scene = Scene::new(move |_| answer(status, REFUSAL));

        let rejected = scene.presence().run(&Session::default()).await;

        assert_eq!(scene.ports.now(), BEGIN_MS + LATENCY_MS);
        let text = rejected.to_string();
        for word in [&status.to_string(), "w-1", "TOKEN_SOURCE", "Tokens tab"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert_eq!(scene.times("heartbeat"), [0; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn another_token_in_the_file_of_a_refused_one_is_found_within_a_minute() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("token");
    fs::write(&path, "refused").unwrap();
    let mut scene = Scene::new(|_| answer(401, REFUSAL));
    scene.account.credentials = Credentials::new(TokenSource::file(&path), Token::parse("refused").unwrap());
    let mut presence = scene.presence();
    presence.run(&Session::default()).await;
    let refused_at = scene.ports.now();

    let (noticed, _) = tokio::join!(presence.another_token(), async {
        time::sleep(Duration::from_secs(150)).await;
        fs::write(&path, "another").unwrap();
    });

    assert_eq!(noticed, ());
    assert_eq!(scene.account.credentials.token().reveal(), "another");
    assert_eq!(scene.ports.now() - refused_at, 180_000);
}

#[tokio::test(start_paused = true)]
async fn one_of_several_begins_in_its_turn_and_tries_again_only_while_tries_are_left() {
    let scene = Scene::new(|call| match call.endpoint {
        "register" => ok(),
        _ => Reply { after_ms: 50, outcome: no_answer() },
    });
    let budget = Arc::new(RetryBudget::default());
    while budget.take(BEGIN_MS + 20_000) {}
    let mut presence = scene.presence().among_others(Duration::from_secs(7), budget);
    tokio::spawn(async move { presence.run(&Session::default()).await });

    time::sleep(Duration::from_millis(BEGIN_MS + 7_000 + 19_000)).await;

    assert_eq!(scene.times("register"), [BEGIN_MS + 7_000]);
    assert_eq!(scene.times("heartbeat"), [BEGIN_MS + 7_050], "the next try is that of the next slot");
}

#[tokio::test(start_paused = true)]
async fn a_failed_register_is_repeated_between_beats() {
    let scene = Scene::new(|call| match (call.endpoint, call.count) {
        ("register", 0..=4) => answer(503, ""),
        _ => ok(),
    });
    scene.begin();

    time::sleep(Duration::from_secs(300)).await;

    assert_eq!(scene.times("register").len(), 6);
    assert_eq!(scene.times("heartbeat").len(), 15);
    assert_eq!(scene.ports.most_at_once.load(Ordering::SeqCst), 1);
    assert!(scene.logged(Level::Warn).iter().all(|line| line.contains("not registered")));
}

#[tokio::test(start_paused = true)]
async fn a_first_beat_waits_for_the_end_of_the_first_register() {
    let scene = Scene::new(|call| match call.endpoint {
        "register" => Reply { after_ms: 9_000, outcome: no_answer() },
        _ => ok(),
    });
    scene.begin();

    time::sleep(Duration::from_secs(15)).await;

    assert_eq!(scene.times("heartbeat"), [BEGIN_MS + 9_000]);
}

#[tokio::test(start_paused = true)]
async fn a_register_that_is_refused_later_ends_it_too() {
    let scene = Scene::new(|call| if call.count == 0 { answer(500, "") } else { answer(401, REFUSAL) });

    let rejected = scene.presence().run(&Session::default()).await;

    assert_eq!(rejected.status, 401);
}

#[tokio::test(start_paused = true)]
async fn a_refused_beat_ends_nothing() {
    let scene = Scene::new(|call| if call.endpoint == "register" { ok() } else { answer(401, REFUSAL) });
    scene.begin();

    time::sleep(Duration::from_millis(BEGIN_MS + 24 * 20_000)).await;

    assert_eq!(scene.times("heartbeat").len(), 24);
    assert_eq!((scene.logged(Level::Warn).len(), scene.logged(Level::Error).len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_wish_to_be_left_alone_is_granted_for_a_minute() {
    let scene = Scene::new(|call| match (call.endpoint, call.count) {
        ("heartbeat", 0) => Reply { after_ms: LATENCY_MS, outcome: busy(120_000) },
        _ => ok(),
    });
    scene.begin();

    time::sleep(Duration::from_secs(75)).await;

    let first = BEGIN_MS + LATENCY_MS;
    assert_eq!(scene.times("heartbeat"), [first, first + LATENCY_MS + 60_000]);
}

#[tokio::test(start_paused = true)]
async fn after_a_sleep_one_beat_comes_at_once() {
    for asleep_secs in [90, 600, 8 * 3_600] {
        let scene = Scene::new(|_| ok());
        scene.begin();
        time::sleep(Duration::from_secs(30)).await;
        let before = scene.times("heartbeat").len();

        scene.ports.asleep_ms.send_replace(asleep_secs * 1_000);
        time::sleep(Duration::from_secs(2)).await;

        assert_eq!(scene.times("heartbeat").len(), before + 1, "{asleep_secs} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_platform_answers_is_learnt_without_tokens() {
    let scene = Scene::new(|call| match (call.endpoint, call.count) {
        ("register", _) => answer(200, r#"{"auth_token":"canary","platform_inbound_secret":"s1"}"#),
        (_, 0) => answer(500, r#"{"platform_inbound_secret":"not this"}"#),
        _ => answer(200, r#"{"status":"ok","platform_inbound_secret":"s2"}"#),
    });
    scene.begin();

    time::sleep(Duration::from_secs(6)).await;

    let expected =
        [json!({"platform_inbound_secret": "s1"}), json!({"status": "ok", "platform_inbound_secret": "s2"})];
    assert_eq!(scene.lessons(), expected);
    let warned = scene.logged(Level::Warn).concat();
    assert!(!warned.contains("canary"), "{warned}");
}

#[tokio::test(start_paused = true)]
async fn a_missed_beat_is_made_good_within_15_seconds_of_an_outage() {
    for seed in 0..10 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut edge = BEGIN_MS + 5_000;
        let outages: Vec<_> = (0..20)
            .map(|_| {
                let begin = edge + chance.u64(16_000..90_000);
                edge = begin + chance.u64(1_000..120_000);
                begin..edge
            })
            .collect();
        let down = outages.clone();
        let hang = AtomicU64::new(seed);
        let scene = Scene::new(move |call| {
            if !down.iter().any(|outage| outage.contains(&call.at)) {
                return ok();
            }
            // A try that began in an outage may hang for as long as it is allowed to.
            let after_ms = hang.fetch_add(2_777, Ordering::SeqCst) % 8_000;
            Reply { after_ms, outcome: no_answer() }
        });
        scene.begin();

        time::sleep(Duration::from_millis(edge + 20_000)).await;

        let beats = scene.accepted();
        assert!(beats.len() > 20, "seed {seed}");
        for (earlier, later) in beats.iter().zip(beats.iter().skip(1)) {
            let up = outages.iter().map(|outage| outage.end).filter(|end| end <= later).max().unwrap_or(0);
            let is_late = later - earlier > 20_000 + LATENCY_MS && later - up > 15_000;
            assert!(!is_late, "seed {seed}: up at {up}, beats at {earlier} and {later}");
        }
        assert_eq!(scene.ports.most_at_once.load(Ordering::SeqCst), 1, "seed {seed}");
    }
}

/// A request to the registry.
struct Call<'a> {
    endpoint: &'a str,
    /// How many there were to this endpoint before.
    count: usize,
    at: u64,
}

struct Reply {
    after_ms: u64,
    outcome: Outcome,
}

fn ok() -> Reply {
    answer(200, r#"{"status":"ok","delivery_mode":"poll"}"#)
}

fn answer(status: u16, body: &str) -> Reply {
    let body = body.into();
    let response = PlatformResponse { status, json: true, retry_after_ms: None, server_time_ms: None, body };
    Reply { after_ms: LATENCY_MS, outcome: Outcome::Responded(response) }
}

/// What the platform says of a token that it does not take.
const REFUSAL: &str = r#"{"error":"invalid workspace auth token"}"#;

fn busy(retry_after_ms: u64) -> Outcome {
    let response = PlatformResponse {
        status: 429,
        json: true,
        retry_after_ms: Some(retry_after_ms),
        server_time_ms: None,
        body: vec![],
    };
    Outcome::Responded(response)
}

fn no_answer() -> Outcome {
    Outcome::Unreachable(Unreachable { reason: "no route".to_owned(), maybe_sent: false })
}

/// A workspace and everything that it sent.
struct Scene {
    ports: Arc<Scripted>,
    working: Arc<Working>,
    account: Account,
    lessons: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Scripted {
    start: time::Instant,
    asleep_ms: watch::Sender<u64>,
    script: Box<dyn Fn(&Call<'_>) -> Reply + Send + Sync>,
    seen: Mutex<Vec<Seen>>,
    log: Mutex<VecDeque<LogLine>>,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

struct Seen {
    endpoint: String,
    at: u64,
    body: String,
    accepted: bool,
}

impl Scene {
    fn new(script: impl Fn(&Call<'_>) -> Reply + Send + Sync + 'static) -> Self {
        let card = AgentCard {
            name: "n".to_owned(),
            description: Some("d".to_owned()),
            skills: vec!["a".into(), "b".into()],
        };
        let ports = Scripted {
            start: time::Instant::now(),
            asleep_ms: watch::Sender::new(0),
            script: Box::new(script),
            seen: Mutex::default(),
            log: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        };
        Self {
            ports: Arc::new(ports),
            working: Arc::default(),
            account: account(card),
            lessons: Arc::default(),
        }
    }

    fn presence(&self) -> Presence<Scripted> {
        let lessons = Arc::clone(&self.lessons);
        let learn = move |body| lessons.lock().unwrap().push(body);
        Presence::new(
            Arc::clone(&self.ports),
            Arc::new(self.account.clone()),
            Arc::clone(&self.working),
            learn,
        )
    }

    fn begin(&self) {
        let mut presence = self.presence();
        tokio::spawn(async move { presence.run(&Session::default()).await });
    }

    fn times(&self, endpoint: &str) -> Vec<u64> {
        self.seen(|seen| (seen.endpoint == endpoint).then_some(seen.at))
    }

    fn accepted(&self) -> Vec<u64> {
        self.seen(|seen| (seen.endpoint == "heartbeat" && seen.accepted).then_some(seen.at))
    }

    fn body(&self, endpoint: &str) -> String {
        self.seen(|seen| (seen.endpoint == endpoint).then(|| seen.body.clone())).pop().unwrap()
    }

    fn seen<T>(&self, pick: impl Fn(&Seen) -> Option<T>) -> Vec<T> {
        self.ports.seen.lock().unwrap().iter().filter_map(pick).collect()
    }

    fn lessons(&self) -> Vec<Value> {
        self.lessons.lock().unwrap().iter().map(|body| serde_json::from_slice(body).unwrap()).collect()
    }

    fn logged(&self, level: Level) -> Vec<String> {
        let log = self.ports.log.lock().unwrap();
        log.iter().filter(|line| line.level == level).map(|line| line.text.clone()).collect()
    }
}

fn account(card: AgentCard) -> Account {
    let credentials = Credentials::new(TokenSource::setting("TOKEN_SOURCE"), Token::parse("tok").unwrap());
    let mut account = Account::new("w-1", Url::parse("http://platform").unwrap(), credentials);
    account.card = card;
    account
}

impl Ports for Scripted {
    fn now(&self) -> Instant {
        self.start.elapsed().as_millis() as u64 + *self.asleep_ms.borrow()
    }

    fn perform(&self, effect: Effect) {
        if let Effect::Log(line) = effect {
            self.log.lock().unwrap().push_back(line);
        }
    }

    async fn send(&self, request: PlatformRequest) -> Outcome {
        let (endpoint, at) = (request.path.last().unwrap().clone(), self.now());
        assert!(matches!(request.path[0].as_str(), "registry" | "workspaces"), "{:?}", request.path);
        let reply = {
            let mut seen = self.seen.lock().unwrap();
            let count = seen.iter().filter(|earlier| earlier.endpoint == endpoint).count();
            let reply = (self.script)(&Call { endpoint: &endpoint, count, at });
            let body = String::from_utf8(request.body.unwrap_or_default()).unwrap();
            let accepted = matches!(&reply.outcome, Outcome::Responded(answer) if answer.status == 200);
            seen.push(Seen { endpoint, at, body, accepted });
            reply
        };
        let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        time::sleep(Duration::from_millis(reply.after_ms)).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        reply.outcome
    }

    async fn store(&self, _update: FileUpdate) -> Outcome {
        panic!("presence writes no files");
    }

    async fn listen(&self, _listen: Listen) -> Outcome {
        panic!("presence has no inbox");
    }

    /// As the machine does: sleep counts.
    async fn rest(&self, rest: Rest) -> Outcome {
        let mut asleep = self.asleep_ms.subscribe();
        while self.now() < rest.until {
            let left = Duration::from_millis(rest.until - self.now());
            let _ = time::timeout(left, asleep.changed()).await;
        }
        Outcome::Rested
    }

    async fn take_over(&self, _workspace: Workspace) -> Outcome {
        Outcome::Refused("not here".to_owned())
    }

    async fn upload(&self, _request: UploadRequest) -> Outcome {
        panic!("presence sends no files");
    }
}
