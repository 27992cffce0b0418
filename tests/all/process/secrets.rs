//! Canaries: where the token and the inbound secret must never be seen.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
};

use anyhow::{Context, Result};
use molecule_tests::{process::Program, served::Served};
use serde_json::json;
use standin::{
    Headers, Response, Script,
    faults::{Effect, Fault},
};

#[tokio::test]
async fn neither_token_nor_secret_is_ever_said() -> Result<()> {
    for verbose in [false, true] {
        let platform = Served::start().await?;
        let launch = platform.launch()?.env("RUST_LOG", "trace");
        let launch = if verbose { launch.env("MOLECULE_MCP_VERBOSE", "1") } else { launch };
        let mut program = Program::start(&launch)?;
        let mut said = a_day(&platform, &mut program).await?;
        let secret = secret(&platform, &program).await?;
        let command_line = fs::read(format!("/proc/{}/cmdline", program.pid()?))?;
        said.push_str(&String::from_utf8_lossy(&command_line));

        program.end_input();
        program.exit().await?;
        for message in program.remaining().await? {
            said.push_str(&message.to_string());
        }
        said.push_str(&program.stderr());

        assert!(!verbose || said.contains("heartbeat"), "nothing was logged: {said}");
        assert!(!said.contains(&platform.me.token), "the token in {said}");
        assert!(!said.contains(&secret), "the secret in {said}");
    }
    Ok(())
}

/// The memory of a WebAssembly guest lies before the rest of the 256 MiB that it may grow to, which nobody may touch yet; no
/// other memory has so much behind it (the areas of an allocator are of 64 MiB).
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_token_never_enters_the_memory_of_the_guest() -> Result<()> {
    let platform = Served::start().await?;
    let mut program = Program::start(&platform.launch()?)?;
    a_day(&platform, &mut program).await?;

    let memory = guest_memory(program.pid()?)?;

    let holds = |text: &str| memory.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds("a word from the canvas"), "this is not the memory of the guest");
    assert!(!holds(&platform.me.token), "the token is in the memory of the guest");
    Ok(())
}

/// Something of everything, failures included; what came back.
async fn a_day(platform: &Served, program: &mut Program) -> Result<String> {
    let mut said = program.initialize().await?.to_string();
    let me = platform.me.id;
    let peer = platform.with(|platform| platform.push_peer("echo", Script::Echo)).id;
    platform.with(|platform| platform.user_sends(me, "a word from the canvas"));
    let echo = format!("<pre>Authorization: Bearer {}</pre>", platform.me.token);
    let headers: Headers = [("Content-Type", "text/html")].into_iter().collect();
    let page = Effect::Answer(Response { status: 500, headers, body: echo.into() });
    platform.with(|platform| {
        platform.inject(Fault::new(page.clone()).method("GET").path("/registry/*/peers"));
        platform.inject(Fault::new(page).path("/workspaces/*/notify"));
    });
    for (tool, arguments) in [
        ("wait_for_message", json!({ "timeout_secs": 30 })),
        ("list_peers", json!({})),
        ("list_peers", json!({})),
        ("send_message_to_user", json!({ "message": "lost" })),
        ("send_message_to_user", json!({ "message": "heard" })),
        ("get_workspace_info", json!({})),
        ("delegate_task", json!({ "workspace_id": peer.to_string(), "task": "a task" })),
        ("commit_memory", json!({ "content": "a fact" })),
        ("recall_memory", json!({})),
        ("no_such_tool", json!({})),
    ] {
        said.push_str(&program.call(tool, arguments).await?.0.to_string());
    }
    platform.hears("POST /registry/heartbeat").await?;
    Ok(said)
}

/// The secret, once the program has it.
async fn secret(platform: &Served, program: &Program) -> Result<String> {
    let file = program.launch().configs().join(".platform_inbound_secret");
    platform.until("the secret on disk", |_| file.is_file()).await?;
    Ok(fs::read_to_string(file)?)
}

fn guest_memory(pid: u32) -> Result<Vec<u8>> {
    const UNTOUCHABLE: u64 = 128 << 20;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let areas: Vec<_> = maps.lines().filter_map(area).collect();
    let mut memory = Vec::new();
    let mut file = File::open(format!("/proc/{pid}/mem"))?;
    for pair in areas.windows(2) {
        let [(start, end, mode), (guard, guard_end, none)] = pair else { continue };
        let guarded = end == guard && none.starts_with("---") && guard_end - guard >= UNTOUCHABLE;
        if guarded && mode.starts_with("rw") {
            let mut bytes = vec![0; usize::try_from(end - start)?];
            file.seek(SeekFrom::Start(*start))?;
            file.read_exact(&mut bytes)?;
            memory.append(&mut bytes);
        }
    }
    (!memory.is_empty()).then_some(memory).context("no memory of a guest found")
}

/// First byte, byte after the last, and mode of a line of `/proc/…/maps`.
fn area(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let parse = |text| u64::from_str_radix(text, 16).ok();
    Some((parse(start)?, parse(end)?, rest.split(' ').next()?))
}
