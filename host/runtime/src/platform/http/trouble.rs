//! What keeps a request from its answer, in words that say what to do.
//!
//! ```text
//! here ──► proxy, if there is one ──► platform
//!            │                          │
//!            └── its address           └── its address, certificates
//! ```
//!
//! Each text names the hop that failed, where that is configured, and the next step. None shows a password.

use std::{
    error::Error,
    io::{self, ErrorKind},
    iter,
    time::{Duration, SystemTime},
};

use rustls::CertificateError;
use url::Url;

use crate::{names::names, network::Proxy, text::one_line};

/// Names in a certificate that a person is shown.
const NAMES: usize = 3;
/// Characters of an address that a person is shown.
const ADDRESS_CHARS: usize = 200;

/// What keeps a request from its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The certificate is for another name.
    AnotherName,
    /// The certificate has expired.
    Expired,
    /// The proxy lets nothing through to the platform.
    LetsNothingThrough,
    /// Its name has no address.
    NameNotFound,
    /// It was reached, and does not answer in time.
    NoAnswer,
    /// Nobody listens there.
    NobodyListens,
    /// Nobody is trusted here, so that no certificate can be.
    NobodyTrusted,
    /// The certificate is not valid yet.
    NotYetValid,
    /// Something else.
    Other,
    /// It does not speak TLS.
    PlainText,
    /// Its connection is not there in time, or there is no way to it.
    Unreachable,
    /// The certificate comes from nobody who is trusted.
    Untrusted,
    /// The proxy wants a user and a password.
    WantsPassword,
}

/// An obstacle, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub obstacle: Obstacle,
    /// Whether it is at the proxy, and not at the platform.
    pub at_proxy: bool,
    /// One sentence: what failed, and the next step. No password.
    pub words: String,
}

/// The way to the platform.
pub(super) struct Way {
    over_tls: bool,
    platform: Hop,
    proxy: Option<Hop>,
}

/// One end of a connection.
struct Hop {
    /// As it stands at the beginning of a sentence's subject.
    what: String,
    /// Its name without a port.
    name: String,
    /// Where it is configured.
    variable: String,
    /// What else can be done; may be empty.
    otherwise: String,
}

impl Way {
    /// The way to the platform at `base`.
    pub(super) fn new(base: &Url, proxy: Option<&Proxy>) -> Self {
        let name = base.host_str().unwrap_or_default().to_owned();
        let port = base.port_or_known_default().unwrap_or_default();
        let proxy = proxy.map(|proxy| Hop {
            what: format!("the proxy {proxy} of {}", proxy.setting()),
            name: proxy.reveal().host_str().unwrap_or_default().to_owned(),
            variable: proxy.setting().to_owned(),
            otherwise: format!(", or put {name} into {} if it can be reached without", names().no_proxy),
        });
        let platform = Hop {
            what: format!("{name}:{port}"),
            name,
            variable: names().platform.to_owned(),
            otherwise: String::new(),
        };
        Self { over_tls: base.scheme() == "https", platform, proxy }
    }

    /// Host and port of the platform.
    pub(super) fn platform(&self) -> &str {
        &self.platform.what
    }

    /// Why there is no answer; `patience` is how long a connection may take.
    pub(super) fn explain(&self, error: &reqwest::Error, patience: Duration) -> Trouble {
        if !error.is_connect() {
            let words = format!("{}: {}", self.platform.what, causes(error));
            return Trouble { obstacle: Obstacle::Other, at_proxy: false, words };
        }
        let tunnel = chain(error).map(ToString::to_string).find(|text| text.starts_with("tunnel error"));
        let (at_proxy, (obstacle, words)) = match (&self.proxy, tunnel.as_deref()) {
            (Some(proxy), Some("tunnel error: proxy authorization required")) => {
                (true, (Obstacle::WantsPassword, proxy.wants_a_password()))
            }
            (Some(proxy), Some(text)) if !text.ends_with("failed to create underlying connection") => {
                (true, (Obstacle::LetsNothingThrough, proxy.lets_nothing_through(&self.platform)))
            }
            // A handshake in the tunnel is one with the platform.
            (Some(_), None) if self.over_tls && has_tls(error) => {
                (false, self.platform.explain(error, patience))
            }
            (Some(proxy), _) => (true, proxy.explain(error, patience)),
            (None, _) => (false, self.platform.explain(error, patience)),
        };
        Trouble { obstacle, at_proxy, words }
    }

    /// Why an answer with the status 407 is none of the platform's; nothing where there is no proxy.
    pub(super) fn locked(&self) -> Option<Trouble> {
        let words = self.proxy.as_ref().map(Hop::wants_a_password)?;
        Some(Trouble { obstacle: Obstacle::WantsPassword, at_proxy: true, words })
    }
}

impl Hop {
    fn explain(&self, error: &reqwest::Error, patience: Duration) -> (Obstacle, String) {
        let Self { what, name, variable, otherwise } = self;
        if let Some(cause) = chain(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return self.explain_tls(cause);
        }
        let said = causes(error);
        if error.is_timeout() {
            let secs = patience.as_secs();
            let words = format!(
                "no connection to {what} within {secs} s: check {variable}, and whether a firewall is in between{otherwise}"
            );
            return (Obstacle::Unreachable, words);
        }
        if chain(error).any(|cause| cause.to_string() == "dns error") {
            let said = said.rsplit_once("dns error: ").map_or(said.as_str(), |(_, detail)| detail);
            let words = format!(
                "the name {name} of {variable} cannot be found ({said}): check {variable} and the network{otherwise}"
            );
            return (Obstacle::NameNotFound, words);
        }
        let kind = chain(error).find_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
        match kind {
            Some(ErrorKind::ConnectionRefused) => (
                Obstacle::NobodyListens,
                format!(
                    "nobody listens at {what} (connection refused): check {variable}, and whether it runs there{otherwise}"
                ),
            ),
            Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown) => (
                Obstacle::Unreachable,
                format!("there is no way to {what} ({said}): check the network{otherwise}"),
            ),
            Some(_) | None => (
                Obstacle::Other,
                format!("no connection to {what} ({said}): check {variable} and the network{otherwise}"),
            ),
        }
    }

    fn explain_tls(&self, cause: &rustls::Error) -> (Obstacle, String) {
        let Self { what, variable, otherwise, .. } = self;
        let said = one_line(&cause.to_string());
        if let rustls::Error::InvalidCertificate(cause) = cause {
            return self.explain_certificate(cause);
        }
        if matches!(cause, rustls::Error::InvalidMessage(_)) {
            let words = format!(
                "{what} does not speak TLS: check the port in {variable}, and whether it should begin with \
                 http://{otherwise}"
            );
            return (Obstacle::PlainText, words);
        }
        (Obstacle::Other, format!("no secure connection with {what} ({said}): check {variable}{otherwise}"))
    }

    fn explain_certificate(&self, cause: &CertificateError) -> (Obstacle, String) {
        let Self { what, variable, otherwise, .. } = self;
        if is_its_own_authority(cause) {
            return (Obstacle::Untrusted, self.distrust());
        }
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the library adds kinds, and says each in its own words"
        )]
        match cause {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
                Obstacle::Expired,
                format!(
                    "the certificate of {what} has expired{}: whoever runs it has to renew that, unless the clock of this \
                     machine is wrong",
                    end_of(cause)
                ),
            ),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
                Obstacle::NotYetValid,
                format!("the certificate of {what} is not valid yet: look at the clock of this machine"),
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let names = names_of(cause);
                let words = format!(
                    "the certificate of {what} is for another name{names}: check {variable}{otherwise}"
                );
                (Obstacle::AnotherName, words)
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                (Obstacle::Untrusted, self.distrust())
            }
            other => {
                let said = one_line(&other.to_string());
                let words = format!(
                    "the certificate of {what} cannot be used ({said}): whoever runs it has to replace that"
                );
                (Obstacle::Other, words)
            }
        }
    }

    fn distrust(&self) -> String {
        let (what, file) = (&self.what, names().certificates);
        format!(
            "the certificate of {what} comes from nobody whom this machine trusts: for an authority of your own, name \
             its file in {file}; otherwise something on the way pretends to be {}",
            self.name
        )
    }

    fn wants_a_password(&self) -> String {
        let Self { what, variable, otherwise, .. } = self;
        format!(
            "{what} wants a user and a password: write {variable}=http://user:password@host:port with the right \
             ones{otherwise}"
        )
    }

    fn lets_nothing_through(&self, platform: &Self) -> String {
        let Self { what, otherwise, .. } = self;
        format!("{what} lets nothing through to {}: ask whoever runs it{otherwise}", platform.what)
    }
}

/// Where a redirect leads, as a sentence. No user, password, query or fragment.
pub(super) fn redirect(from: &Url, location: &str) -> String {
    let shown = from.join(location).map_or_else(
        |_| "something that is no address".to_owned(),
        |mut target| {
            target.set_query(None);
            target.set_fragment(None);
            // Fails only for addresses that have no user.
            let _ = target.set_username("").and_then(|()| target.set_password(None));
            target.as_str().chars().take(ADDRESS_CHARS).collect()
        },
    );
    format!(
        "redirected to {}, which is not followed: {} has to name the address that answers by itself",
        one_line(&shown),
        names().platform
    )
}

/// What lies below a library's error, which itself says no more than that there was one.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut texts = Vec::<String>::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !text.starts_with("client error (") && texts.last() != Some(&text) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.is_empty() { one_line(&error.to_string()) } else { one_line(&texts.join(": ")) }
}

/// `error` and all below it, with what an [`io::Error`] only wraps.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    iter::successors(Some(error as &(dyn Error + 'static)), |cause| below(*cause))
}

fn below<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| cause.source())
}

fn has_tls(error: &reqwest::Error) -> bool {
    chain(error).any(|cause| cause.is::<rustls::Error>())
}

/// Most self-signed certificates claim to be an authority.
fn is_its_own_authority(cause: &CertificateError) -> bool {
    cause.to_string().contains("CaUsedAsEndEntity")
}

fn end_of(cause: &CertificateError) -> String {
    if let CertificateError::ExpiredContext { not_after, .. } = cause {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs());
        return format!(" ({})", httpdate::fmt_http_date(end));
    }
    String::new()
}

fn names_of(cause: &CertificateError) -> String {
    if let CertificateError::NotValidForNameContext { presented, .. } = cause
        && !presented.is_empty()
    {
        let shown: Vec<_> = presented.iter().take(NAMES).map(|name| bare(name)).collect();
        return format!(" ({})", shown.join(", "));
    }
    String::new()
}

/// `other.example` of `DnsName("other.example")`.
fn bare(name: &str) -> String {
    one_line(name.split('"').nth(1).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_shown_without_what_may_be_secret() {
        let from = Url::parse("https://acme.example/registry/register").unwrap();
        for (location, shown) in [
            ("https://www.acme.example/registry/register", "https://www.acme.example/registry/register"),
            ("/login?next=canary#canary", "https://acme.example/login"),
            ("https://user:canary@sso.example/x", "https://sso.example/x"),
            ("//cdn.example/x", "https://cdn.example/x"),
            ("http://[", "something that is no address"),
        ] {
            let said = redirect(&from, location);

            assert!(said.starts_with(&format!("redirected to {shown}, which is not followed")), "{said}");
            assert!(said.contains(names().platform) && !said.contains("canary"), "{said}");
        }
    }
}
