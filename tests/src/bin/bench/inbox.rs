//! What the inbox costs: from the platform to the agent, and on the disk.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use molecule_tests::launch::Launch;
use serde_json::{Value, json};

use crate::{
    driver::{Calls, Server},
    machine,
    measures::{Bench, alone, median, median_ms, ms, percentile_ms, ratio},
    platform::Platform,
    table::Row,
};

/// Messages whose way is measured while events come in.
const MESSAGES: usize = 200;
/// And while none do: each takes seconds.
const WITHOUT_EVENTS: usize = 3;
/// Messages that come in their time, and how far apart: more a minute than a careless reader may ask for.
const MESSAGES_IN_TIME: usize = 300;
const IN_TIME: Duration = Duration::from_millis(200);
/// The inbox looks by itself so often, in milliseconds.
const POLL_MS: f64 = 5_000.0;
const BACKLOG: usize = 10_000;
/// Starts with each of two journals.
const COLD_STARTS: usize = 11;
/// A part of the backlog, where every system call is watched.
const WATCHED: usize = 2_000;
/// Rows that one request to the stand-in adds.
const BATCH: usize = 500;
/// As many messages as can be staged.
const PAGE: usize = 200;
/// About the bytes of a pop in the journal.
const RECORD: &[u8; 72] = &[b'x'; 72];

/// A server whose inbox is fetched, and its platform.
struct Session {
    server: Server,
    platform: Platform,
    launch: Launch,
}

/// A disk with a journal, and the platform that its next process asks.
struct Filled {
    _platform: Platform,
    launch: Launch,
}

impl Bench {
    /// From a message on the platform to the answer of a wait.
    pub(crate) fn wake_up(&self) -> Result<Vec<Row>> {
        let Session { mut server, platform, launch: _disk } = self.fetching(&[], &["/events/stream"])?;
        let took = messages(&mut server, &platform, MESSAGES)?;
        let mut rows = vec![
            alone("message → `wait_for_message` answers, p50", percentile_ms(&took, 50), "ms", 20.0),
            alone("message → `wait_for_message` answers, p99", percentile_ms(&took, 99), "ms", 100.0),
        ];
        for (measure, streams) in [
            ("the same without an event stream, slowest", "event_streams=refused"),
            ("the same with a silent one, slowest", "event_streams=silent"),
        ] {
            let Session { mut server, platform, launch: _disk } = self.fetching(&["--set", streams], &[])?;
            let took = messages(&mut server, &platform, WITHOUT_EVENTS)?;
            rows.push(alone(measure, percentile_ms(&took, 100), "ms", POLL_MS + 100.0));
        }
        Ok(rows)
    }

    /// The same where the platform raises several events for a message, five messages a second.
    pub(crate) fn several_events(&self) -> Result<Vec<Row>> {
        let Session { mut server, platform, launch: _disk } =
            self.fetching(&["--level", "newest"], &["/events/stream"])?;
        let before = platform.heard("/activity")?;
        let took = messages_at(&mut server, &platform, MESSAGES_IN_TIME, Some(IN_TIME))?;
        let reads = u64::try_from(platform.heard("/activity")? - before)?;
        Ok(vec![
            alone("newest level, 5 a second: message → answer, p50", percentile_ms(&took, 50), "ms", 20.0),
            alone("newest level, 5 a second: message → answer, p99", percentile_ms(&took, 99), "ms", 60.0),
            alone("newest level, 5 a second: fetches", each(reads, MESSAGES_IN_TIME)?, "a message", 1.3),
        ])
    }

    /// A pop beside the write that it cannot do without.
    pub(crate) fn pops(&self) -> Result<Vec<Row>> {
        let Session { mut server, platform, launch } = self.fetching(&[], &[])?;
        backlog(&platform, PAGE)?;
        let waiting = staged(&mut server, PAGE)?;
        let mut file = OpenOptions::new().append(true).create(true).open(launch.configs().join("beside"))?;
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for id in waiting {
            let pop = Calls::with("inbox_pop", [json!({ "activity_id": id })]);
            floor.push(synced(&mut file)?);
            ours.extend(server.one_by_one(&pop)?);
        }
        let (ours, floor) = (median_ms(&ours), median_ms(&floor));
        Ok(vec![Row {
            measure: "pop, durable, p50; beside it: append and sync",
            ours: format!("{ours:.3} ms"),
            floor: format!("{floor:.3} ms"),
            ratio: ratio(ours, floor),
            budget: "≤ 1.5 × beside".to_owned(),
            held: ours <= 1.5 * floor,
        }])
    }

    /// A backlog, page by page, and what it leaves in memory and on disk.
    pub(crate) fn backlog(&self) -> Result<Vec<Row>> {
        let Session { mut server, platform, launch } = self.fetching(&[], &[])?;
        let before = machine::resident_mib(server.pid())?;
        backlog(&platform, BACKLOG)?;
        staged(&mut server, PAGE)?;
        // It has looked again, and left the rest where it is.
        std::thread::sleep(Duration::from_secs(6));
        let grown = machine::resident_mib(server.pid())? - before;
        let journal = journal_of(&launch.configs())?;
        let (start, mut written, mut size) = (Instant::now(), 0, 0);
        handle(&mut server, BACKLOG, || {
            let now = journal.metadata()?.len();
            written += now.saturating_sub(std::mem::replace(&mut size, now));
            Ok(())
        })?;
        let took = start.elapsed().as_secs_f64();
        Ok(vec![
            alone("memory that 10,000 waiting messages take", grown, "MiB", 16.0),
            shown("10,000 messages read and popped, 200 a call", format!("{took:.1} s")),
            shown("bytes in the journal for a message", format!("{:.0}", each(written, BACKLOG)?)),
        ])
    }

    /// How often the disk is waited for, as `strace` sees it.
    pub(crate) fn syncs(&self) -> Result<Vec<Row>> {
        const MEASURE: &str = "syncs for a message, read and popped 200 a call";
        if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
            return Ok(vec![shown(MEASURE, "not measured: there is no strace".to_owned())]);
        }
        let platform = Platform::start(self.directory())?;
        let launch = platform.launch("strace".into())?.env("PATH", &env::var("PATH")?);
        let seen = launch.home().join("syncs");
        let (seen_text, binary) =
            (seen.to_string_lossy(), self.directory().join("molecule-mcp").canonicalize()?);
        let (calls, binary) = ("trace=fsync,fdatasync,msync,sync_file_range", binary.to_string_lossy());
        let arguments = ["-f", "-qq", "-e", "signal=none", "-e", calls, "-o", &*seen_text, &*binary];
        let launch = arguments.into_iter().fold(launch, |launch, argument| launch.arg(argument));
        let Session { mut server, platform, launch: _disk } = begin(platform, launch, &[])?;
        let count = || Ok::<_, anyhow::Error>(fs::read_to_string(&seen)?.lines().count());
        let before = count()?;
        backlog(&platform, WATCHED)?;
        handle(&mut server, WATCHED, || Ok(()))?;
        let syncs = u64::try_from(count()? - before)?;
        ensure!(syncs > 0, "not one sync was seen");
        Ok(vec![shown(MEASURE, format!("{:.3}", each(syncs, WATCHED)?))])
    }

    /// A start with a large journal and one with a small one.
    pub(crate) fn cold_starts(&self) -> Result<Vec<Row>> {
        // A message that is shown five times is parked, and the next one takes its place.
        let (small, large) = (self.filled(COLD_STARTS.div_ceil(5), 10)?, self.filled(100, 10_500)?);
        let (mut quick, mut slow) = (Vec::new(), Vec::new());
        for _ in 0..COLD_STARTS {
            quick.push(ms(first_message(&small.launch)?));
            slow.push(ms(first_message(&large.launch)?));
        }
        let (quick, slow) = (median(quick), median(slow));
        Ok(vec![Row {
            measure: "spawn → message out of a journal of 1 MiB; beside it: of 1 KiB",
            ours: format!("{slow:.1} ms"),
            floor: format!("{quick:.1} ms"),
            ratio: ratio(slow, quick),
            budget: "≤ beside + 20 ms".to_owned(),
            held: slow <= quick + 20.0,
        }])
    }

    /// A journal with so many messages of so many bytes; its process was killed.
    fn filled(&self, messages: usize, bytes: usize) -> Result<Filled> {
        let Session { mut server, platform, launch } = self.fetching(&[], &[])?;
        let text = "x".repeat(bytes);
        let rows: Vec<Value> = (0..messages).map(|_| row(&platform, &text)).collect::<Result<_>>()?;
        platform.exchange("POST", "activity", &json!({ "rows": rows }))?;
        staged(&mut server, messages)?;
        drop(server);
        Ok(Filled { _platform: platform, launch })
    }

    /// It is registered and has looked into its inbox, and these paths were asked for, too.
    fn fetching(&self, settings: &[&str], paths: &[&str]) -> Result<Session> {
        let platform = Platform::start_with(self.directory(), settings)?;
        let launch = platform.launch(self.directory().join("molecule-mcp"))?;
        begin(platform, launch, paths)
    }
}

fn begin(platform: Platform, launch: Launch, paths: &[&str]) -> Result<Session> {
    let mut server = Server::spawn(&launch)?;
    server.initialize()?;
    server.call("list_peers", &json!({}))?;
    for path in ["/heartbeat", "/activity"].iter().chain(paths) {
        platform.hears(path, 1)?;
    }
    Ok(Session { server, platform, launch })
}

/// Reads and pops so many messages, all that are staged at once.
fn handle(server: &mut Server, count: usize, mut after_each: impl FnMut() -> Result<()>) -> Result<()> {
    let mut handled = 0;
    while handled < count {
        let ids = staged(server, 1)?;
        handled += ids.len();
        server.call("inbox_pop", &json!({ "activity_ids": ids }))?;
        after_each()?;
    }
    Ok(())
}

/// What one of `count` messages costs of a total.
fn each(total: u64, count: usize) -> Result<f64> {
    Ok(f64::from(u32::try_from(total)?) / f64::from(u32::try_from(count)?))
}

/// How long messages take that are sent one after the other, each while it is waited for.
fn messages(server: &mut Server, platform: &Platform, count: usize) -> Result<Vec<Duration>> {
    messages_at(server, platform, count, None)
}

/// The same, one `every` so long.
fn messages_at(
    server: &mut Server,
    platform: &Platform,
    count: usize,
    every: Option<Duration>,
) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(count);
    let mut next = Instant::now();
    for number in 0..count {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        next += every.unwrap_or_default();
        server.begin(10, "wait_for_message", &json!({ "timeout_secs": 60 }))?;
        let say = json!({ "workspace_id": platform.me()?, "text": number.to_string() });
        platform.exchange("POST", "user-message", &say)?;
        let visible = Instant::now();
        let message = server.answer()?;
        took.push(visible.elapsed());
        ensure!(message.get("text") == say.get("text"), "another message than the last one: {message}");
        server.call("inbox_pop", &json!({ "activity_id": message.get("activity_id") }))?;
    }
    Ok(took)
}

/// Stores messages without events.
pub(super) fn backlog(platform: &Platform, count: usize) -> Result<()> {
    for _ in 0..count.div_ceil(BATCH) {
        let rows: Vec<Value> =
            (0..count.min(BATCH)).map(|_| row(platform, "waits")).collect::<Result<_>>()?;
        platform.exchange("POST", "activity", &json!({ "rows": rows }))?;
    }
    Ok(())
}

fn row(platform: &Platform, text: &str) -> Result<Value> {
    let message = json!({ "parts": [{ "kind": "text", "text": text }] });
    Ok(json!({
        "workspace_id": platform.me()?, "activity_type": "a2a_receive", "method": "message/send",
        "request_body": { "params": { "message": message } },
    }))
}

/// The ids of the staged messages, once there are so many.
pub(super) fn staged(server: &mut Server, least: usize) -> Result<Vec<String>> {
    let start = Instant::now();
    loop {
        let list = server.call("inbox_peek", &json!({ "limit": PAGE }))?;
        let list = list.get("messages").and_then(Value::as_array).context("not a list")?;
        if list.len() >= least {
            let id = |message: &Value| Some(message.get("activity_id")?.as_str()?.to_owned());
            return Ok(list.iter().filter_map(id).collect());
        }
        ensure!(start.elapsed() < Duration::from_secs(30), "{} messages instead of {least}", list.len());
        server.call("wait_for_message", &json!({ "timeout_secs": 0.02 }))?;
    }
}

/// How long a process needs to show a message that is in its journal.
fn first_message(launch: &Launch) -> Result<Duration> {
    let mut server = Server::spawn(launch)?;
    server.initialize()?;
    server.call("wait_for_message", &json!({ "timeout_secs": 60 }))?;
    Ok(server.age())
}

fn synced(file: &mut File) -> Result<Duration> {
    let start = Instant::now();
    file.write_all(RECORD)?;
    file.sync_data()?;
    Ok(start.elapsed())
}

fn journal_of(configs: &Path) -> Result<PathBuf> {
    let entries = configs.read_dir()?.flatten().map(|entry| entry.path());
    let mut journals =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "journal"));
    journals.next().context("there is no journal")
}

/// A figure without a budget.
fn shown(measure: &'static str, ours: String) -> Row {
    let dash = || "–".to_owned();
    Row { measure, ours, floor: dash(), ratio: dash(), budget: dash(), held: true }
}
