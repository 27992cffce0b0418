//! The stand-in platform as a process of its own, one for each measured server.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use molecule_tests::{launch::Launch, process::DEADLINE};
use serde_json::{Value, json};

/// What it prints last.
const LAST: &str = "POLL_PEER_ID";

/// A running stand-in with two peers. It ends when dropped.
pub(crate) struct Platform {
    child: Child,
    environment: Vec<(String, String)>,
}

impl Platform {
    pub(crate) fn start(directory: &Path) -> Result<Self> {
        Self::start_with(directory, &[])
    }

    /// With further arguments.
    pub(crate) fn start_with(directory: &Path, arguments: &[&str]) -> Result<Self> {
        let binary = directory.join("standin");
        let mut child = Command::new(&binary)
            .args(["--demo", "--seed", "7", "--set", "rate_limit=1000000000"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut platform = Self { child, environment: Vec::new() };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let setting = line.strip_prefix("export ").and_then(|setting| setting.split_once('='));
            let (name, value) = setting.with_context(|| format!("the stand-in prints {line}"))?;
            platform.environment.push((name.to_owned(), value.to_owned()));
            if name == LAST {
                return Ok(platform);
            }
        }
        anyhow::bail!("the stand-in does not print {LAST}")
    }

    pub(crate) fn url(&self) -> Result<&str> {
        self.told("PLATFORM_URL")
    }

    /// The workspace that the agent is.
    pub(crate) fn me(&self) -> Result<&str> {
        self.told("WORKSPACE_ID")
    }

    /// A variable that it has printed.
    pub(crate) fn told(&self, name: &str) -> Result<&str> {
        let setting = self.environment.iter().find(|(told, _)| told == name);
        Ok(setting.with_context(|| format!("the stand-in does not tell {name}"))?.1.as_str())
    }

    /// A launch of a server as the agent of this platform.
    pub(crate) fn launch(&self, binary: PathBuf) -> Result<Launch> {
        let settings = self.environment.iter();
        Ok(settings.fold(Launch::of(binary)?, |launch, (name, value)| launch.env(name, value)))
    }

    /// Holds the answers to the next requests for peers back for longer than anybody waits.
    pub(crate) fn hold_peers(&self, times: u32) -> Result<()> {
        let fault =
            json!({ "method": "GET", "path": "/registry/*/peers", "delay_ms": 600_000, "times": times });
        self.exchange("POST", "fault", &fault)?;
        Ok(())
    }

    /// Waits until so many requests have come whose paths end like this.
    pub(crate) fn hears(&self, ending: &str, count: usize) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.heard(ending)? >= count {
                return Ok(());
            }
            ensure!(
                start.elapsed() < DEADLINE,
                "the platform waits in vain for {count} requests for {ending}"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many requests have come whose paths end like this.
    pub(crate) fn heard(&self, ending: &str) -> Result<usize> {
        let answer = self.exchange("GET", "requests?since=0", &Value::Null)?;
        let requests = answer.get("requests").and_then(Value::as_array).context("no requests")?;
        let paths = requests.iter().filter_map(|request| request.get("path")?.as_str());
        Ok(paths.filter(|path| path.ends_with(ending)).count())
    }

    /// Uses a test hook; what it answers.
    pub(crate) fn exchange(&self, method: &str, hook: &str, body: &Value) -> Result<Value> {
        let address = self.url()?.trim_start_matches("http://");
        let body = body.to_string();
        // Of version 1.0, so that the answer comes in one piece and ends with the connection.
        let head = format!(
            "{method} /_test/{hook} HTTP/1.0\r\nHost: {address}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(format!("{head}{body}").as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("not an answer")?;
        ensure!(head.contains(" 200 "), "the hook {hook} says {head}");
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // Gone already in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
