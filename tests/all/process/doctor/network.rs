//! The way to the platform, and what can be in between.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use molecule_tests::served::Served;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustix::{
    net::{AddressFamily, SocketType},
    process::geteuid,
};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::{process::Command, time::timeout};

use super::{
    CANARY, Diagnosis, Server, answer, certificate, finds, json_answer, tls, tls_of_file, to, trusting,
    unused,
};

/// What is promised, and some slack for a machine that is busy.
const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_name_without_an_address() -> Result<()> {
    let launch = to("https://acme.invalid")?;

    finds(&trusting(launch), "name-not-found", &["acme.invalid", "PLATFORM_URL"]).await
}

#[tokio::test]
async fn nobody_who_listens() -> Result<()> {
    let nobody = unused().await?;

    finds(&to(&format!("http://{nobody}"))?, "nobody-listens", &[&nobody]).await
}

#[tokio::test]
async fn a_network_that_is_dead_holds_the_doctor_up_for_ten_seconds_at_most() -> Result<()> {
    let dead = Dead::start()?;
    let begun = Instant::now();

    let found = Diagnosis::of(&to(&format!("http://{}", dead.authority))?).await?;

    ensure!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    found.has("platform-unreachable", &[&dead.authority, "within 5 s"])?;
    found.lacks("beat-accepted")?.has("setting-from", &["PLATFORM_URL"])?;
    Ok(())
}

#[tokio::test]
async fn a_platform_elsewhere_without_tls() -> Result<()> {
    finds(&to("http://platform.invalid")?.env("MOLECULE_ALLOW_HTTP", "1"), "http-plain", &["without TLS"])
        .await
}

/// An address to which no packet is answered any more: its queue of connections is full.
struct Dead {
    authority: String,
    _queue: Vec<OwnedFd>,
}

impl Dead {
    fn start() -> Result<Self> {
        let socket = || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
        let listener = socket()?;
        rustix::net::bind(&listener, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        rustix::net::listen(&listener, 0)?;
        let address = SocketAddr::try_from(rustix::net::getsockname(&listener)?)?;
        let mut queue = vec![listener];
        // One is taken although it waits, and the next one is not.
        for _ in 0..4 {
            let client = socket()?;
            rustix::io::ioctl_fionbio(&client, true)?;
            let _ = rustix::net::connect(&client, &address);
            queue.push(client);
        }
        Ok(Self { authority: address.to_string(), _queue: queue })
    }
}

#[tokio::test]
async fn a_platform_that_takes_connections_and_says_nothing() -> Result<()> {
    let silent = Server::start(None, &[]).await?;
    let begun = Instant::now();

    finds(&to(&silent.url())?, "platform-silent", &[&silent.authority]).await?;

    ensure!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks() -> Result<()> {
    let broken = Server::start(None, &[("/", "no answer of HTTP\r\n\r\n".to_owned())]).await?;

    finds(&to(&broken.url())?, "connection-failed", &[&broken.authority]).await
}

#[tokio::test]
async fn proxies_that_are_dead_locked_or_closed() -> Result<()> {
    let nobody = unused().await?;
    let locked = answer("407 Proxy Authentication Required", "", "text/plain", "");
    let closed = answer("403 Forbidden", "", "text/plain", "");
    let locked = Server::start(None, &[("", locked)]).await?;
    let closed = Server::start(None, &[("", closed)]).await?;
    for (proxy, id) in [
        (&nobody, "proxy-unreachable"),
        (&locked.authority, "proxy-password"),
        (&closed.authority, "proxy-closed"),
    ] {
        let proxy_url = format!("http://me:{CANARY}@{proxy}");
        let launch = trusting(to("https://acme.example")?).env("HTTPS_PROXY", &proxy_url);
        let found = Diagnosis::of(&launch).await?;
        found.has(id, &["HTTPS_PROXY"])?.has("proxy-used", &[proxy, "HTTPS_PROXY"])?;
        ensure!(!found.report.to_string().contains("canary"), "{:#}", found.report);
    }
    Ok(())
}

#[tokio::test]
async fn a_platform_that_is_excepted_from_the_proxy() -> Result<()> {
    let platform = Served::start().await?;
    let nobody = unused().await?;
    let launch =
        platform.launch()?.env("HTTP_PROXY", &format!("http://{nobody}")).env("NO_PROXY", "127.0.0.1");

    let found = Diagnosis::of(&launch).await?;

    found.has("proxy-excepted", &["HTTP_PROXY"])?.has("network-reached", &[platform.url()])?;
    Ok(())
}

#[tokio::test]
async fn certificates_that_are_refused() -> Result<()> {
    for (name, id, words) in [
        ("expired.pem", "tls-expired", "Fri, 01 Jan 2021"),
        ("future.pem", "tls-not-yet-valid", "clock"),
        ("other-name.pem", "tls-other-name", "other.example"),
        ("unknown-authority.pem", "tls-untrusted", "SSL_CERT_FILE"),
    ] {
        let server = Server::start(Some(tls_of_file(name)?), &[]).await?;
        let url = format!("https://{}", server.authority.replace("127.0.0.1", "localhost"));

        finds(&trusting(to(&url)?), id, &["localhost", words]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_is_valid_names_its_authority() -> Result<()> {
    let health = json_answer("200 OK", &json!({"status": "ok"}));
    let server = Server::start(Some(tls_of_file("good.pem")?), &[("/health", health)]).await?;
    let url = format!("https://{}", server.authority.replace("127.0.0.1", "localhost"));

    let found = Diagnosis::of(&trusting(to(&url)?)).await?;

    found.has("tls-valid", &["from ", "valid for "])?.lacks("http-plain")?;
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_expires_soon() -> Result<()> {
    let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "Authority of the doctor's tests");
    let authority = CertifiedIssuer::self_signed(authority, authority_key)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
    let now = std::time::SystemTime::now();
    leaf.not_after = (now + Duration::from_secs(5 * 86_400)).into();
    let leaf = leaf.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::try_from(key.serialize_der()).ok().context("a key")?;
    let health = json_answer("200 OK", &json!({"status": "ok"}));
    let server = Server::start(Some(tls(vec![leaf.der().clone()], key)?), &[("/health", health)]).await?;
    let url = format!("https://{}", server.authority.replace("127.0.0.1", "localhost"));
    let launch = to(&url)?;
    let file = launch.write_config("authority.pem", &authority.pem())?;

    let found = Diagnosis::of(&launch.env("SSL_CERT_FILE", &file.to_string_lossy())).await?;

    found.has("tls-expires", &["Authority of the doctor's tests", "4 d 23 h"])?;
    Ok(())
}

#[tokio::test]
async fn https_where_only_http_is_spoken() -> Result<()> {
    let plain = Server::start(None, &[("", answer("200 OK", "", "text/plain", "x"))]).await?;

    finds(&trusting(to(&format!("https://{}", plain.authority))?), "tls-not-spoken", &["http://"]).await
}

/// As in a container without certificates: what the system has is hidden by empty directories.
#[tokio::test]
async fn a_system_that_trusts_nobody() -> Result<()> {
    if !geteuid().is_root() || !can_mount().await {
        return Ok(());
    }
    let hidden = "for at in /etc/ssl /etc/pki /usr/share/ca-certificates /usr/local/share/ca-certificates; do \
                  [ -d $at ] && mount -t tmpfs none $at; done; exec \"$@\"";
    let launch = to("https://localhost:9")?;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", hidden, "sh"]).arg(launch.binary()).args(["doctor", "--json"]);
    command.env_clear().envs(launch.command().get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");

    let output = timeout(WITHIN * 2, command.output()).await??;

    let said = String::from_utf8(output.stdout)?;
    let id = "tls-nobody-trusted";
    ensure!(said.contains(&format!("\"{id}\"")), "{said} {}", String::from_utf8_lossy(&output.stderr));
    ensure!(certificate("good.pem").exists(), "the tests see it all the same");
    Ok(())
}

/// Whether this system lets the tests mount a file system for themselves.
pub(super) async fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output().await;
    tried.is_ok_and(|output| output.status.success())
}
