//! Plays a day of an agent in a few seconds: `demo DIRECTORY`, the directory that holds `molecule-mcp`.
//!
//! ```text
//! user ──┐                              ┌── echo, who answers
//!        ├── platform ── molecule-mcp ──┤
//! agent ─┘   (stand-in)                 └── silent, who fetches its messages some day
//! ```
//!
//! Ends with 0 if every step came out as it should.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a transcript is what this program is for")]

use std::{env, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use molecule_tests::{
    launch::Launch,
    process::{DEADLINE, Program, Said},
    served::Served,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use standin::{Script, world::Credentials};
use tokio::time::{self, Instant};

#[tokio::main]
async fn main() -> ExitCode {
    let Some(directory) = env::args().nth(1) else {
        eprintln!("usage: demo DIRECTORY, the directory that holds molecule-mcp");
        return ExitCode::from(2);
    };
    match play(PathBuf::from(directory).join("molecule-mcp")).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            println!("\nnot as it should be: {err:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(binary: PathBuf) -> Result<()> {
    let mut scene = Scene::open(binary).await?;
    scene.greet().await?;
    scene.answer_the_user().await?;
    scene.work_with_peers().await?;
    scene.remember().await?;
    scene.die_and_come_back().await
}

/// Everybody on the stage.
struct Scene {
    start: Instant,
    platform: Served,
    echo: Credentials,
    silent: Credentials,
    program: Program,
}

impl Scene {
    async fn open(binary: PathBuf) -> Result<Self> {
        let platform = Served::start().await?;
        let echo = platform.with(|platform| platform.push_peer("echo", Script::Echo));
        let silent = platform.with(|platform| platform.poll_peer("silent"));
        let launch = platform.for_me(Launch::of(binary)?);
        let program = Program::start(&launch)?;
        Ok(Self { start: Instant::now(), platform, echo, silent, program })
    }

    async fn greet(&mut self) -> Result<()> {
        self.title("An agent starts molecule-mcp");
        let hello = self.program.initialize().await?;
        let name = hello.pointer("/serverInfo/name").and_then(Value::as_str).unwrap_or_default();
        let version = hello.pointer("/serverInfo/version").and_then(Value::as_str).unwrap_or_default();
        self.line("molecule-mcp", "agent", &format!("I am {name} {version}, and these are my instructions"));
        ensure!(name == "molecule", "the server calls itself {name}");
        let list = self.program.request("tools/list", json!({})).await?;
        let tools = list.pointer("/result/tools").and_then(Value::as_array).context("no list of tools")?;
        self.line("molecule-mcp", "agent", &format!("{} tools", tools.len()));
        ensure!(tools.len() == 11, "{} tools instead of 11", tools.len());
        ensure!(self.platform.requests().is_empty(), "the platform was bothered by a mere greeting");
        Ok(())
    }

    async fn answer_the_user(&mut self) -> Result<()> {
        self.title("The user writes on the canvas, and the agent answers");
        let question = "Is the build green?";
        let me = self.platform.me.id;
        let sent = self.platform.with(|platform| platform.user_sends(me, question)).to_string();
        self.line("user", "agent", question);

        let message = self.call("wait_for_message", json!({ "timeout_secs": 30 })).await?.json();
        ensure!(field(&message, "text") == question, "the agent reads {message}");
        ensure!(field(&message, "activity_id") == sent, "the agent reads {message}, not {sent}");
        self.platform.hears("POST /registry/register").await?;
        self.line("molecule-mcp", "platform", "registered, with the first call of a tool");

        let answer = "It is, since this morning.";
        self.call("send_message_to_user", json!({ "message": answer })).await?;
        let heard = self.platform.with(|platform| platform.notifies(me));
        ensure!(heard.len() == 1, "the user hears {heard:?}");
        self.line("agent", "user", heard.first().map_or("", |notify| field(notify, "message")));
        ensure!(heard.iter().all(|notify| field(notify, "message") == answer), "the user hears {heard:?}");

        let popped = self.call("inbox_pop", json!({ "activity_id": sent })).await?.json();
        ensure!(popped.get("removed") == Some(&json!(true)), "inbox_pop says {popped}");
        Ok(())
    }

    async fn work_with_peers(&mut self) -> Result<()> {
        self.title("The agent works with its peers");
        let (echo, silent) = (self.echo.id.to_string(), self.silent.id.to_string());
        let peers = self.call("list_peers", json!({})).await?;
        ensure!(peers.text().contains(&echo) && peers.text().contains(&silent), "the peers are {peers:?}");

        let task = json!({ "workspace_id": echo, "task": "Count to three" });
        let answer = self.call("delegate_task", task).await?;
        ensure!(answer.text().contains("You said: Count to three"), "echo answers {answer:?}");

        let task = json!({ "workspace_id": silent, "task": "Write the report" });
        let stored = self.call("delegate_task", task).await?;
        ensure!(stored.text().contains("stored"), "the silent peer's task is {stored:?}");
        ensure!(!stored.text().contains("delivered"), "nobody answered, and yet: {stored:?}");
        let silent = self.silent.id;
        let waiting = self.platform.with(|platform| platform.rows(silent).len());
        self.line("platform", "silent", &format!("{waiting} task waits for you"));
        ensure!(waiting == 1, "{waiting} rows wait for the silent peer");
        Ok(())
    }

    async fn remember(&mut self) -> Result<()> {
        self.title("The agent remembers");
        let fact = "The release branch is cut on Fridays";
        let saved = self.call("commit_memory", json!({ "content": fact })).await?.json();
        ensure!(saved.get("success") == Some(&json!(true)), "commit_memory says {saved}");
        let recalled = self.call("recall_memory", json!({ "query": "release" })).await?;
        ensure!(recalled.text().contains(fact), "recall_memory says {recalled:?}");
        Ok(())
    }

    async fn die_and_come_back(&mut self) -> Result<()> {
        self.title("molecule-mcp is killed with two messages unhandled");
        let (me, echo) = (self.platform.me.id, self.echo.id);
        let first = self.platform.with(|platform| platform.user_sends(me, "Please call me back"));
        self.line("user", "agent", "Please call me back");
        let second = self.platform.with(|platform| platform.peer_sends(echo, me, "I have counted"));
        self.line("echo", "agent", "I have counted");
        let sent = [first.to_string(), second.to_string()];
        self.shows(&sent).await?;

        self.program.signal(Signal::KILL)?;
        let status = self.program.exit().await?;
        self.line("user", "molecule-mcp", &format!("kill -9 ({status})"));
        self.program = self.program.again()?;
        self.program.initialize().await?;
        self.line("molecule-mcp", "agent", "here I am again");
        self.shows(&sent).await?;

        for id in &sent {
            self.call("inbox_pop", json!({ "activity_id": id })).await?;
        }
        let left = self.call("inbox_peek", json!({})).await?;
        ensure!(
            left.json().get("messages") == Some(&json!([])),
            "after all was handled there is still {left:?}"
        );
        self.program.end_input();
        let status = self.program.exit_within(DEADLINE).await?;
        self.line("agent", "molecule-mcp", &format!("end of input ({status})"));
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Waits until exactly these messages are in the inbox, in their order.
    async fn shows(&mut self, sent: &[String]) -> Result<()> {
        self.call("wait_for_message", json!({ "timeout_secs": 30 })).await?;
        let mut beat = time::interval(Duration::from_millis(100));
        let limit = Instant::now() + DEADLINE;
        loop {
            beat.tick().await;
            let peek = self.program.call("inbox_peek", json!({})).await?.json();
            let messages =
                peek.get("messages").and_then(Value::as_array).context("inbox_peek shows no list")?;
            let ids: Vec<_> = messages.iter().map(|message| field(message, "activity_id")).collect();
            if ids == sent {
                self.line("molecule-mcp", "agent", &format!("the inbox holds {} messages:", ids.len()));
                for message in messages {
                    let (kind, text) = (field(message, "kind"), field(message, "text"));
                    self.line("", "", &format!("  {kind}: {text}"));
                }
                return Ok(());
            }
            ensure!(Instant::now() < limit, "the inbox holds {ids:?} instead of {sent:?}");
        }
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Result<Said> {
        self.line("agent", "molecule-mcp", &format!("{tool} {arguments}"));
        let said = self.program.call(tool, arguments).await?;
        for (place, line) in said.text().lines().enumerate() {
            let (who, whom) = if place == 0 { ("molecule-mcp", "agent") } else { ("", "") };
            self.line(who, whom, line);
        }
        ensure!(!said.failed(), "{tool} failed: {}", said.text());
        Ok(said)
    }

    fn title(&self, title: &str) {
        println!("\n{title}");
    }

    fn line(&self, who: &str, whom: &str, what: &str) {
        let arrow = if who.is_empty() { " " } else { "→" };
        let at = self.start.elapsed().as_secs_f64();
        println!("{at:>8.3} s  {who:>12} {arrow} {whom:<12}  {what}");
    }
}

fn field<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
