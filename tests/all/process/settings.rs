//! What becomes of every kind of setting, as the process shows it. The numbers are those of the list of bad inputs.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result};
use molecule_tests::{
    launch::Launch,
    process::{DEADLINE, Program},
    served::Served,
};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    time,
};

/// Stands where a secret could be.
const CANARY: &str = "canary-c0ffee";

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_its_reason() -> Result<()> {
    let huge = "t".repeat(64 << 10);
    // As many as one variable of the environment can hold.
    let many: Vec<_> = (0..2_500).map(|place| format!(r#"{{"id":"w{place}","token":"{CANARY}"}}"#)).collect();
    let many = format!("[{}]", many.join(","));
    let twice = format!(r#"[{{"id":"w","token":"{CANARY}"}},{{"id":"w","token":"{CANARY}"}}]"#);
    let incomplete = format!(r#"[{{"id":"w","token":"{CANARY}"}},{{"id":"v"}}]"#);
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("E1", "WORKSPACE_ID", "", &["Currently missing: WORKSPACE_ID\n"]),
        ("E1", "WORKSPACE_ID", " \t ", &["Currently missing: WORKSPACE_ID\n"]),
        ("E3", "WORKSPACE_ID", "a/b", &["WORKSPACE_ID"]),
        ("E3", "WORKSPACE_ID", "..", &["WORKSPACE_ID"]),
        ("E3", "WORKSPACE_ID", "%2f", &["WORKSPACE_ID"]),
        ("E3", "WORKSPACE_ID", "a?b", &["WORKSPACE_ID"]),
        ("E3", "WORKSPACE_ID", "a#b", &["WORKSPACE_ID"]),
        ("E4", "WORKSPACE_ID", "a\nb", &["WORKSPACE_ID"]),
        ("E5", "PLATFORM_URL", "", &["Currently missing: PLATFORM_URL\n"]),
        ("E5", "PLATFORM_URL", "not a url", &["PLATFORM_URL"]),
        ("E6", "PLATFORM_URL", "https://u:canary-c0ffee@h.example", &["PLATFORM_URL", "password"]),
        ("E7", "PLATFORM_URL", "https://h.example?x=canary-c0ffee", &["PLATFORM_URL", "query"]),
        ("E7", "PLATFORM_URL", "https://h.example#canary-c0ffee", &["PLATFORM_URL", "fragment"]),
        ("E8", "PLATFORM_URL", "ftp://h.example", &["PLATFORM_URL", "https://"]),
        ("E8", "PLATFORM_URL", "file:///etc/passwd", &["PLATFORM_URL", "https://"]),
        ("E8", "PLATFORM_URL", "javascript:alert(1)", &["PLATFORM_URL", "https://"]),
        ("E10", "PLATFORM_URL", "http://h.example.com", &["PLATFORM_URL", "MOLECULE_ALLOW_HTTP"]),
        ("E12", "PLATFORM_URL", "http://[fe80::1%25eth0]:8080", &["PLATFORM_URL", "zone"]),
        ("E13", "PLATFORM_URL", "http://127.0.0.1:0", &["PLATFORM_URL", "port 0"]),
        ("E13", "PLATFORM_URL", "http://127.0.0.1:99999", &["PLATFORM_URL", "port"]),
        ("E14", "MOLECULE_WORKSPACE_TOKEN", "canary-c0ffee x", &["internal whitespace"]),
        ("E14", "MOLECULE_WORKSPACE_TOKEN", "canary-c0ffee\nx", &["internal whitespace"]),
        ("E15", "MOLECULE_WORKSPACE_TOKEN", &huge, &["MOLECULE_WORKSPACE_TOKEN"]),
        ("E16", "MOLECULE_WORKSPACE_TOKEN", "canary-c0ffee-ü", &["MOLECULE_WORKSPACE_TOKEN"]),
        ("E18", "MOLECULE_WORKSPACES", "{canary-c0ffee", &["MOLECULE_WORKSPACES", "JSON"]),
        ("E18", "MOLECULE_WORKSPACES", "{}", &["MOLECULE_WORKSPACES", "non-empty JSON array"]),
        ("E18", "MOLECULE_WORKSPACES", "[]", &["MOLECULE_WORKSPACES", "non-empty JSON array"]),
        ("E18", "MOLECULE_WORKSPACES", &twice, &["[1]", "duplicate workspace id"]),
        ("E18", "MOLECULE_WORKSPACES", &incomplete, &["[1]", "missing 'id' or 'token'"]),
        ("E18", "MOLECULE_WORKSPACES", &many, &["MOLECULE_WORKSPACES"]),
    ];
    for (number, name, value, words) in cases {
        let mut program = Program::start(&good()?.env(name, value))?;

        let status = program.exit().await?;

        let said = program.stderr();
        assert_eq!(status.code(), Some(2), "{number} {name}={value:.80}: {said}");
        for word in *words {
            assert!(said.contains(word), "{number} {name}={value:.80}: {word} in {said}");
        }
        assert!(!said.contains("canary"), "{number} {name}: {said}");
        assert_eq!(program.launch().left_behind()?, Vec::<String>::new(), "{number}");
    }
    Ok(())
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() -> Result<()> {
    let launch = good()?.env("WORKSPACE_ID", "a/b").env("PLATFORM_URL", "ftp://h.example");
    let mut program = Program::start(&launch.without("MOLECULE_WORKSPACE_TOKEN"))?;

    program.exit().await?;

    for name in ["WORKSPACE_ID", "PLATFORM_URL", "MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)"] {
        assert!(program.stderr().contains(name), "{name} in {}", program.stderr());
    }
    Ok(())
}

#[tokio::test]
async fn what_can_be_used_is_used() -> Result<()> {
    for (number, name, value) in [
        ("E2", "WORKSPACE_ID", "abc"),
        ("E2", "WORKSPACE_ID", "A-Z_0-9"),
        ("E10", "PLATFORM_URL", "http://platform:8080"),
        ("E11", "PLATFORM_URL", "https://m\u{fc}nchen.example"),
        ("E12", "PLATFORM_URL", "http://[::1]:9"),
        ("E20", "RUST_LOG", "trace"),
    ] {
        let mut program = Program::start(&good()?.env(name, value))?;

        program.initialize().await?;
        program.end_input();

        assert_eq!(program.exit().await?.code(), Some(0), "{number} {name}={value}");
    }
    Ok(())
}

#[tokio::test]
async fn e9_slashes_spaces_and_upper_case_are_cleaned_everywhere() -> Result<()> {
    let platform = Served::start().await?;
    let me = platform.me.id.to_string();
    let launch = platform
        .launch()?
        .env("PLATFORM_URL", &format!("  {}/// ", platform.url()))
        .env("WORKSPACE_ID", &format!(" {}\n", me.to_uppercase()))
        .env("MOLECULE_WORKSPACE_TOKEN", &format!("\t{} ", platform.me.token));
    let mut program = Program::start(&launch)?;

    let peers = program.call("list_peers", json!({})).await?;

    assert!(!peers.failed(), "{peers:?}");
    platform.hears("POST /registry/heartbeat").await?;
    platform.hears(&format!("GET /workspaces/{me}/activity")).await?;
    platform.with(|platform| {
        for entry in platform.requests(0) {
            let status = entry.status.unwrap_or_default();
            assert!(status < 300, "{status} for {} {}", entry.request.method, entry.request.path);
        }
    });
    Ok(())
}

#[tokio::test]
async fn e9_a_prefix_of_the_path_is_kept() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/api/v1/", listener.local_addr()?);
    let mut program = Program::start(&quiet(good()?).env("PLATFORM_URL", &url))?;
    program.ask_tool("list_peers", json!({})).await?;

    let head = head_of_first_request(&listener).await?;

    let id = "00000000-0000-4000-8000-000000000000";
    assert_eq!(head.first().map(String::as_str), Some(&*format!("GET /api/v1/registry/{id}/peers HTTP/1.1")));
    let origin = format!("origin: http://{}", listener.local_addr()?);
    assert!(head.contains(&origin), "{origin} in {head:?}");
    Ok(())
}

#[tokio::test]
async fn e17_the_token_of_the_environment_wins_over_the_file() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    launch.write_config(".auth_token", CANARY)?;
    let mut program = Program::start(&launch)?;

    assert!(!program.call("list_peers", json!({})).await?.failed());

    platform.hears("POST /registry/heartbeat").await?;
    platform.hears(&format!("GET /workspaces/{}/activity", platform.me.id)).await?;
    let bearer = format!("Bearer {}", platform.me.token);
    platform.with(|platform| {
        for entry in platform.requests(0) {
            assert_eq!(entry.request.headers.get("Authorization"), Some(bearer.as_str()));
        }
    });
    let warnings = program.stderr().lines().filter(|line| line.contains(".auth_token")).count();
    assert_eq!(warnings, 1, "{}", program.stderr());
    assert!(!program.stderr().contains(CANARY));
    Ok(())
}

#[tokio::test]
async fn e19_a_missing_directory_is_made_for_its_owner_alone() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let deep = launch.home().join("a/b");
    let mut program = Program::start(&launch.env("CONFIGS_DIR", &deep.to_string_lossy()))?;
    program.call("list_peers", json!({})).await?;

    platform.until("the secret", |_| deep.join(".platform_inbound_secret").is_file()).await?;

    assert_eq!(fs::metadata(&deep)?.permissions().mode() & 0o777, 0o700);
    Ok(())
}

#[tokio::test]
async fn e19_a_directory_that_cannot_be_made_costs_only_the_memory() -> Result<()> {
    let platform = Served::start().await?;
    // Not even root can make a directory there.
    let mut program = Program::start(&platform.launch()?.env("CONFIGS_DIR", "/proc/configs"))?;

    assert!(!program.call("list_peers", json!({})).await?.failed());

    program.complains("/proc/configs").await
}

#[tokio::test]
async fn e19_a_file_in_place_of_the_directory_is_refused() -> Result<()> {
    let launch = good()?;
    let file = launch.home().join("file");
    fs::write(&file, "")?;
    let mut program = Program::start(&launch.env("CONFIGS_DIR", &file.to_string_lossy()))?;

    assert_eq!(program.exit().await?.code(), Some(2));
    assert!(program.stderr().contains("CONFIGS_DIR"), "{}", program.stderr());
    Ok(())
}

#[tokio::test]
async fn e19_a_relative_directory_is_below_the_working_directory() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?.env("CONFIGS_DIR", "state");
    let mut program = Program::start(&launch)?;
    program.call("list_peers", json!({})).await?;

    let secret = launch.home().join("state/.platform_inbound_secret");
    platform.until("the secret", |_| secret.is_file()).await
}

#[tokio::test]
async fn e20_a_proxy_is_used_unless_the_host_is_excepted() -> Result<()> {
    let proxy = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", proxy.local_addr()?);
    let launch = quiet(good()?).env("HTTP_PROXY", &url).env("PLATFORM_URL", "http://platform.test");
    let mut program = Program::start(&launch)?;
    program.ask_tool("list_peers", json!({})).await?;
    let head = head_of_first_request(&proxy).await?;
    assert!(head.iter().any(|line| line.starts_with("GET http://platform.test/registry/")), "{head:?}");

    let platform = Served::start().await?;
    let launch = quiet(platform.launch()?).env("HTTP_PROXY", &url).env("NO_PROXY", "127.0.0.1");
    let peers = Program::start(&launch)?.call("list_peers", json!({})).await?;
    assert!(!peers.failed(), "{peers:?}");
    Ok(())
}

#[tokio::test]
async fn e20_keys_of_connections_are_not_logged() -> Result<()> {
    let platform = Served::start().await?;
    let launch = platform.launch()?;
    let keys = launch.home().join("keys");
    let mut program = Program::start(&launch.env("SSLKEYLOGFILE", &keys.to_string_lossy()))?;

    assert!(!program.call("list_peers", json!({})).await?.failed());

    assert!(!keys.exists());
    Ok(())
}

/// Settings that are enough, with nobody at the address.
fn good() -> Result<Launch> {
    Ok(Launch::new()?
        .env("PLATFORM_URL", "http://127.0.0.1:9")
        .env("WORKSPACE_ID", "00000000-0000-4000-8000-000000000000")
        .env("MOLECULE_WORKSPACE_TOKEN", CANARY))
}

/// Nothing goes out but what tools ask for.
fn quiet(launch: Launch) -> Launch {
    launch.env("MOLECULE_MCP_DISABLE_HEARTBEAT", "1").env("MOLECULE_MCP_DISABLE_INBOX", "1")
}

async fn head_of_first_request(listener: &TcpListener) -> Result<Vec<String>> {
    let reading = async {
        let (connection, _) = listener.accept().await?;
        let mut lines = BufReader::new(connection).lines();
        let mut head = Vec::new();
        while let Some(line) = lines.next_line().await?.filter(|line| !line.is_empty()) {
            head.push(line);
        }
        anyhow::Ok(head)
    };
    time::timeout(DEADLINE, reading).await.context("no request comes")?
}
