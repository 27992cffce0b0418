//! Which platforms are reached without a proxy.
//!
//! | Entry | Excepts |
//! |---|---|
//! | `*` | every platform |
//! | `acme.example`, `.acme.example`, `*.acme.example` | that name and all below it |
//! | `10.1.2.3`, `::1`, `[::1]` | that address |
//! | `10.0.0.0/8`, `fd00::/8` | that network |
//! | `127.*`, `build-*.acme.example` | whatever fits, `*` being any text |
//! | any of these but a network, with `:8443` | the same, on that port only |
//!
//! These are the forms of curl and Go together. Where the two differ the proxy is avoided, because a request
//! carries the token, and over http the proxy would read it. Names are never looked up.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// Whether an entry of `list` excepts `platform`.
pub(super) fn excepts(list: &str, platform: &Url) -> bool {
    let Some(target) = Target::of(platform) else { return false };
    entries(list).filter_map(Entry::parse).any(|entry| entry.excepts(&target))
}

/// The entries that name nothing.
pub(super) fn odd(list: &str) -> impl Iterator<Item = &str> {
    entries(list).filter(|entry| Entry::parse(entry).is_none())
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(|char: char| char == ',' || char.is_whitespace()).filter(|entry| !entry.is_empty())
}

/// The platform, in the form in which entries are compared with it.
struct Target {
    host: String,
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl Target {
    fn of(platform: &Url) -> Option<Self> {
        let (host, address) = match platform.host()? {
            Host::Domain(name) => (name.trim_end_matches('.').to_ascii_lowercase(), None),
            Host::Ipv4(address) => (address.to_string(), Some(IpAddr::V4(address))),
            Host::Ipv6(address) => {
                let address = address.to_canonical();
                (address.to_string(), Some(address))
            }
        };
        Some(Self { host, address, port: platform.port_or_known_default() })
    }
}

/// One entry that was understood.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    Address(IpAddr),
    /// The name, and all names below it.
    Below(String),
    Like(String),
    Network(IpNet),
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if text.contains('/') {
            let network = text.replace(['[', ']'], "").parse().ok()?;
            return Some(Self { hosts: Hosts::Network(network), port: None });
        }
        let bare = text.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Some(Self { hosts: Hosts::Address(address.to_canonical()), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        Some(Self { hosts: Hosts::parse(host)?, port })
    }

    fn excepts(&self, target: &Target) -> bool {
        let fits = match &self.hosts {
            Hosts::Address(address) => target.address == Some(*address),
            Hosts::Below(name) => {
                target.address.is_none()
                    && target
                        .host
                        .strip_suffix(name.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Hosts::Like(pattern) => is_like(pattern, &target.host),
            Hosts::Network(network) => target.address.is_some_and(|address| network.contains(&address)),
        };
        fits && self.port.is_none_or(|port| target.port == Some(port))
    }
}

impl Hosts {
    fn parse(host: &str) -> Option<Self> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = host.trim_end_matches('.').to_lowercase();
        let below = name.strip_prefix('*').unwrap_or(&name);
        let below = if below.starts_with('.') { below.trim_start_matches('.') } else { &name };
        if below.contains('*') {
            return is_plain(below).then(|| Self::Like(below.to_owned()));
        }
        // Also gives names outside ASCII the form that they have in an address.
        match Host::parse(below).ok()? {
            Host::Domain(name) => is_plain(&name).then_some(Self::Below(name)),
            Host::Ipv4(address) => Some(Self::Address(address.into())),
            Host::Ipv6(address) => Some(Self::Address(address.into())),
        }
    }
}

fn is_plain(pattern: &str) -> bool {
    pattern.chars().all(|char| char.is_alphanumeric() || matches!(char, '-' | '.' | '_' | '*' | ':'))
}

/// Whether `text` is `pattern`, in which each `*` stands for any text.
fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_curl_and_go_except_what_they_name() {
        let (name, below) = ("https://acme.example", "https://api.acme.example:8443");
        let (v4, v6) = ("http://127.0.0.1:8080", "http://[fd00::7]:8080");
        for (list, platform, excepted) in [
            ("*", name, true),
            ("*", v4, true),
            ("*", v6, true),
            ("other.example, *", name, true),
            ("acme.example", name, true),
            ("acme.example", below, true),
            ("ACME.Example", name, true),
            ("acme.example", "https://ACME.EXAMPLE", true),
            ("acme.example.", name, true),
            ("acme.example", "https://acme.example.", true),
            (".acme.example", below, true),
            (".acme.example", name, true),
            ("*.acme.example", below, true),
            ("example", name, true),
            ("cme.example", name, false),
            ("acme.example", "https://notacme.example", false),
            ("acme.example", "https://acme.example.evil.example", false),
            ("api.acme.example", name, false),
            ("acme.example:443", name, true),
            ("acme.example:8443", name, false),
            ("acme.example:8443", below, true),
            (".acme.example:8443", below, true),
            ("acme.example:80", "http://acme.example", true),
            ("*:8443", below, true),
            ("*:8443", name, false),
            ("127.0.0.1", v4, true),
            ("127.0.0.1:8080", v4, true),
            ("127.0.0.1:80", v4, false),
            ("127.0.0.2", v4, false),
            ("127.*", v4, true),
            ("127.0.*", v4, true),
            ("10.*", v4, false),
            ("127.*:8080", v4, true),
            ("127.0.0.0/8", v4, true),
            ("10.0.0.0/8", v4, false),
            ("0.0.0.0/0", v4, true),
            ("fd00::7", v6, true),
            ("[fd00::7]", v6, true),
            ("[fd00::7]:8080", v6, true),
            ("[fd00::7]:80", v6, false),
            ("FD00::7", v6, true),
            ("fd00::/8", v6, true),
            ("[fd00::]/8", v6, true),
            ("fe80::/10", v6, false),
            ("127.0.0.1", "http://[::ffff:127.0.0.1]:8080", true),
            ("127.0.0.0/8", "http://[::ffff:127.0.0.1]:8080", true),
            ("0.0.1", v4, false),
            ("localhost", "http://localhost:8080", true),
            ("localhost", v4, false),
            ("platform", "http://platform:8080", true),
            ("build-*.acme.example", "https://build-7.acme.example", true),
            ("build-*.acme.example", name, false),
            ("m\u{fc}nchen.example", "https://m\u{fc}nchen.example", true),
            ("xn--mnchen-3ya.example", "https://m\u{fc}nchen.example", true),
            ("a.example,acme.example", name, true),
            ("a.example , acme.example ,", name, true),
            ("a.example acme.example", name, true),
            ("", name, false),
            (" , ,", name, false),
            ("https://acme.example", name, false),
        ] {
            let platform = Url::parse(platform).unwrap();

            assert_eq!(excepts(list, &platform), excepted, "{list:?} {platform}");
        }
    }

    #[test]
    fn what_names_nothing_is_told() {
        let list = "*,.acme.example,10.0.0.0/8,[::1]:80,https://acme.example,10.0.0.0/99,a:b,<local>,$X";

        let odd: Vec<_> = odd(list).collect();

        assert_eq!(odd, ["https://acme.example", "10.0.0.0/99", "a:b", "<local>", "$X"]);
    }
}
