//! The one client, its connections, and when they are given up.

use std::{env, time::Duration};

use reqwest::{Client, redirect};
use tokio::{sync::Mutex, task};
use url::Url;

use crate::ports::clock::Asleep;

/// More than this for a connection means that there is none to be had.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Below the idle limits of the proxies and load balancers a platform sits behind.
const IDLE_FOR: Duration = Duration::from_secs(15);
/// Calls in a row need one connection; this many calls at once keep theirs.
const IDLE_CONNECTIONS: usize = 8;
/// Whatever sits between here and the platform has forgotten a connection by then.
const SLEPT_TOO_LONG: Duration = Duration::from_secs(90);

/// Connections to the platform. The trust store is read when they are first needed.
pub(super) struct Pool {
    over_tls: bool,
    asleep: Box<dyn Fn() -> Duration + Send + Sync>,
    open: Mutex<Option<Open>>,
}

struct Open {
    client: Client,
    /// How long the machine had slept when the connections were last used.
    slept: Duration,
}

impl Pool {
    pub(super) fn new(base: &Url) -> Self {
        let asleep = Asleep::begin();
        Self::beside(base, move || asleep.so_far())
    }

    /// `asleep` says how long the machine has slept so far.
    pub(super) fn beside(base: &Url, asleep: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let over_tls = base.scheme() == "https";
        Self { over_tls, asleep: Box::new(asleep), open: Mutex::new(None) }
    }

    /// The client, with fresh connections after a sleep that was too long for the old ones.
    ///
    /// # Errors
    /// When there is no trust store.
    pub(super) async fn client(&self) -> Result<Client, String> {
        let slept = (self.asleep)();
        let mut open = self.open.lock().await;
        if let Some(open) = open.as_mut().filter(|open| slept.saturating_sub(open.slept) < SLEPT_TOO_LONG) {
            open.slept = slept;
            return Ok(open.client.clone());
        }
        let over_tls = self.over_tls;
        let client =
            task::spawn_blocking(move || build(over_tls)).await.map_err(|cause| cause.to_string())??;
        *open = Some(Open { client: client.clone(), slept });
        Ok(client)
    }
}

fn build(over_tls: bool) -> Result<Client, String> {
    // Whoever was first has installed one; any is good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(super::USER_AGENT)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(IDLE_CONNECTIONS);
    // A machine that speaks plain http needs no trust store, and may have none.
    let builder = if over_tls || proxied_over_tls() { builder } else { builder.tls_certs_only([]) };
    builder.build().map_err(|cause| {
        format!(
            "no secure connection can be made: {}; SSL_CERT_FILE names another trust store",
            super::causes(&cause)
        )
    })
}

fn proxied_over_tls() -> bool {
    ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .filter_map(|name| env::var(name).ok())
        .any(|proxy| proxy.trim_start().to_ascii_lowercase().starts_with("https:"))
}
