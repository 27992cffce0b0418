//! What the program says when it cannot reach the platform; `docs/errors.md` is written from it.
//!
//! `INSTA_UPDATE=always cargo test -p molecule-tests --test process errors` writes the page.

use std::{env, fmt::Write as _, fs, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, ensure};
use molecule_tests::{launch::Launch, process::Program};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Stands where a secret could be, and nowhere in what is said.
const CANARY: &str = "canary-c0ffee";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
const INTRODUCTION: &str = "\
# When the platform cannot be reached

What the program says, case by case: to the agent in the answer of a tool, here `list_peers`, and to the operator on stderr.
This page is written by `tests/all/process/errors.rs`, which makes each of these things happen; a test fails when it is out of
date.
";

/// What goes wrong, and how the program is told of it.
struct Case {
    title: &'static str,
    launch: Launch,
    /// What is replaced on the page, because it differs each time.
    here: Vec<(String, &'static str)>,
    /// What has to be in the text.
    words: Vec<&'static str>,
    /// Answers for as long as the case lasts.
    _server: Option<Server>,
}

/// Ends when dropped.
struct Server {
    authority: String,
    task: JoinHandle<()>,
}

#[tokio::test]
async fn each_way_to_fail_names_what_failed_and_the_next_step() -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    for case in cases().await? {
        let shown = run(&case).await.with_context(|| case.title)?;
        for word in &case.words {
            ensure!(shown.contains(word), "{}: {word} in {shown}", case.title);
        }
        ensure!(!shown.contains("canary"), "{}: {shown}", case.title);
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## {}\n\n{shown}", case.title);
    }
    if env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(PAGE, &page)?;
    }
    let written = fs::read_to_string(PAGE).unwrap_or_default();
    ensure!(written == page, "docs/errors.md is out of date; it should be:\n{page}");
    Ok(())
}

async fn cases() -> Result<Vec<Case>> {
    let mut cases = starts()?;
    cases.extend(connections().await?);
    cases.extend(proxies().await?);
    cases.extend(certificates().await?);
    cases.extend(answers().await?);
    Ok(cases)
}

/// Settings with which it does not even start.
fn starts() -> Result<Vec<Case>> {
    Ok(vec![
        case("A proxy of a kind that is not supported", to("https://acme.example")?)
            .env("ALL_PROXY", "socks5://me:canary-c0ffee@proxy.example:1080")
            .says(&["ALL_PROXY names a SOCKS proxy", "NO_PROXY=acme.example"]),
        case("A file of certificates that is not there", to("https://acme.example")?)
            .env("SSL_CERT_FILE", "/etc/acme/ca.pem")
            .says(&["SSL_CERT_FILE: /etc/acme/ca.pem does not exist"]),
        case("A value that nothing has replaced", to("https://acme.example")?)
            .env("CONFIGS_DIR", "$HOME/molecule")
            .says(&["CONFIGS_DIR still holds $HOME"]),
        case("A token that nothing has replaced", to("https://acme.example")?)
            .env("MOLECULE_WORKSPACE_TOKEN", "${MOLECULE_TOKEN}")
            .says(&["MOLECULE_WORKSPACE_TOKEN still holds ${NAME}"]),
    ])
}

async fn connections() -> Result<Vec<Case>> {
    let nobody = unused().await?;
    let plain = Server::start(None, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").await?;
    let authority = plain.authority.clone();
    Ok(vec![
        case("A platform that does not run", to(&format!("http://{nobody}"))?)
            .here(&nobody, "127.0.0.1:8080")
            .says(&["nobody listens at 127.0.0.1:8080", "check PLATFORM_URL"]),
        case("A name that is misspelt", to("https://acme.invalid")?)
            .says(&["the name acme.invalid of PLATFORM_URL cannot be found", "check PLATFORM_URL"]),
        case("https where only http is spoken", to(&format!("https://{authority}"))?)
            .trusting()?
            .here(&authority, "127.0.0.1:8080")
            .says(&["does not speak TLS", "PLATFORM_URL", "http://"])
            .with(plain),
    ])
}

async fn proxies() -> Result<Vec<Case>> {
    let nobody = unused().await?;
    let locked =
        "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let closed = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (tunnel, plain, strict) = (
        Server::start(None, locked).await?,
        Server::start(None, locked).await?,
        Server::start(None, closed).await?,
    );
    let with_password = |authority: &str| format!("http://me:{CANARY}@{authority}");
    Ok(vec![
        case("A proxy that does not run", to("https://acme.example")?)
            .trusting()?
            .env("HTTPS_PROXY", &with_password(&nobody))
            .here(&nobody, "127.0.0.1:3128")
            .says(&["the proxy 127.0.0.1:3128 of HTTPS_PROXY", "put acme.example into NO_PROXY"]),
        case("A proxy whose name is misspelt", to("https://acme.example")?)
            .trusting()?
            .env("https_proxy", "http://proxy.invalid:3128")
            .says(&["the name proxy.invalid of https_proxy cannot be found"]),
        case("A proxy that wants a password", to("https://acme.example")?)
            .trusting()?
            .env("ALL_PROXY", &with_password(&tunnel.authority))
            .here(&tunnel.authority, "127.0.0.1:3128")
            .says(&["the proxy 127.0.0.1:3128 of ALL_PROXY wants a user and a password"])
            .with(tunnel),
        case("A proxy that wants a password, for plain http", to("http://platform:8080")?)
            .env("HTTP_PROXY", &with_password(&plain.authority))
            .here(&plain.authority, "127.0.0.1:3128")
            .says(&["the proxy 127.0.0.1:3128 of HTTP_PROXY wants a user and a password"])
            .with(plain),
        case("A proxy that lets nothing through", to("https://acme.example")?)
            .trusting()?
            .env("HTTPS_PROXY", &format!("http://{}", strict.authority))
            .here(&strict.authority, "127.0.0.1:3128")
            .says(&["lets nothing through to acme.example:443"])
            .with(strict),
    ])
}

async fn certificates() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (title, certificate, words) in [
        (
            "A certificate that has expired",
            "expired.pem",
            &["has expired (Fri, 01 Jan 2021 00:00:00 GMT)", "renew"][..],
        ),
        ("A certificate that is not valid yet", "future.pem", &["is not valid yet", "clock"]),
        (
            "A certificate for another name",
            "other-name.pem",
            &["is for another name (other.example)", "PLATFORM_URL"],
        ),
        ("A certificate of an authority that nobody trusts", "unknown-authority.pem", &["SSL_CERT_FILE"]),
    ] {
        let server = Server::start(Some(certificate), "").await?;
        let authority = server.authority.replace("127.0.0.1", "localhost");
        cases.push(
            case(title, to(&format!("https://{authority}"))?)
                .trusting()?
                .here(&authority, "localhost:8443")
                .says(words)
                .says(&["the certificate of localhost:8443"])
                .with(server),
        );
    }
    Ok(cases)
}

async fn answers() -> Result<Vec<Case>> {
    let page = "<!doctype html><title>Sign in</title>";
    let html = |status: &str, more: &str| {
        let length = page.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/html\r\n{more}content-length: {length}\r\n\r\n{page}"
        )
    };
    let mut cases = Vec::new();
    for (title, answer, words) in [
        (
            "A platform that has moved",
            html("301 Moved", "location: https://me:canary-c0ffee@www.acme.example/x?canary-c0ffee\r\n"),
            &["redirected to https://www.acme.example/x", "PLATFORM_URL"][..],
        ),
        ("A page in place of the platform", html("200 OK", ""), &["web page", "PLATFORM_URL"]),
        ("A firewall that refuses", html("403 Forbidden", ""), &["HTTP 403", "PLATFORM_URL"]),
        (
            "A login that is asked for",
            html("401 Unauthorized", "www-authenticate: Basic realm=\"acme\"\r\n"),
            &["HTTP 401", "PLATFORM_URL"],
        ),
    ] {
        let server = Server::start(None, &answer).await?;
        let authority = server.authority.clone();
        cases.push(
            case(title, to(&format!("http://{authority}"))?)
                .here(&authority, "127.0.0.1:8080")
                .says(words)
                .with(server),
        );
    }
    Ok(cases)
}

/// What is said: on stderr by a program that does not start, and by one that does to both sides.
async fn run(case: &Case) -> Result<String> {
    let mut program = Program::start(&case.launch)?;
    let said = match program.call("list_peers", json!({})).await {
        Ok(peers) => {
            ensure!(peers.failed(), "it works: {peers:?}");
            program.complains("is not registered").await?;
            let told = program.stderr();
            let line = told.lines().find(|line| line.contains("is not registered")).context("a line")?;
            format!("```text\n{}\n```\n\n```text\n{}\n```\n", peers.text(), line)
        }
        Err(_) => {
            let status = program.exit().await?;
            ensure!(status.code() == Some(2), "{status}");
            let told = program.stderr();
            let lines: Vec<_> = told.lines().filter(|line| line.starts_with("Not usable")).collect();
            format!("It does not start (exit code 2):\n\n```text\n{}\n```\n", lines.join("\n"))
        }
    };
    let mut shown = said;
    for (from, to) in &case.here {
        shown = shown.replace(from, to);
    }
    // What the system calls it differs.
    Ok(replaced_between(&shown, "failed to lookup address information: ", ")", "…"))
}

/// `text` with what stands between `from` and the next `to` replaced.
fn replaced_between(text: &str, from: &str, to: &str, by: &str) -> String {
    let mut pieces = text.split(from);
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.find(to).and_then(|end| piece.get(end..)).unwrap_or_default();
        shown.push_str(by);
        shown.push_str(rest);
    }
    shown
}

/// A program for a platform at `url`.
fn to(url: &str) -> Result<Launch> {
    Ok(Launch::new()?
        .env("PLATFORM_URL", url)
        .env("WORKSPACE_ID", "00000000-0000-4000-8000-000000000000")
        .env("MOLECULE_WORKSPACE_TOKEN", CANARY)
        .env("MOLECULE_MCP_DISABLE_INBOX", "1"))
}

fn case(title: &'static str, launch: Launch) -> Case {
    Case { title, launch, here: Vec::new(), words: Vec::new(), _server: None }
}

impl Case {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.launch = self.launch.env(name, value);
        self
    }

    /// Trusts the authority of the tests, and no other.
    fn trusting(self) -> Result<Self> {
        let authority = certificate("authority.pem");
        Ok(self.env("SSL_CERT_FILE", authority.to_str().context("a path that is no text")?))
    }

    fn here(mut self, from: &str, to: &'static str) -> Self {
        self.here.push((from.to_owned(), to));
        self
    }

    fn says(mut self, words: &[&'static str]) -> Self {
        self.words.extend(words);
        self
    }

    fn with(self, server: Server) -> Self {
        Self { _server: Some(server), ..self }
    }
}

impl Server {
    /// Answers every request with `answer`, over TLS if there is a certificate.
    async fn start(name: Option<&str>, answer: &str) -> Result<Self> {
        let tls = name.map(acceptor).transpose()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let answer = answer.to_owned();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answer) = (tls.clone(), answer.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &answer).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self { authority, task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request whose body comes with its head, and closes.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let mut seen = [0; 16 << 10];
    let _ = stream.read(&mut seen).await;
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn acceptor(name: &str) -> Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_file(certificate(name))?];
    let key = PrivateKeyDer::from_pem_file(certificate("server.key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("all/process/certificates").join(name)
}

/// An address where nobody listens.
async fn unused() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}
