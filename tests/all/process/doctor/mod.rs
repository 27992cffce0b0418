//! `molecule-mcp doctor`: every finding, brought about with real parts.

mod answers;
mod machine;
mod network;
mod processes;
mod starts;
mod state;

use std::{collections::BTreeSet, fs, path::PathBuf, process::Output, sync::Arc};

use anyhow::{Context, Result, ensure};
use molecule_tests::launch::Launch;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::{self, JoinHandle},
};
use tokio_rustls::TlsAcceptor;

/// A token that no output may show.
const CANARY: &str = "canary-doctor-c0ffee";

/// What the doctor has found.
pub(super) struct Diagnosis {
    code: Option<i32>,
    report: Value,
}

impl Diagnosis {
    /// Has the doctor look at what a client of `launch` would start.
    pub(super) async fn of(launch: &Launch) -> Result<Self> {
        let output = run(launch, &["--json"]).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let report =
            serde_json::from_slice(&output.stdout).with_context(|| format!("{}: {said}", output.status))?;
        Ok(Self { code: output.status.code(), report })
    }

    /// What was seen of this kind.
    fn seen(&self, id: &str) -> Vec<&Value> {
        let findings = self.report["findings"].as_array();
        findings.into_iter().flatten().filter(|finding| finding["id"] == id).collect()
    }

    /// That this was found, with these words in what was seen.
    pub(super) fn has(&self, id: &str, words: &[&str]) -> Result<&Self> {
        let seen = self.seen(id);
        ensure!(!seen.is_empty(), "no {id} in {:#}", self.report);
        for word in words {
            let is_said = seen.iter().any(|finding| finding["seen"].to_string().contains(word));
            ensure!(is_said, "{id}: {word} in {seen:?}");
        }
        let verdicts = ["wrong", "doubtful"];
        for finding in
            seen.iter().filter(|finding| verdicts.iter().any(|verdict| finding["verdict"] == *verdict))
        {
            ensure!(finding["advice"].is_string(), "{finding}");
        }
        ensure!(self.code == Some(i32::from(self.report["wrong"] != json!(0))), "{:?}", self.code);
        Ok(self)
    }

    /// That nothing of this kind was found.
    pub(super) fn lacks(&self, id: &str) -> Result<&Self> {
        ensure!(self.seen(id).is_empty(), "{id} in {:#}", self.report);
        Ok(self)
    }

    /// That nothing is wrong or doubtful but these.
    pub(super) fn has_nothing_but(&self, expected: &[&str]) -> Result<&Self> {
        let findings = self.report["findings"].as_array().context("no list")?;
        let bad = findings
            .iter()
            .filter(|finding| finding["verdict"] == "wrong" || finding["verdict"] == "doubtful");
        let bad: BTreeSet<_> = bad.filter_map(|finding| finding["id"].as_str()).collect();
        ensure!(bad == expected.iter().copied().collect(), "{bad:?} in {:#}", self.report);
        Ok(self)
    }
}

/// That the doctor finds this, with these words.
pub(super) async fn finds(launch: &Launch, id: &str, words: &[&str]) -> Result<()> {
    Diagnosis::of(launch).await?.has(id, words)?;
    Ok(())
}

/// Runs the doctor to its end.
pub(super) async fn run(launch: &Launch, options: &[&str]) -> Result<Output> {
    let launch = options.iter().fold(launch.clone().arg("doctor"), |launch, option| launch.arg(option));
    let mut command = launch.command();
    Ok(task::spawn_blocking(move || command.output()).await??)
}

/// A program for a platform at `url`, which starts no other.
pub(super) fn to(url: &str) -> Result<Launch> {
    Ok(Launch::new()?
        .env("PLATFORM_URL", url)
        .env("WORKSPACE_ID", "00000000-0000-4000-8000-000000000000")
        .env("MOLECULE_WORKSPACE_TOKEN", CANARY))
}

/// The same, trusting the authority of the tests and no other.
pub(super) fn trusting(launch: Launch) -> Launch {
    launch.env("SSL_CERT_FILE", &certificate("authority.pem").to_string_lossy())
}

pub(super) fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("all/process/certificates").join(name)
}

/// Answers requests by their paths, over TLS if it has a certificate. It ends when dropped.
pub(super) struct Server {
    pub(super) authority: String,
    task: JoinHandle<()>,
}

impl Server {
    /// The answer is that of the first path that the request's begins with; without one there is none.
    pub(super) async fn start(tls: Option<TlsAcceptor>, answers: &[(&str, String)]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        let answers: Arc<Vec<_>> =
            Arc::new(answers.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answers) = (tls.clone(), Arc::clone(&answers));
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &answers).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &answers).await;
                            }
                        }
                    }
                });
            }
        });
        Ok(Self { authority, task })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.authority)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &[(String, String)]) {
    let mut seen = vec![0; 16 << 10];
    let length = stream.read(&mut seen).await.unwrap_or_default();
    let head = String::from_utf8_lossy(&seen[..length]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let path = path.strip_prefix("http://").and_then(|rest| Some(&rest[rest.find('/')?..])).unwrap_or(path);
    match answers.iter().find(|(beginning, _)| path.starts_with(beginning.as_str())) {
        // It is held open without a word.
        None => std::future::pending().await,
        Some((_, answer)) => {
            let _ = stream.write_all(answer.as_bytes()).await;
            if answer.contains("text/event-stream") {
                std::future::pending::<()>().await;
            }
            let _ = stream.shutdown().await;
        }
    }
}

/// An answer with a body, after which the connection closes.
pub(super) fn answer(status: &str, headers: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

pub(super) fn json_answer(status: &str, body: &Value) -> String {
    answer(status, "", "application/json", &body.to_string())
}

/// TLS with a certificate of the tests.
pub(super) fn tls_of_file(name: &str) -> Result<TlsAcceptor> {
    let chain = vec![CertificateDer::from_pem_file(certificate(name))?];
    tls(chain, PrivateKeyDer::from_pem_file(certificate("server.key"))?)
}

pub(super) fn tls(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<TlsAcceptor> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// An address where nobody listens.
pub(super) async fn unused() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}

/// Each finding that is no "ok" and no "note" has to be brought about by a test beside this file.
#[test]
fn every_finding_has_a_test() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("all/process/doctor");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let tests = files.filter(|path| path.file_name().is_some_and(|name| name != "mod.rs"));
    let tests: String = tests.map(|path| fs::read_to_string(path).unwrap()).collect();
    let ids = molecule_mcp::doctor::catalog::ALL.iter().map(|finding| finding.id);

    let untested: Vec<_> = ids.filter(|id| !tests.contains(&format!("\"{id}\""))).collect();

    assert_eq!(untested, WITHOUT_A_TEST);
}

/// What no test can bring about on every machine.
const WITHOUT_A_TEST: &[&str] = &["disk-remote"];
