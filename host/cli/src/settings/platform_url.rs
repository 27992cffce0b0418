//! The base address of the platform.

use std::net::IpAddr;

use url::{Host, ParseError, Url};

/// Endings of names that no public server has.
const PRIVATE_ENDINGS: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".test"];

/// A usable address, and what the operator should know about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PlatformUrl {
    pub(super) url: Url,
    pub(super) warning: Option<String>,
}

/// Parses and cleans `text`. The reason why not follows the name of the setting and does not show
/// the value, which may hold a password.
pub(super) fn parse(text: &str, allow_http: bool) -> Result<PlatformUrl, String> {
    if text.contains(|char: char| char.is_whitespace() || char.is_control()) {
        return Err("contains white space or a control character".to_owned());
    }
    let mut url = Url::parse(text).map_err(|cause| reason(text, cause))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with https:// (or http:// for a platform in your own network)".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or a password; the platform knows only the token".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("contains a query (?) or a fragment (#); only the base address belongs there".to_owned());
    }
    if url.port() == Some(0) {
        return Err("names port 0, where nothing can listen".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    let warning = if url.scheme() == "http" { Some(plain(&url, allow_http)?) } else { None };
    Ok(PlatformUrl { url, warning })
}

fn reason(text: &str, cause: ParseError) -> String {
    if matches!(cause, ParseError::RelativeUrlWithoutBase | ParseError::RelativeUrlWithCannotBeABaseBase) {
        return "is no address: it must begin with https://".to_owned();
    }
    if cause == ParseError::InvalidIpv6Address && text.contains('%') {
        return "contains a zone (%) in an IPv6 address, which is not supported".to_owned();
    }
    if cause == ParseError::InvalidPort {
        return "names a port that is not between 1 and 65535".to_owned();
    }
    format!("is no address: {cause}")
}

/// How a warning of an address without encryption begins.
pub(crate) const UNENCRYPTED: &str = "the token travels unencrypted";

/// What to say about an address without encryption, or why it is refused.
fn plain(url: &Url, allow_http: bool) -> Result<String, String> {
    let host = url.host_str().unwrap_or_default();
    if is_private(url) || allow_http {
        return Ok(format!("{UNENCRYPTED} to {host}, because PLATFORM_URL is http"));
    }
    Err(format!(
        "is http, so that anybody on the way to {host} could read the token: use https, \
         or set MOLECULE_ALLOW_HTTP=1 if that is meant"
    ))
}

/// Whether the host is this machine, or one that only the own network knows.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            !name.contains('.') || PRIVATE_ENDINGS.iter().any(|ending| name.ends_with(ending))
        }
        Some(Host::Ipv4(address)) => is_private_address(address.into()),
        Some(Host::Ipv6(address)) => is_private_address(address.into()),
        None => false,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_at_the_end_are_cut_and_a_prefix_is_kept() {
        for (text, cleaned) in [
            ("https://acme.example", "https://acme.example/"),
            ("https://acme.example/", "https://acme.example/"),
            ("https://acme.example///", "https://acme.example/"),
            ("https://acme.example/api/", "https://acme.example/api"),
            ("https://acme.example/a/b//", "https://acme.example/a/b"),
            ("https://acme.example:443", "https://acme.example/"),
            ("https://acme.example:8443", "https://acme.example:8443/"),
            ("HTTPS://ACME.example", "https://acme.example/"),
            ("https://m\u{fc}nchen.example", "https://xn--mnchen-3ya.example/"),
            ("https://[2001:db8::1]:8080/", "https://[2001:db8::1]:8080/"),
        ] {
            let parsed = parse(text, false).unwrap();
            assert_eq!((parsed.url.as_str(), parsed.warning), (cleaned, None), "{text}");
        }
    }

    #[test]
    fn what_is_no_base_address_is_refused_with_the_reason() {
        for (text, reason) in [
            ("not a url", "white space"),
            ("https://acme.example/\u{7}", "control character"),
            ("acme.example", "must begin with https://"),
            ("acme.example:8080", "must begin with https://"),
            ("ftp://acme.example", "must begin with https://"),
            ("file:///etc/passwd", "must begin with https://"),
            ("javascript:alert(1)", "must begin with https://"),
            ("https://", "no address"),
            ("https://user@acme.example", "a user name"),
            ("https://user:canary-9d2f@acme.example", "a password"),
            ("https://acme.example?token=canary-9d2f", "a query"),
            ("https://acme.example#canary-9d2f", "a fragment"),
            ("https://acme.example:0", "port 0"),
            ("https://acme.example:99999", "between 1 and 65535"),
            ("https://[fe80::1%25eth0]/", "a zone"),
            ("https://user:canary-9d2f@acme.example:99999", "between 1 and 65535"),
        ] {
            let why = parse(text, true).unwrap_err();
            assert!(why.contains(reason), "{text}: {why}");
            assert!(!why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn http_stays_in_the_own_network() {
        for host in [
            "localhost",
            "127.0.0.1:8080",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
            "10.1.2.3",
            "172.16.0.9",
            "192.168.1.5",
            "169.254.1.1",
            "[fd00::1]",
            "[fe80::1]",
            "platform",
            "platform:8080",
            "platform.",
            "host.docker.internal",
            "box.local",
            "molecule.default.svc.cluster.local",
        ] {
            let parsed = parse(&format!("http://{host}"), false).unwrap();
            assert!(parsed.warning.unwrap().contains("unencrypted"), "{host}");
        }
        for host in
            ["acme.example", "8.8.8.8", "172.32.0.1", "[2001:db8::1]", "local.example.com", "a.localhost.com"]
        {
            let why = parse(&format!("http://{host}"), false).unwrap_err();
            assert!(why.contains("MOLECULE_ALLOW_HTTP=1"), "{host}");
        }
    }

    #[test]
    fn http_to_anywhere_is_the_operators_choice() {
        let parsed = parse("http://acme.example", true).unwrap();

        assert!(parsed.warning.unwrap().contains("unencrypted to acme.example"));
    }
}
