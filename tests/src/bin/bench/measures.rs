//! Every measure, and the budget it has to keep.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    driver::{Calls, Server},
    machine,
    platform::Platform,
    proxy::Proxy,
    table::Row,
};

/// Times that a process is started for a median.
const STARTS: usize = 21;
/// Times that a throughput is measured for a median.
pub(crate) const ROUNDS: usize = 5;
pub(crate) const WINDOW: usize = 64;
const IDLE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    directory: PathBuf,
}

/// A server in the middle of its session, and its platform.
pub(crate) struct Session {
    pub(crate) server: Server,
    pub(crate) platform: Platform,
}

#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Bare,
    Ours,
}

impl Subject {
    pub(crate) fn binary(self) -> &'static str {
        match self {
            Self::Bare => "bare-server",
            Self::Ours => "molecule-mcp",
        }
    }

    /// A tool that answers from memory.
    fn local(self) -> (&'static str, Value) {
        match self {
            Self::Bare => ("echo", json!({ "text": "[]" })),
            Self::Ours => ("inbox_peek", json!({})),
        }
    }

    /// A tool that asks the platform once.
    pub(crate) fn hop(self) -> &'static str {
        match self {
            Self::Bare => "hop",
            Self::Ours => "list_peers",
        }
    }
}

/// The same figure of both.
#[derive(Default)]
pub(crate) struct Pair {
    ours: Vec<f64>,
    bare: Vec<f64>,
}

impl Pair {
    pub(crate) fn push(&mut self, subject: Subject, value: f64) {
        match subject {
            Subject::Bare => self.bare.push(value),
            Subject::Ours => self.ours.push(value),
        }
    }

    pub(crate) fn medians(self) -> (f64, f64) {
        (median(self.ours), median(self.bare))
    }
}

impl Bench {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// All rows, in their order; `done` hears of every group of them.
    pub(crate) fn rows(&self, only: Option<&str>, done: impl Fn(&str)) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        type Group = (&'static str, fn(&Bench) -> Result<Vec<Row>>);
        let groups: [Group; 16] = [
            ("starts", Self::starts),
            ("memory", Self::memory),
            ("local calls", Self::local_calls),
            ("one-hop calls", Self::hops),
            ("ten peers", Self::ten_peers),
            ("fifty messages", Self::fifty_messages),
            ("large messages", Self::large_messages),
            ("connections", Self::connections),
            ("ends", Self::ends),
            ("wake-up", Self::wake_up),
            ("several-events", Self::several_events),
            ("pops", Self::pops),
            ("backlog", Self::backlog),
            ("syncs", Self::syncs),
            ("cold starts", Self::cold_starts),
            ("idling", Self::idling),
        ];
        for (name, measure) in groups.into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
            rows.extend(measure(self)?);
            done(name);
        }
        if only.is_none() {
            rows.extend(self.size()?);
        }
        Ok(rows)
    }

    fn starts(&self) -> Result<Vec<Row>> {
        let (mut initialized, mut listed, mut faults) = (Pair::default(), Pair::default(), Pair::default());
        let platform = Platform::start(&self.directory)?;
        for _ in 0..STARTS {
            for subject in [Subject::Bare, Subject::Ours] {
                let mut server = Server::spawn(&platform.launch(self.binary(subject))?)?;
                initialized.push(subject, ms(server.initialize()?));
                faults.push(subject, machine::page_faults(server.pid())?);
                listed.push(subject, ms(server.list_tools()?));
            }
        }
        let (ours, bare) = faults.medians();
        Ok(vec![
            beside("spawn → `initialize` answered", initialized.medians(), 4.0),
            beside("spawn → `tools/list` answered", listed.medians(), 6.0),
            Row {
                measure: "page faults until `initialize` is answered",
                ours: format!("{ours:.0}"),
                floor: format!("{bare:.0}"),
                ratio: ratio(ours, bare),
                budget: "≤ 450".to_owned(),
                held: ours <= 450.0,
            },
        ])
    }

    fn memory(&self) -> Result<Vec<Row>> {
        let (mut before, mut after) = (Pair::default(), Pair::default());
        for _ in 0..3 {
            for subject in [Subject::Bare, Subject::Ours] {
                let Session { mut server, platform: _platform } = self.working(subject)?;
                before.push(subject, machine::resident_mib(server.pid())?);
                let (tool, arguments) = subject.local();
                server.at_once(&Calls::new(tool, &arguments, 5_000), WINDOW)?;
                server.at_once(&Calls::new(subject.hop(), &json!({}), 5_000), WINDOW)?;
                after.push(subject, machine::resident_mib(server.pid())?);
            }
        }
        let row = |measure, (ours, bare): (f64, f64), limit: f64| Row {
            measure,
            ours: format!("{ours:.1} MiB"),
            floor: format!("{bare:.1} MiB"),
            ratio: ratio(ours, bare),
            budget: format!("≤ {limit} MiB"),
            held: ours <= limit,
        };
        Ok(vec![
            row("resident memory after start, heart and inbox running", before.medians(), 14.0),
            row("resident memory after 10,000 calls", after.medians(), 16.0),
        ])
    }

    fn local_calls(&self) -> Result<Vec<Row>> {
        let (mut single, mut many, mut added) = (Pair::default(), Pair::default(), Vec::new());
        for _ in 0..ROUNDS {
            for subject in [Subject::Bare, Subject::Ours] {
                let Session { mut server, platform: _platform } = self.working(subject)?;
                let (tool, arguments) = subject.local();
                let few = Calls::new(tool, &arguments, 2_000);
                let alone = server.one_by_one(&few)?;
                single.push(subject, median_ms(&alone));
                many.push(subject, server.at_once(&Calls::new(tool, &arguments, 50_000), WINDOW)?);
                if matches!(subject, Subject::Ours) {
                    server.begin(10, "wait_for_message", &json!({ "timeout_secs": 300 }))?;
                    added.push(percentile_ms(&server.one_by_one(&few)?, 99) - percentile_ms(&alone, 99));
                }
            }
        }
        let (ours, bare) = single.medians();
        let mut rows = vec![beside("local tool, one by one, p50", (ours, bare), 0.1)];
        let (ours, bare) = many.medians();
        rows.push(Row {
            measure: "local tool, 64 at once",
            ours: per_second(ours),
            floor: per_second(bare),
            ratio: ratio(ours, bare),
            budget: format!("≥ {}", per_second(57_000.0)),
            held: ours >= 57_000.0,
        });
        let added = median(added).max(0.0);
        rows.push(alone("added behind a pending `wait_for_message(300)`, p99", added, "ms", 5.0));
        Ok(rows)
    }

    /// A tool that asks the platform once, of both, one by one and 64 at once; `prepare` sees each platform first.
    pub(crate) fn of_both(&self, prepare: impl Fn(&Platform) -> Result<()>) -> Result<(Pair, Pair)> {
        let (mut single, mut many) = (Pair::default(), Pair::default());
        for _ in 0..ROUNDS {
            for subject in [Subject::Bare, Subject::Ours] {
                let Session { mut server, platform } = self.working(subject)?;
                prepare(&platform)?;
                let took = server.one_by_one(&Calls::new(subject.hop(), &json!({}), 1_000))?;
                single.push(subject, median_ms(&took));
                many.push(subject, server.at_once(&Calls::new(subject.hop(), &json!({}), 10_000), WINDOW)?);
            }
        }
        Ok((single, many))
    }

    fn hops(&self) -> Result<Vec<Row>> {
        let (single, many) = self.of_both(|_| Ok(()))?;
        let (ours, bare) = single.medians();
        let mut rows = vec![Row {
            measure: "one-hop tool, one by one, p50",
            ours: format!("{ours:.3} ms"),
            floor: format!("{bare:.3} ms"),
            ratio: ratio(ours, bare),
            budget: "≤ 0.6 ms".to_owned(),
            held: ours <= 0.6,
        }];
        let (ours, bare) = many.medians();
        rows.push(Row {
            measure: "one-hop tool, 64 at once",
            ours: per_second(ours),
            floor: per_second(bare),
            ratio: ratio(ours, bare),
            budget: "≥ 70 % of bare".to_owned(),
            held: ours >= 0.7 * bare,
        });
        Ok(rows)
    }

    fn connections(&self) -> Result<Vec<Row>> {
        let platform = Platform::start(&self.directory)?;
        let proxy = Proxy::before(platform.url()?)?;
        let launch = platform.launch(self.binary(Subject::Ours))?.env("PLATFORM_URL", &proxy.url);
        let mut server = Server::spawn(&launch)?;
        server.initialize()?;
        server.one_by_one(&Calls::new("list_peers", &json!({}), 1))?;
        platform.hears("/heartbeat", 1)?;
        platform.hears("/activity", 1)?;
        let before = proxy.connections();
        ensure!(before > 0, "nothing goes through the proxy");
        server.one_by_one(&Calls::new("list_peers", &json!({}), 100))?;
        let count = f64::from(u32::try_from(proxy.connections() - before)?);
        Ok(vec![alone("TCP connections that 100 one-hop calls open", count, "", 2.0)])
    }

    fn ends(&self) -> Result<Vec<Row>> {
        let (mut idle, mut busy, mut signal) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            idle.push(ms(self.working(Subject::Ours)?.server.end()?));
            let Session { server, platform: _platform } = self.busy()?;
            busy.push(ms(server.end()?));
            let Session { server, platform: _platform } = self.busy()?;
            signal.push(ms(server.terminate()?));
        }
        Ok(vec![
            alone("end of input → gone, idle", median(idle), "ms", 200.0),
            alone("end of input → gone, three calls pending", median(busy), "ms", 3_000.0),
            alone("SIGTERM → gone, three calls pending", median(signal), "ms", 300.0),
        ])
    }

    fn idling(&self) -> Result<Vec<Row>> {
        let Session { server, platform: _platform } = self.working(Subject::Ours)?;
        let used = machine::cpu_ms_within(server.pid(), IDLE)?;
        Ok(vec![alone("CPU time in 60 s of idling, heart and inbox running", used, "ms", 20.0)])
    }

    fn size(&self) -> Result<Vec<Row>> {
        let bytes = |subject: Subject| -> Result<f64> {
            let length = fs::metadata(self.binary(subject))?.len();
            Ok(f64::from(u32::try_from(length)?) / 1e6)
        };
        let (ours, bare) = (bytes(Subject::Ours)?, bytes(Subject::Bare)?);
        Ok(vec![Row {
            measure: "stripped binary",
            ours: format!("{ours:.1} MB"),
            floor: format!("{bare:.1} MB"),
            ratio: ratio(ours, bare),
            budget: "≤ 16 MB".to_owned(),
            held: ours <= 16.0,
        }])
    }

    /// Where the binaries lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn binary(&self, subject: Subject) -> PathBuf {
        self.directory.join(subject.binary())
    }

    /// It has served a call, is registered, has beaten and fetches its inbox.
    pub(crate) fn working(&self, subject: Subject) -> Result<Session> {
        let platform = Platform::start(&self.directory)?;
        let mut server = Server::spawn(&platform.launch(self.binary(subject))?)?;
        server.initialize()?;
        server.list_tools()?;
        server.one_by_one(&Calls::new(subject.hop(), &json!({}), 1))?;
        if matches!(subject, Subject::Ours) {
            platform.hears("/heartbeat", 1)?;
            platform.hears("/activity", 1)?;
        }
        Ok(Session { server, platform })
    }

    /// It also waits for a message, and twice for the platform.
    fn busy(&self) -> Result<Session> {
        let Session { mut server, platform } = self.working(Subject::Ours)?;
        platform.hold_peers(2)?;
        server.begin(10, "wait_for_message", &json!({ "timeout_secs": 300 }))?;
        server.begin(11, "list_peers", &json!({}))?;
        server.begin(12, "list_peers", &json!({}))?;
        platform.hears("/peers", 3)?;
        Ok(Session { server, platform })
    }
}

/// A row that may exceed the bare server by so many milliseconds.
fn beside(measure: &'static str, (ours, bare): (f64, f64), more: f64) -> Row {
    Row {
        measure,
        ours: format!("{ours:.3} ms"),
        floor: format!("{bare:.3} ms"),
        ratio: ratio(ours, bare),
        budget: format!("≤ bare + {more} ms"),
        held: ours <= bare + more,
    }
}

/// A row that the bare server has nothing to say to.
pub(crate) fn alone(measure: &'static str, ours: f64, unit: &str, limit: f64) -> Row {
    let decimals = if unit.is_empty() { 0 } else { 1 };
    let shown = |text: String| format!("{text} {unit}").trim_end().to_owned();
    Row {
        measure,
        ours: shown(format!("{ours:.decimals$}")),
        floor: "–".to_owned(),
        ratio: "–".to_owned(),
        budget: shown(format!("≤ {limit}")),
        held: ours <= limit,
    }
}

pub(crate) fn ratio(ours: f64, bare: f64) -> String {
    format!("{:.2}", ours / bare)
}

pub(crate) fn per_second(calls: f64) -> String {
    format!("{calls:.0} a second")
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

pub(crate) fn median(values: Vec<f64>) -> f64 {
    nth(values, 50)
}

pub(crate) fn median_ms(durations: &[Duration]) -> f64 {
    percentile_ms(durations, 50)
}

pub(crate) fn percentile_ms(durations: &[Duration], percent: usize) -> f64 {
    nth(durations.iter().map(|duration| ms(*duration)).collect(), percent)
}

fn nth(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = values.len() * percent / 100;
    values.get(place).or(values.last()).copied().unwrap_or(f64::NAN)
}
