//! The clients, their connections, and when they are given up.

use std::{sync::Arc, time::Duration};

use reqwest::{Certificate, Client, redirect};
use tokio::{sync::Mutex, task};
use url::Url;

use super::trouble::causes;
use crate::{
    account::Account,
    names::names,
    network::{Network, Proxy, Trust},
    sys::boot::Asleep,
};

/// More than this for a connection means that there is none to be had.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Below the idle limits of the proxies and load balancers a platform sits behind.
const IDLE_FOR: Duration = Duration::from_secs(15);
/// Calls in a row need one connection; this many calls at once keep theirs.
const IDLE_CONNECTIONS: usize = 8;
/// The same for a process that acts for many workspaces.
const IDLE_CONNECTIONS_OF_MANY: usize = 32;
/// Whatever sits between here and the platform has forgotten a connection by then.
const SLEPT_TOO_LONG: Duration = Duration::from_secs(90);

/// Connections to the platform. The trust store is read when they are first needed.
pub(super) struct Pool {
    over_tls: bool,
    network: Network,
    idle: usize,
    asleep: Box<dyn Fn() -> Duration + Send + Sync>,
    open: Mutex<Option<Open>>,
}

struct Open {
    client: Client,
    /// How long the machine had slept when the connections were last used.
    slept: Duration,
}

/// The pools of a process: accounts whose platforms are reached in the same way share one.
pub(crate) struct Pools {
    by_way: Vec<(bool, Network, Arc<Pool>)>,
    idle: usize,
}

impl Pools {
    /// Pools that so many accounts use.
    pub(crate) fn for_accounts(count: usize) -> Self {
        Self { by_way: Vec::new(), idle: count.clamp(IDLE_CONNECTIONS, IDLE_CONNECTIONS_OF_MANY) }
    }

    /// The pool for `account`.
    pub(super) fn of(&mut self, account: &Account) -> Arc<Pool> {
        let over_tls = is_over_tls(&account.platform, &account.network);
        let known =
            self.by_way.iter().find(|(tls, network, _)| (*tls, network) == (over_tls, &account.network));
        if let Some((_, _, pool)) = known {
            return Arc::clone(pool);
        }
        let pool = Pool { idle: self.idle, ..Pool::new(&account.platform, account.network.clone()) };
        let pool = Arc::new(pool);
        self.by_way.push((over_tls, account.network.clone(), Arc::clone(&pool)));
        pool
    }
}

fn is_over_tls(base: &Url, network: &Network) -> bool {
    base.scheme() == "https" || network.proxy.as_ref().is_some_and(Proxy::is_over_tls)
}

impl Pool {
    fn new(base: &Url, network: Network) -> Self {
        let asleep = Asleep::begin();
        Self::beside(base, network, move || asleep.so_far())
    }

    /// `asleep` says how long the machine has slept so far.
    pub(super) fn beside(
        base: &Url,
        network: Network,
        asleep: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self {
            over_tls: is_over_tls(base, &network),
            network,
            idle: IDLE_CONNECTIONS,
            asleep: Box::new(asleep),
            open: Mutex::new(None),
        }
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
        let (over_tls, idle, network) = (self.over_tls, self.idle, self.network.clone());
        let build = task::spawn_blocking(move || build(over_tls, idle, &network));
        let client = build.await.map_err(|cause| cause.to_string())??;
        *open = Some(Open { client: client.clone(), slept });
        Ok(client)
    }
}

fn build(over_tls: bool, idle: usize, network: &Network) -> Result<Client, String> {
    // Whoever was first has installed one; any is good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(super::USER_AGENT)
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Who looks for what is wrong shows the certificate.
        .tls_info(over_tls)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(idle)
        // The library knows fewer forms of exceptions than operators write.
        .no_proxy();
    if let Some(proxy) = &network.proxy {
        let way = reqwest::Proxy::all(proxy.reveal().clone());
        builder =
            builder.proxy(way.map_err(|_| format!("{} names no proxy that can be used", proxy.setting()))?);
    }
    // A machine that speaks plain http needs no trust store, and may have none.
    let trusted = if over_tls { certificates(&network.trust)? } else { Some(Vec::new()) };
    if let Some(trusted) = trusted {
        builder = builder.tls_certs_only(trusted);
    }
    builder.build().map_err(|cause| no_trust(&causes(&cause)))
}

/// Whom to trust; nothing if the library finds that out.
fn certificates(trust: &Trust) -> Result<Option<Vec<Certificate>>, String> {
    let Some(found) = trust.certificates() else { return Ok(None) };
    if found.is_empty() {
        return Err(no_trust("there are no certificates"));
    }
    let trusted: Result<Vec<_>, _> = found.iter().map(|one| Certificate::from_der(one)).collect();
    trusted.map(Some).map_err(|cause| no_trust(&causes(&cause)))
}

fn no_trust(why: &str) -> String {
    let file = names().certificates;
    format!(
        "nobody is trusted, so no secure connection can be made ({why}): name a file of certificates in {file}"
    )
}
