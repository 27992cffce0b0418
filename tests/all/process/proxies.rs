//! A proxy sees no request to a platform that is excepted, and so no token.

use anyhow::Result;
use molecule_tests::{process::Program, served::Served};
use serde_json::json;
use tokio::{io::AsyncReadExt, net::TcpListener, task::JoinHandle};

#[tokio::test]
async fn a_proxy_sees_nothing_of_what_is_excepted() -> Result<()> {
    let platform = Served::start().await?;
    let (_, port) = platform.url().rsplit_once(':').unwrap_or_default();
    let (proxy, url) = proxy().await?;
    for (name, value) in [
        ("NO_PROXY", "*".to_owned()),
        ("no_proxy", "*".to_owned()),
        ("NO_PROXY", "127.*".to_owned()),
        ("NO_PROXY", "127.0.0.0/8".to_owned()),
        ("NO_PROXY", format!("acme.example, 127.0.0.1:{port}")),
    ] {
        let launch = platform.launch()?.env("HTTP_PROXY", &url).env("ALL_PROXY", &url).env(name, &value);
        let before = platform.latest();
        let mut program = Program::start(&launch)?;

        let peers = program.call("list_peers", json!({})).await?;

        assert!(!peers.failed(), "{name}={value}: {peers:?}");
        for path in ["POST /registry/register", "POST /registry/heartbeat", "GET /workspaces/"] {
            platform.until(path, |platform| platform.count_since(before, path) > 0).await?;
        }
    }
    proxy.abort();
    assert!(proxy.await.is_err(), "the proxy was asked for something");
    Ok(())
}

#[tokio::test]
async fn a_proxy_sees_what_is_not_excepted() -> Result<()> {
    let platform = Served::start().await?;
    let (proxy, url) = proxy().await?;
    let launch = platform.launch()?.env("HTTP_PROXY", &url).env("NO_PROXY", "127.0.0.1:1,10.*,acme.example");
    let mut program = Program::start(&launch)?;

    program.ask_tool("list_peers", json!({})).await?;

    assert!(proxy.await?.contains(&platform.me.token));
    Ok(())
}

/// A proxy that ends with the first thing that it sees.
async fn proxy() -> Result<(JoinHandle<String>, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let task = tokio::spawn(async move {
        let mut seen = vec![0; 16 << 10];
        if let Ok((mut stream, _)) = listener.accept().await {
            let length = stream.read(&mut seen).await.unwrap_or_default();
            seen.truncate(length);
        }
        String::from_utf8_lossy(&seen).into_owned()
    });
    Ok((task, url))
}
