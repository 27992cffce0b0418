//! The real binary over real pipes, with its input kept open.
//!
//! ```text
//! test ──► Program ── stdin ──► molecule-mcp ── HTTP ──► Served, in the test's own process
//!             ▲ ─── stdout ───────┘
//! ```
//!
//! Output is read only when somebody asks for it, so a test can also be a client that does not read.

use std::{
    collections::VecDeque,
    fs,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time,
};

use crate::launch::Launch;

/// When a test gives up on a program. Far beyond everything that is promised, so that a slow machine does
/// not fail a test.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The newest revision with a handshake.
pub const WITH_HANDSHAKE: &str = "2025-11-25";

/// The revision without one.
pub const STATELESS: &str = "2026-07-28";

/// A running `molecule-mcp`. It is killed when dropped.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    /// None once nobody reads any more.
    stdout: Option<Lines<BufReader<ChildStdout>>>,
    stderr: Arc<Mutex<String>>,
    stderr_ends: Option<JoinHandle<()>>,
    /// Messages that came while another one was waited for.
    kept: VecDeque<Value>,
    requests: u64,
    launch: Launch,
}

impl Program {
    /// Starts the program with a pipe for each standard stream.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(launch: &Launch) -> Result<Self> {
        Self::start_on(launch, Stdio::piped())
    }

    /// Starts the program on another standard input.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_on(launch: &Launch, stdin: Stdio) -> Result<Self> {
        let mut child = Command::from(launch.command())
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", launch.binary().display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let stderr = child.stderr.take().context("no standard error")?;
        let said = Arc::new(Mutex::new(String::new()));
        Ok(Self {
            stdin: child.stdin.take(),
            stdout: Some(BufReader::with_capacity(1 << 16, stdout).lines()),
            stderr_ends: Some(tokio::spawn(listen(stderr, Arc::clone(&said)))),
            stderr: said,
            child,
            kept: VecDeque::new(),
            requests: 0,
            launch: launch.clone(),
        })
    }

    /// Starts another program on the same disk, in the same environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn again(&self) -> Result<Self> {
        Self::start(&self.launch)
    }

    /// The disk and the environment.
    #[must_use]
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Writes one line, and its end.
    ///
    /// # Errors
    /// When the program does not read any more.
    pub async fn send(&mut self, line: &str) -> Result<()> {
        self.send_bytes(format!("{line}\n").as_bytes()).await
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the program does not read any more.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the input was ended before")?;
        let written = async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        };
        match time::timeout(DEADLINE, written).await {
            Ok(done) => done.map_err(|err| self.failed(&format!("cannot write: {err}"))),
            Err(_) => Err(self.failed("does not read")),
        }
    }

    /// Begins a request; the id under which its reply will come.
    ///
    /// # Errors
    /// When the program does not read any more.
    pub async fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.requests += 1;
        let id = json!(self.requests);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&request.to_string()).await?;
        Ok(id)
    }

    /// Begins a tool call; the id under which its reply will come.
    ///
    /// # Errors
    /// When the program does not read any more.
    pub async fn ask_tool(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// When the program does not read any more.
    pub async fn notify(&mut self, method: &str, params: Value) -> Result<()> {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string()).await
    }

    /// The next message, whatever it is. Every line of output must be one.
    ///
    /// # Errors
    /// When there is none in time, or something else.
    pub async fn receive(&mut self) -> Result<Value> {
        match self.kept.pop_front() {
            Some(message) => Ok(message),
            None => self.receive_from_pipe().await,
        }
    }

    /// The reply to a request. What comes before it is kept for those who ask later.
    ///
    /// # Errors
    /// As for [`Program::receive`].
    pub async fn reply(&mut self, id: &Value) -> Result<Value> {
        let answers = |message: &Value| message.get("id") == Some(id) && message.get("method").is_none();
        if let Some(place) = self.kept.iter().position(answers) {
            return self.kept.remove(place).context("a message that was there a moment ago");
        }
        loop {
            let message = self.receive_from_pipe().await?;
            if answers(&message) {
                return Ok(message);
            }
            self.kept.push_back(message);
        }
    }

    /// Asks, and waits for the reply: an object with either `result` or `error`.
    ///
    /// # Errors
    /// As for [`Program::receive`].
    pub async fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.ask(method, params).await?;
        self.reply(&id).await
    }

    /// Goes through the handshake as most clients do; the result of `initialize`.
    ///
    /// # Errors
    /// When the program refuses, and as for [`Program::receive`].
    pub async fn initialize(&mut self) -> Result<Value> {
        let hello = json!({
            "protocolVersion": WITH_HANDSHAKE,
            "capabilities": {},
            "clientInfo": { "name": "molecule-tests", "version": "1" },
        });
        let reply = self.request("initialize", hello).await?;
        self.notify("notifications/initialized", json!({})).await?;
        result(reply)
    }

    /// Calls a tool and waits for what it says.
    ///
    /// # Errors
    /// When no tool could answer, and as for [`Program::receive`].
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Result<Said> {
        let id = self.ask_tool(tool, arguments).await?;
        self.said(&id).await
    }

    /// What the tool of an earlier [`Program::ask_tool`] says.
    ///
    /// # Errors
    /// As for [`Program::call`].
    pub async fn said(&mut self, id: &Value) -> Result<Said> {
        Ok(Said(result(self.reply(id).await?)?))
    }

    /// All messages so far, those that come before the answer to a ping included. What was ignored is not
    /// among them, and never will be.
    ///
    /// # Errors
    /// As for [`Program::receive`].
    pub async fn messages(&mut self) -> Result<Vec<Value>> {
        let pong = self.request("ping", json!({})).await?;
        ensure!(pong.get("result").is_some(), "ping is answered with {pong}");
        Ok(self.kept.drain(..).collect())
    }

    /// Gives the input away, to somebody who writes while the test reads. It ends when that one drops it.
    ///
    /// # Errors
    /// When the input was ended before.
    pub fn take_input(&mut self) -> Result<ChildStdin> {
        self.stdin.take().context("the input was ended before")
    }

    /// Closes the test's end of standard output.
    pub fn stop_reading(&mut self) {
        self.stdout = None;
    }

    /// Ends the input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()?)?;
        let pid = Pid::from_raw(pid).context("a process without an id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// The id of the process.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the program is gone")
    }

    /// The most memory that the program has had resident, in MiB.
    ///
    /// # Errors
    /// When the program is gone.
    pub fn peak_mib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("no peak of memory")?;
        Ok(kib.parse::<u64>()? / 1_024)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the program goes on.
    pub async fn exit(&mut self) -> Result<ExitStatus> {
        self.exit_within(DEADLINE).await
    }

    /// Waits for the end, at most for so long. Afterwards all of its standard error is there.
    ///
    /// # Errors
    /// When the program goes on.
    pub async fn exit_within(&mut self, limit: Duration) -> Result<ExitStatus> {
        // Tokio's own way would close the input, and the program is to end without that.
        let Ok(status) = time::timeout(limit, wait(&mut self.child)).await else {
            bail!("still running after {limit:?}{}", self.also_said());
        };
        if let Some(ends) = self.stderr_ends.take() {
            time::timeout(DEADLINE, ends).await.context("somebody keeps standard error open")??;
        }
        status
    }

    /// Everything that is still to come on standard output, up to its end.
    ///
    /// # Errors
    /// When it does not end, or a line is not a message.
    pub async fn remaining(&mut self) -> Result<Vec<Value>> {
        let mut messages: Vec<_> = self.kept.drain(..).collect();
        let stdout = self.stdout.as_mut().context("nobody reads any more")?;
        let all = async {
            while let Some(line) = stdout.next_line().await? {
                messages.push(message(&line)?);
            }
            Ok(messages)
        };
        time::timeout(DEADLINE, all).await.context("standard output does not end")?
    }

    /// What a killed program has said and nobody has read, but for a line that it did not finish.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn last_words(&mut self) -> Result<Vec<Value>> {
        let mut messages: Vec<_> = self.kept.drain(..).collect();
        let stdout = self.stdout.as_mut().context("nobody reads any more")?;
        let all = async {
            while let Ok(Some(line)) = stdout.next_line().await {
                messages.extend(message(&line));
            }
            messages
        };
        time::timeout(DEADLINE, all).await.context("standard output does not end")
    }

    /// What the program has said on standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until standard error contains a text.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn complains(&self, text: &str) -> Result<()> {
        let mut beat = time::interval(Duration::from_millis(5));
        let complaint = async {
            while !self.stderr().contains(text) {
                beat.tick().await;
            }
        };
        time::timeout(DEADLINE, complaint)
            .await
            .map_err(|_| self.failed(&format!("does not say `{text}` on standard error")))
    }

    async fn receive_from_pipe(&mut self) -> Result<Value> {
        let stdout = self.stdout.as_mut().context("nobody reads any more")?;
        let Ok(line) = time::timeout(DEADLINE, stdout.next_line()).await else {
            return Err(self.failed(&format!("says nothing for {DEADLINE:?}")));
        };
        match line? {
            Some(line) => message(&line),
            None => Err(self.failed("has ended its output")),
        }
    }

    fn failed(&self, how: &str) -> anyhow::Error {
        anyhow!("the program {how}{}", self.also_said())
    }

    fn also_said(&self) -> String {
        match self.stderr().trim_end() {
            "" => String::new(),
            said => format!("; its standard error:\n{said}"),
        }
    }
}

async fn wait(child: &mut Child) -> Result<ExitStatus> {
    let mut beat = time::interval(Duration::from_millis(2));
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        beat.tick().await;
    }
}

/// What a tool said: the result of its call.
#[derive(Debug, Clone)]
pub struct Said(pub Value);

impl Said {
    /// The first text block.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.pointer("/content/0/text").and_then(Value::as_str).unwrap_or_default()
    }

    /// The text as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }

    /// Whether the tool failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.0.get("isError") == Some(&json!(true))
    }
}

/// The result in a reply.
///
/// # Errors
/// When the reply is an error.
pub fn result(mut reply: Value) -> Result<Value> {
    match reply.get_mut("result") {
        Some(result) => Ok(result.take()),
        None => bail!("refused: {reply}"),
    }
}

/// Parameters as a client without a handshake sends them.
#[must_use]
pub fn stateless(mut params: Value) -> Value {
    let facts = json!({
        "io.modelcontextprotocol/protocolVersion": STATELESS,
        "io.modelcontextprotocol/clientInfo": { "name": "molecule-tests", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(params) = params.as_object_mut() {
        params.insert("_meta".to_owned(), facts);
    }
    params
}

fn message(line: &str) -> Result<Value> {
    let message: Value =
        serde_json::from_str(line).with_context(|| format!("not a message on standard output: {line}"))?;
    ensure!(message.get("jsonrpc") == Some(&json!("2.0")), "not a message on standard output: {line}");
    Ok(message)
}

async fn listen(mut stderr: ChildStderr, said: Arc<Mutex<String>>) {
    let mut buffer = vec![0; 1 << 14];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        let heard = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
        said.lock().unwrap_or_else(PoisonError::into_inner).push_str(&heard);
    }
}
