//! A client that costs next to nothing: blocking pipes, and lines that were serialised before.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use molecule_tests::{launch::Launch, process::WITH_HANDSHAKE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A server, and the pipes to it.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    spawned: Instant,
    line: String,
}

/// Requests as they go over the pipe.
pub(crate) struct Calls {
    text: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Calls {
    /// So many calls of one tool, all the same.
    pub(crate) fn new(tool: &str, arguments: &Value, count: usize) -> Self {
        Self::with(tool, std::iter::repeat_n(arguments.clone(), count))
    }

    /// A call of one tool with each of these arguments.
    pub(crate) fn with(tool: &str, arguments: impl IntoIterator<Item = Value>) -> Self {
        let mut calls = Self { text: Vec::new(), ends: Vec::new() };
        for (place, arguments) in arguments.into_iter().enumerate() {
            // Ids of other requests are below 1,000.
            let id = place + 1_000;
            let params = json!({ "name": tool, "arguments": arguments });
            let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
            calls.text.extend_from_slice(line.as_bytes());
            calls.text.push(b'\n');
            calls.ends.push(calls.text.len());
        }
        calls
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    /// The lines from one place up to, but not including, another.
    fn lines(&self, from: usize, to: usize) -> &[u8] {
        let end_of = |place: usize| place.checked_sub(1).and_then(|before| self.ends.get(before));
        let (start, end) = (end_of(from).copied().unwrap_or(0), end_of(to).copied().unwrap_or(0));
        self.text.get(start..end).unwrap_or_default()
    }
}

impl Server {
    pub(crate) fn spawn(launch: &Launch) -> Result<Self> {
        let mut command = launch.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let spawned = Instant::now();
        let binary = launch.binary().display();
        let mut child = command.spawn().with_context(|| format!("cannot start {binary}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: BufReader::with_capacity(1 << 16, stdout),
            child,
            spawned,
            line: String::new(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Since the start of the process.
    pub(crate) fn age(&self) -> Duration {
        self.spawned.elapsed()
    }

    /// Goes through the handshake; how old the process was when `initialize` was answered.
    pub(crate) fn initialize(&mut self) -> Result<Duration> {
        let hello = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": { "protocolVersion": WITH_HANDSHAKE, "capabilities": {},
                        "clientInfo": { "name": "bench", "version": "1" } },
        });
        self.write(format!("{hello}\n").as_bytes())?;
        self.read()?;
        let age = self.age();
        self.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")?;
        Ok(age)
    }

    /// Asks for the tools; how old the process was when they came.
    pub(crate) fn list_tools(&mut self) -> Result<Duration> {
        self.write(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}\n")?;
        self.read()?;
        Ok(self.age())
    }

    /// One call after the other; how long each took.
    pub(crate) fn one_by_one(&mut self, calls: &Calls) -> Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(calls.len());
        for place in 0..calls.len() {
            let start = Instant::now();
            self.write(calls.lines(place, place + 1))?;
            self.read()?;
            took.push(start.elapsed());
        }
        Ok(took)
    }

    /// Always so many calls at once; how many were answered in a second.
    pub(crate) fn at_once(&mut self, calls: &Calls, window: usize) -> Result<f64> {
        let start = Instant::now();
        let mut sent = window.min(calls.len());
        self.write(calls.lines(0, sent))?;
        let mut answered = 0;
        while answered < calls.len() {
            let chunk = self.stdout.fill_buf()?;
            ensure!(!chunk.is_empty(), "the server has ended its output");
            ensure!(!failed(&String::from_utf8_lossy(chunk)), "a call failed");
            let lines = chunk.iter().filter(|byte| **byte == b'\n').count();
            let length = chunk.len();
            self.stdout.consume(length);
            answered += lines;
            let next = (sent + lines).min(calls.len());
            self.write(calls.lines(sent, next))?;
            sent = next;
        }
        Ok(f64::from(u32::try_from(answered)?) / start.elapsed().as_secs_f64())
    }

    /// Begins a call that is not waited for.
    pub(crate) fn begin(&mut self, id: u32, tool: &str, arguments: &Value) -> Result<()> {
        let params = json!({ "name": tool, "arguments": arguments });
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        self.write(format!("{line}\n").as_bytes())
    }

    /// One call; the JSON in its answer.
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Value> {
        self.begin(11, tool, arguments)?;
        self.answer()
    }

    /// The JSON in the next answer; null if it is no JSON.
    pub(crate) fn answer(&mut self) -> Result<Value> {
        self.read()?;
        let answer: Value = serde_json::from_str(&self.line)?;
        let text = answer.pointer("/result/content/0/text").and_then(Value::as_str).context("no text")?;
        Ok(serde_json::from_str(text).unwrap_or(Value::Null))
    }

    /// Ends the input; how long the process lives on.
    pub(crate) fn end(mut self) -> Result<Duration> {
        let start = Instant::now();
        self.stdin = None;
        self.child.wait()?;
        Ok(start.elapsed())
    }

    /// Sends SIGTERM with the input kept open; how long the process lives on.
    pub(crate) fn terminate(mut self) -> Result<Duration> {
        let input = self.stdin.take();
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("a process without an id")?;
        let start = Instant::now();
        kill_process(pid, Signal::TERM)?;
        self.child.wait()?;
        let lived = start.elapsed();
        drop(input);
        Ok(lived)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the input was ended before")?;
        stdin.write_all(bytes).context("the server does not read any more")
    }

    fn read(&mut self) -> Result<()> {
        self.line.clear();
        if self.stdout.read_line(&mut self.line)? == 0 {
            bail!("the server has ended its output");
        }
        ensure!(!failed(&self.line), "not what was asked for: {}", self.line);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already in most cases.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(lines: &str) -> bool {
    lines.contains(r#""isError":true"#) || lines.contains(r#""error":{"#)
}
