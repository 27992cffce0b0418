//! How much address space the program takes.

use anyhow::{Context, Result};
use molecule_tests::{launch::Launch, process::Program, served::Served};
use serde_json::json;

#[tokio::test]
async fn a_gib_of_address_space_is_enough() -> Result<()> {
    let platform = Served::start().await?;
    let peer = platform.with(|platform| platform.poll_peer("Research"));
    let mut program = Program::start(&with_address_space(1 << 20, &platform)?)?;
    program.initialize().await?;
    platform.with(|served| served.user_sends(platform.me.id, "hello"));

    let peers = program.call("list_peers", json!({})).await?;
    let waited = program.call("wait_for_message", json!({ "timeout_secs": 30 })).await?;

    assert!(peers.text().contains(&peer.id.to_string()), "{}", peers.text());
    assert_eq!(waited.json()["text"], "hello");
    Ok(())
}

/// The program with so many KiB of address space.
fn with_address_space(kib: u32, platform: &Served) -> Result<Launch> {
    let launch = platform.launch()?;
    let binary = launch.binary().to_str().context("a path that is no text")?;
    let limited = Launch::of("/bin/sh".into())?
        .env("PLATFORM_URL", platform.url())
        .env("WORKSPACE_ID", &platform.me.id.to_string())
        .env("MOLECULE_WORKSPACE_TOKEN", &platform.me.token);
    Ok(limited.arg("-c").arg(&format!("ulimit -v {kib} && exec \"$0\"")).arg(binary))
}
