//! Which addresses a push-mode agent may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Who is asking: some ranges are fine for one and not for another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed {
    /// The name `localhost`, exactly so spelled.
    pub(crate) localhost_name: bool,
    /// Every address of the loopback interface.
    pub(crate) loopback: bool,
    /// Private ranges.
    pub(crate) private: bool,
}

/// Gives the reason why a URL is refused. Names are not resolved; those below `.invalid` do not exist.
pub(crate) fn check(url: &str, allowed: Allowed) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|err| format!("url is not valid: {err}"))?;
    if !["http", "https"].contains(&parsed.scheme()) {
        return Err(format!("url scheme must be http or https, got \"{}\"", parsed.scheme()));
    }
    let blocked = |kind: &str| Err(format!("url targets a blocked address: {kind}"));
    let reason = match parsed.host() {
        None => return Err("url has no host".to_owned()),
        Some(Host::Domain("localhost")) if allowed.localhost_name || allowed.loopback => None,
        Some(Host::Domain("localhost")) => Some("loopback address"),
        Some(Host::Domain(name)) if name.ends_with(".invalid") => {
            return Err(format!(
                "hostname \"{name}\" cannot be resolved (DNS error): lookup {name}: no such host"
            ));
        }
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(address)) => blocked_v4(address, allowed),
        Some(Host::Ipv6(address)) => blocked_v6(address, allowed),
    };
    reason.map_or(Ok(()), blocked)
}

fn blocked_v4(address: Ipv4Addr, allowed: Allowed) -> Option<&'static str> {
    match address.octets() {
        [127, ..] if !allowed.loopback => Some("loopback address"),
        [169, 254, ..] => Some("link-local address (cloud metadata endpoint)"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] if !allowed.private => {
            Some("RFC-1918 private address")
        }
        [192, 0, 2, _] => Some("TEST-NET-1 documentation range (RFC-5737)"),
        [198, 51, 100, _] => Some("TEST-NET-2 documentation range (RFC-5737)"),
        [203, 0, 113, _] => Some("TEST-NET-3 documentation range (RFC-5737)"),
        [100, 64..=127, ..] => Some("carrier-grade NAT address (RFC-6598)"),
        [224..=239, ..] => Some("IPv4 multicast address"),
        _ => None,
    }
}

fn blocked_v6(address: Ipv6Addr, allowed: Allowed) -> Option<&'static str> {
    if let IpAddr::V4(address) = IpAddr::V6(address).to_canonical() {
        return blocked_v4(address, allowed);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] if !allowed.loopback => Some("IPv6 loopback address"),
        [0xFE80..=0xFEBF, ..] => Some("IPv6 link-local address"),
        [0xFC00..=0xFDFF, ..] if !allowed.private => Some("IPv6 unique local address"),
        [0xFF00..=0xFFFF, ..] => Some("IPv6 multicast address"),
        [0x2001, 0xDB8, ..] => Some("IPv6 documentation range"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REGISTER: Allowed = Allowed { localhost_name: true, loopback: false, private: false };

    #[test]
    fn the_name_localhost_passes_where_its_address_does_not() {
        assert_eq!(check("http://localhost:9", REGISTER), Ok(()));
        assert_eq!(check("http://0.0.0.0:9", REGISTER), Ok(()));
        for refused in
            ["http://127.0.0.1:9", "http://[::1]", "http://10.0.0.1", "ftp://localhost/x", "http://x.invalid"]
        {
            assert!(check(refused, REGISTER).is_err(), "{refused}");
        }
    }

    #[test]
    fn dispatch_is_stricter_about_the_name() {
        let dispatch = Allowed { localhost_name: false, ..REGISTER };

        assert!(check("http://localhost:9", dispatch).is_err());
        assert!(check("http://localhost:9", Allowed { loopback: true, ..dispatch }).is_ok());
    }
}
