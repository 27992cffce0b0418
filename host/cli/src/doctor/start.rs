//! How the program starts: once as a client starts it, and the last start that failed.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    time::{Instant, timeout},
};

use super::{
    Found, Scene,
    catalog::{START_FAILED, START_FAILED_BEFORE, START_GOOD, START_SLOW},
};
use crate::{failures, status::duration};

/// A client that sees nothing by then gives up.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const SLOW: Duration = Duration::from_secs(2);
/// For the end of a program that has failed.
const END_WITHIN: Duration = Duration::from_secs(1);
/// Of what it says.
const SAID_BYTES: u64 = 4 << 10;
/// Older failures say nothing of today.
const RECENT: Duration = Duration::from_secs(86_400);

/// The first request of a client. No session begins with it, so nothing is sent and no file is touched.
const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
    r#""clientInfo":{"name":"molecule-mcp-doctor","version":"1"}}}"#,
    "\n"
);

pub(super) async fn look(scene: &Scene) -> Vec<Found> {
    let mut found = Vec::new();
    // Without usable settings the reason has been found.
    if let Some(program) = scene.program.as_deref().filter(|_| scene.config.is_some()) {
        found.push(start(program).await);
    }
    let failure = scene.directory.as_deref().and_then(failures::last);
    let recent = failure.filter(|failure| failure.age().is_some_and(|age| age < RECENT));
    found.extend(recent.map(|failure| {
        let ago = duration(failure.age().unwrap_or_default().as_secs());
        let by = failure.started_by.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
        START_FAILED_BEFORE.seen(format!("{ago} ago, started{by}: {}", failure.said.trim()))
    }));
    found
}

/// Starts the program with pipes, as clients do, greets it, and ends it.
async fn start(program: &Path) -> Found {
    let begun = Instant::now();
    let child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(cause) => return START_FAILED.seen(format!("{} cannot be started: {cause}", program.display())),
    };
    let answered = timeout(ANSWER_WITHIN, greet(&mut child)).await;
    let took = begun.elapsed();
    match answered {
        Ok(Some(line)) if line.contains("\"serverInfo\"") => {
            let seen = format!("{} answers after {} ms", program.display(), took.as_millis());
            if took > SLOW { START_SLOW.seen(seen) } else { START_GOOD.seen(seen) }
        }
        Ok(Some(line)) => START_FAILED.seen(format!("its first line is {}", line.trim())),
        Ok(None) => START_FAILED.seen(end(child).await),
        Err(_) => START_FAILED.seen(format!("no answer within {} s", ANSWER_WITHIN.as_secs())),
    }
}

/// Its first line; none if it ended.
async fn greet(child: &mut Child) -> Option<String> {
    let (stdin, stdout) = (child.stdin.as_mut()?, child.stdout.take()?);
    // A program that has ended says why on stderr.
    let _ = stdin.write_all(HELLO.as_bytes()).await;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await.ok()?;
    Some(line).filter(|line| !line.is_empty())
}

/// How it ended, and what it said.
async fn end(mut child: Child) -> String {
    let said = match child.stderr.take() {
        Some(stderr) => timeout(END_WITHIN, read(stderr)).await.unwrap_or_default(),
        None => String::new(),
    };
    let status = match timeout(END_WITHIN, child.wait()).await {
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(_)) | Err(_) => "it has closed its output".to_owned(),
    };
    format!("{status}: {}", said.trim())
}

async fn read(stderr: ChildStderr) -> String {
    let mut said = Vec::new();
    let _ = stderr.take(SAID_BYTES).read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}
