//! Input and output as streams: how they are cut, how much they hold, what they are.

use std::{
    fs::{self, File},
    io::Write,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use molecule_tests::{
    launch::Launch,
    process::{Program, WITH_HANDSHAKE},
};
use rustix::{
    fs::{OFlags, fcntl_setfl},
    process::geteuid,
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, time};

/// The longest line that is served.
const LINE_BYTES: usize = 8 << 20;

#[tokio::test]
async fn s19_an_endless_line_is_thrown_away_as_it_comes() -> Result<()> {
    let mut program = Program::start(&alone()?)?;
    program.initialize().await?;
    let before = program.peak_mib()?;

    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        program.send_bytes(&chunk).await?;
    }
    program.send("").await?;

    assert_eq!(program.messages().await?, Vec::<Value>::new());
    let grown = program.peak_mib()? - before;
    assert!(grown <= 32, "an ignored line of 256 MiB took {grown} MiB");
    Ok(())
}

#[tokio::test]
async fn s20_a_line_of_almost_8_mib_is_served() -> Result<()> {
    let mut program = Program::start(&alone()?)?;
    let line =
        |text: &str| format!(r#"{{"jsonrpc":"2.0","id":"long","method":"ping","params":{{"x":"{text}"}}}}"#);
    let text = "x".repeat(LINE_BYTES - 1 - line("").len());

    program.send(&line(&text)).await?;

    assert_eq!(program.receive().await?, json!({ "jsonrpc": "2.0", "id": "long", "result": {} }));
    Ok(())
}

#[tokio::test]
async fn s26_a_message_may_come_byte_by_byte_while_replies_flow() -> Result<()> {
    let mut program = Program::start(&alone()?)?;
    let (id, line) = (json!("slow"), format!("{}\n", ping("\"slow\"")));
    let mut input = program.take_input()?;
    let writer = async {
        // The gaps are what is tried: the program reads each byte by itself.
        let mut gap = time::interval(Duration::from_millis(2));
        for id in 0..20 {
            input.write_all(format!("{}\n", ping(&id.to_string())).as_bytes()).await?;
        }
        for byte in line.as_bytes() {
            gap.tick().await;
            input.write_all(&[*byte]).await?;
            input.flush().await?;
        }
        anyhow::Ok(input)
    };

    let (input, slow) = tokio::join!(writer, program.reply(&id));

    assert_eq!(slow?["result"], json!({}));
    drop(input?);
    assert_eq!(program.remaining().await?.len(), 20);
    Ok(())
}

#[tokio::test]
async fn s27_half_a_message_at_the_end_of_the_input_is_dropped() -> Result<()> {
    let mut program = Program::start(&alone()?)?;

    program.send_bytes(br#"{"jsonrpc":"2.0","id":1,"meth"#).await?;
    program.end_input();

    assert_eq!(program.remaining().await?, Vec::<Value>::new());
    assert_eq!(program.exit().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn s33_ten_thousand_requests_of_a_client_that_does_not_read_wait_in_the_pipe() -> Result<()> {
    let mut program = Program::start(&alone()?)?;
    program.initialize().await?;
    let before = program.peak_mib()?;
    let mut input = program.take_input()?;
    let writer = tokio::spawn(async move {
        for id in 1_000..11_000 {
            let line = json!({
                "jsonrpc": "2.0", "id": id, "method": "tools/list",
                "params": { "padding": "x".repeat(200) },
            });
            input.write_all(format!("{line}\n").as_bytes()).await?;
        }
        anyhow::Ok(input)
    });

    // Not a word is read until the pipe is full, which holds the writer up.
    let mut beat = time::interval(Duration::from_millis(20));
    let mut last = 0;
    for _ in 0..20 {
        beat.tick().await;
        last = program.peak_mib()?;
    }
    assert!(!writer.is_finished(), "everything was read although nothing is");
    assert!(last - before <= 96, "unread answers took {} MiB", last - before);

    for id in 1_000..11_000 {
        assert!(program.reply(&json!(id)).await?["result"]["tools"].is_array());
    }
    drop(writer.await??);
    assert_eq!(program.exit().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn s34_standard_input_may_be_a_file() -> Result<()> {
    let launch = alone()?;
    let path = launch.home().join("input");
    fs::write(&path, format!("{}\n{}\n", hello(), ping("2")))?;

    let mut program = Program::start_on(&launch, Stdio::from(File::open(&path)?))?;

    assert_eq!(program.reply(&json!("hello")).await?["result"]["protocolVersion"], WITH_HANDSHAKE);
    assert_eq!(program.reply(&json!(2)).await?["result"], json!({}));
    assert_eq!(program.exit().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn s34_standard_input_may_be_nothing() -> Result<()> {
    let mut program = Program::start_on(&alone()?, Stdio::null())?;

    assert_eq!(program.exit().await?.code(), Some(0));
    assert_eq!(program.remaining().await?, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn s34_standard_input_may_be_a_terminal() -> Result<()> {
    let (mut terminal, theirs) = terminal()?;
    let mut program = Program::start_on(&alone()?, Stdio::from(theirs))?;
    // A person who sits there is told what this is.
    program.complains("is an MCP server").await?;
    program.complains("molecule-mcp --help").await?;
    let said = program.stderr();
    assert_eq!(said.lines().filter(|line| !line.starts_with("[molecule-mcp]")).count(), 2, "{said}");

    terminal.write_all(format!("{}\n", ping("1")).as_bytes())?;
    assert_eq!(program.reply(&json!(1)).await?["result"], json!({}));

    let end_of_input = b"\x04";
    terminal.write_all(end_of_input)?;
    assert_eq!(program.exit().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_terminal_that_does_not_block_is_waited_for() -> Result<()> {
    let (mut terminal, theirs) = terminal()?;
    fcntl_setfl(&theirs, OFlags::NONBLOCK)?;
    let mut program = Program::start_on(&alone()?, Stdio::from(theirs))?;

    for id in 1..=2 {
        terminal.write_all(format!("{}\n", ping(&id.to_string())).as_bytes())?;
        assert_eq!(program.reply(&json!(id)).await?["result"], json!({}));
    }
    Ok(())
}

#[tokio::test]
async fn a_pipe_of_another_user_that_does_not_block_is_waited_for() -> Result<()> {
    let (theirs, mut ours) = std::io::pipe()?;
    fcntl_setfl(&theirs, OFlags::NONBLOCK)?;
    let launch =
        if geteuid().is_root() { alone()?.env("CONFIGS_DIR", "/tmp").under("uid=54321") } else { alone()? };
    let mut program = Program::start_on(&launch, Stdio::from(theirs))?;

    for id in 1..=2 {
        ours.write_all(format!("{}\n", ping(&id.to_string())).as_bytes())?;
        assert_eq!(program.reply(&json!(id)).await?["result"], json!({}));
    }

    drop(ours);
    assert_eq!(program.exit().await?.code(), Some(0));
    Ok(())
}

/// Both ends of a terminal: a person's, and a program's.
fn terminal() -> Result<(File, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let path = ptsname(&ours, Vec::new())?;
    let theirs = File::options().read(true).write(true).open(path.to_str()?)?;
    Ok((File::from(ours), theirs))
}

#[tokio::test]
async fn a_stray_print_cannot_reach_the_client() -> Result<()> {
    let mut program = Program::start(&alone()?)?;
    program.initialize().await?;
    let behind = |descriptor: u32| -> Result<String> {
        let link = fs::read_link(format!("/proc/{}/fd/{descriptor}", program.pid()?))?;
        Ok(link.to_str().context("a link that is no text")?.to_owned())
    };

    let (stdout, stderr) = (behind(1)?, behind(2)?);

    assert!(stdout == stderr || stdout == "/dev/null", "standard output is {stdout}");
    Ok(())
}

/// A program without a platform: nothing of this needs one.
fn alone() -> Result<Launch> {
    Ok(Launch::new()?
        .env("PLATFORM_URL", "http://127.0.0.1:9")
        .env("WORKSPACE_ID", "00000000-0000-4000-8000-000000000000")
        .env("MOLECULE_WORKSPACE_TOKEN", "token"))
}

fn hello() -> Value {
    let params = json!({
        "protocolVersion": WITH_HANDSHAKE,
        "capabilities": {},
        "clientInfo": { "name": "x", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params })
}

fn ping(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#)
}
