//! Many workspaces in one process: `bench DIRECTORY --fleet WORKSPACES [SECONDS]`.
//!
//! ```text
//! writer ── 20 messages a second, to one workspace after the other ──► standin ──► molecule-mcp ──► reader
//! watcher ◄── every beat, with its time ────────────────────────────────┘
//! ```
//!
//! The reader waits for messages and pops them, as an agent does. How late a beat is counts from the slots of its
//! workspace, one every 20 s from its first.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use molecule_tests::launch::Launch;
use serde_json::{Value, json};

use crate::{
    driver::Server,
    machine,
    measures::{ms, percentile_ms},
    platform::Platform,
    table::Row,
};

/// Between two messages, over all workspaces.
const GAP: Duration = Duration::from_millis(50);

/// Between two looks at the platform's log, which holds some minutes of it.
const LOOK: Duration = Duration::from_secs(5);

/// Between two beats of a workspace.
const SLOT: Duration = Duration::from_secs(20);

/// How long all workspaces may take to register before the measuring is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the messages of the end may take.
const LAST: Duration = Duration::from_secs(30);

/// What a run came to.
struct Seen {
    answered: Duration,
    registered: Duration,
    /// How long each message took.
    arrivals: Vec<Duration>,
    lost: usize,
    /// How late each beat was.
    lateness: Vec<Duration>,
    /// Share of one core.
    cores: f64,
    resident_mib: f64,
}

/// Runs `workspaces` of them for `span` after all have registered.
pub(crate) fn rows(directory: &Path, workspaces: u32, span: Duration) -> Result<Vec<Row>> {
    let seen = run(directory, workspaces, span)?;
    let row = |measure, ours, budget, held| Row {
        measure,
        ours,
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        budget,
        held,
    };
    let millis = |ms: f64| format!("{ms:.0} ms");
    let (late, arrival) = (percentile_ms(&seen.lateness, 99), percentile_ms(&seen.arrivals, 99));
    Ok(vec![
        row(
            "first answer",
            millis(ms(seen.answered)),
            "2 s".to_owned(),
            seen.answered <= Duration::from_secs(2),
        ),
        row(
            "all registered",
            format!("{:.1} s", seen.registered.as_secs_f64()),
            "30 s".to_owned(),
            seen.registered <= Duration::from_secs(30),
        ),
        row("a beat is late, p99", millis(late), "1 s".to_owned(), late < 1_000.0),
        row("message to agent, p50", millis(percentile_ms(&seen.arrivals, 50)), "–".to_owned(), true),
        row("message to agent, p99", millis(arrival), "100 ms".to_owned(), arrival <= 100.0),
        row("messages lost", seen.lost.to_string(), "0".to_owned(), seen.lost == 0),
        row("cores", format!("{:.3}", seen.cores), "0.5".to_owned(), seen.cores <= 0.5),
        row(
            "resident memory",
            format!("{:.1} MiB", seen.resident_mib),
            "256 MiB".to_owned(),
            seen.resident_mib <= 256.0,
        ),
    ])
}

fn run(directory: &Path, workspaces: u32, span: Duration) -> Result<Seen> {
    let further = workspaces.saturating_sub(1).to_string();
    let platform = Arc::new(Platform::start_with(directory, &["--further", &further])?);
    let launch = platform.launch(directory.join("molecule-mcp"))?;
    let (launch, ids) = with_list(&platform, launch)?;
    ensure!(ids.len() == usize::try_from(workspaces)?, "the stand-in made {} workspaces", ids.len());

    let mut server = Server::spawn(&launch)?;
    let answered = server.initialize()?;
    server.call("inbox_peek", &json!({}))?;
    let mut watch = Watch::new(Arc::clone(&platform));
    let registered = watch.until_registered(ids.len(), &server)?;
    eprintln!("{} workspaces registered after {:.1} s", ids.len(), registered.as_secs_f64());

    let sent = Sent::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = sent.writing(Arc::clone(&platform), ids, Arc::clone(&stop));
    let cpu = machine::ticks_ms(server.pid())?;
    let begun = Instant::now();
    let watching = watch.watching(Arc::clone(&stop));
    let mut arrivals = Vec::new();
    while begun.elapsed() < span {
        arrivals.extend(sent.receive(&mut server)?);
    }
    let spent = begun.elapsed();
    let cores = (machine::ticks_ms(server.pid())? - cpu) / spent.as_secs_f64() / 1e3;
    let resident_mib = machine::resident_mib(server.pid())?;
    stop.store(true, Ordering::Relaxed);
    let written = writing.join().map_err(|_| anyhow::anyhow!("the writer has failed"))??;
    let last = Instant::now();
    while arrivals.len() < written && last.elapsed() < LAST {
        arrivals.extend(sent.receive(&mut server)?);
    }
    let lateness = watching.join().map_err(|_| anyhow::anyhow!("the watcher has failed"))??;
    let lost = written.saturating_sub(arrivals.len());
    Ok(Seen { answered, registered, arrivals, lost, lateness, cores, resident_mib })
}

/// Gives the list of workspaces in a file, because many of them do not fit into a variable; and their ids.
fn with_list(platform: &Platform, launch: Launch) -> Result<(Launch, Vec<String>)> {
    let Ok(entries) = platform.told("MOLECULE_WORKSPACES") else {
        return Ok((launch, vec![platform.me()?.to_owned()]));
    };
    let entries = entries.trim_matches('\'');
    let file = launch.home().join("workspaces.json");
    fs::write(&file, entries)?;
    let list: Vec<Value> = serde_json::from_str(entries)?;
    let id = |entry: &Value| Some(entry.get("id")?.as_str()?.to_owned());
    let launch =
        launch.without("MOLECULE_WORKSPACES").env("MOLECULE_WORKSPACES_FILE", &file.to_string_lossy());
    Ok((launch, list.iter().filter_map(id).collect()))
}

/// When each message was sent; its text is its place.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Instant>>>);

impl Sent {
    /// Writes to one workspace after the other; how many messages.
    fn writing(
        &self,
        platform: Arc<Platform>,
        ids: Vec<String>,
        stop: Arc<AtomicBool>,
    ) -> thread::JoinHandle<Result<usize>> {
        let sent = self.clone();
        thread::spawn(move || {
            let mut next = Instant::now();
            for (number, id) in ids.iter().cycle().enumerate() {
                if stop.load(Ordering::Relaxed) {
                    return Ok(number);
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
                next += GAP;
                sent.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                let say = json!({ "workspace_id": id, "text": number.to_string() });
                platform.exchange("POST", "user-message", &say)?;
            }
            Ok(0)
        })
    }

    /// Waits for a message, and pops it; how long it took. Nothing if none came within a few seconds.
    fn receive(&self, server: &mut Server) -> Result<Option<Duration>> {
        let message = server.call("wait_for_message", &json!({ "timeout_secs": 5 }))?;
        let arrived = Instant::now();
        let Some(number) = message.get("text").and_then(Value::as_str) else { return Ok(None) };
        let number: usize = number.parse().context("a message that was not written")?;
        let sent = *self.0.lock().unwrap_or_else(PoisonError::into_inner).get(number).context("not sent")?;
        server.call("inbox_pop", &json!({ "activity_id": message.get("activity_id") }))?;
        Ok(Some(arrived.saturating_duration_since(sent)))
    }
}

/// Reads the platform's log as it grows.
struct Watch {
    platform: Arc<Platform>,
    read: u64,
    /// The first beat of each workspace, and so its slots.
    first: BTreeMap<String, Timestamp>,
    registered: usize,
}

impl Watch {
    fn new(platform: Arc<Platform>) -> Self {
        Self { platform, read: 0, first: BTreeMap::new(), registered: 0 }
    }

    /// How old the process is when all have registered.
    fn until_registered(&mut self, count: usize, server: &Server) -> Result<Duration> {
        loop {
            self.look()?;
            if self.registered >= count {
                return Ok(server.age());
            }
            ensure!(
                server.age() < PATIENCE,
                "only {} of {count} workspaces have registered",
                self.registered
            );
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Goes on reading until told to stop; how late each beat was.
    fn watching(mut self, stop: Arc<AtomicBool>) -> thread::JoinHandle<Result<Vec<Duration>>> {
        thread::spawn(move || {
            let mut lateness = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(LOOK);
                lateness.extend(self.look()?);
            }
            Ok(lateness)
        })
    }

    /// Reads what is new; how late its beats were.
    fn look(&mut self) -> Result<Vec<Duration>> {
        let answer = self.platform.exchange("GET", &format!("requests?since={}", self.read), &Value::Null)?;
        let mut lateness = Vec::new();
        for request in answer.get("requests").and_then(Value::as_array).into_iter().flatten() {
            let text = |name| request.get(name).and_then(Value::as_str).unwrap_or_default();
            self.read = request.get("number").and_then(Value::as_u64).unwrap_or(self.read);
            match text("path") {
                "/registry/register" => self.registered += 1,
                "/registry/heartbeat" => lateness.extend(self.beat(text("at"), text("body"))?),
                _ => {}
            }
        }
        Ok(lateness)
    }

    fn beat(&mut self, at: &str, body: &str) -> Result<Option<Duration>> {
        let at: Timestamp = at.parse().context("a time that is none")?;
        let body: Value = serde_json::from_str(body)?;
        let workspace = body.get("workspace_id").and_then(Value::as_str).unwrap_or_default();
        let Some(first) = self.first.get(workspace) else {
            self.first.insert(workspace.to_owned(), at);
            return Ok(None);
        };
        let since = Duration::try_from(at.duration_since(*first)).unwrap_or_default();
        let into_slot = Duration::from_nanos(u64::try_from(since.as_nanos() % SLOT.as_nanos())?);
        // A little before its slot is on time as well.
        Ok(Some(if into_slot > SLOT / 2 { Duration::ZERO } else { into_slot }))
    }
}
