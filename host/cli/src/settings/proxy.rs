//! The proxy on the way to the platform, if there is one.
//!
//! ```text
//! platform with https:// ──► HTTPS_PROXY ──┐
//!                                          ├── not set ──► ALL_PROXY ──► none
//! platform with http:// ───► HTTP_PROXY ───┘                   │
//!                                          NO_PROXY excepts it ┘──► none
//! ```
//!
//! Each of them may also be written in lower case; the upper case wins.

use molecule_runtime::network::Proxy;
use url::Url;

use super::{environment::Environment, no_proxy};
use crate::env;

/// Reads which proxy `platform` is reached through.
pub(super) fn read(environment: &mut Environment<'_>, platform: &Url) -> Option<Proxy> {
    let own = if platform.scheme() == "https" { &env::HTTPS_PROXY } else { &env::HTTP_PROXY };
    let (variable, name, value) = [own, &env::ALL_PROXY].into_iter().find_map(|variable| {
        let (name, value) = environment.in_either_case(variable)?;
        Some((variable, name, value))
    })?;
    if is_excepted(environment, platform) {
        return None;
    }
    match parse(&value) {
        Ok(address) => Some(Proxy::new(name, address)),
        Err(why) => {
            let host = platform.host_str().unwrap_or_default();
            let why = format!("{name} {why}, or reach {host} without a proxy: NO_PROXY={host}");
            environment.unusable(variable, why);
            None
        }
    }
}

fn is_excepted(environment: &mut Environment<'_>, platform: &Url) -> bool {
    let Some((name, list)) = environment.in_either_case(&env::NO_PROXY) else { return false };
    for entry in no_proxy::odd(&list) {
        let entry = entry.escape_debug();
        environment.warn(format!("{name}: `{entry}` is no name, address or network, and excepts nothing"));
    }
    no_proxy::excepts(&list, platform)
}

/// The reason why not follows the name of the variable and does not show the value, which may hold a password.
fn parse(text: &str) -> Result<Url, String> {
    const SHAPE: &str = "write http://host:port";
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = scheme.to_ascii_lowercase();
    if scheme.starts_with("socks") {
        let scheme = one_word(&scheme);
        return Err(format!("names a SOCKS proxy ({scheme}://), which is not supported: name an HTTP proxy"));
    }
    Url::parse(&format!("{scheme}://{rest}"))
        .ok()
        .filter(|address| matches!(scheme.as_str(), "http" | "https") && address.port() != Some(0))
        // The parser is fond of finding a host in what is a path.
        .filter(|address| !rest.starts_with('/') && address.host_str().is_some_and(is_host))
        .ok_or_else(|| format!("is no address of a proxy: {SHAPE}"))
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|char| char.is_ascii_alphanumeric() || "-._:[]".contains(char))
}

fn one_word(scheme: &str) -> String {
    scheme.chars().take_while(char::is_ascii_alphanumeric).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_scheme() {
        for (text, address) in [
            ("http://proxy.example:3128", "http://proxy.example:3128/"),
            ("proxy.example:3128", "http://proxy.example:3128/"),
            ("proxy", "http://proxy/"),
            ("10.0.0.1:8080", "http://10.0.0.1:8080/"),
            ("HTTPS://proxy.example", "https://proxy.example/"),
            ("http://user:p%40ss@proxy.example:3128/", "http://user:p%40ss@proxy.example:3128/"),
            ("user:pa$s@proxy:1", "http://user:pa$s@proxy:1/"),
        ] {
            assert_eq!(parse(text).unwrap().as_str(), address, "{text}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_shown() {
        for (text, reason) in [
            ("socks5://user:canary@proxy:1080", "names a SOCKS proxy (socks5://)"),
            ("SOCKS5H://proxy:1080", "names a SOCKS proxy (socks5h://)"),
            ("ftp://canary@proxy", "no address"),
            ("http://canary:x@", "no address"),
            ("http://proxy:99999", "no address"),
            ("http://proxy:0", "no address"),
            ("~/canary", "no address"),
            ("/etc/canary", "no address"),
            ("http:///canary", "no address"),
            ("two words", "no address"),
        ] {
            let why = parse(text).unwrap_err();

            assert!(why.contains(reason) && !why.contains("canary"), "{text}: {why}");
        }
    }

    #[test]
    fn nothing_that_prints_a_proxy_prints_its_password() {
        let address = Url::parse("http://user:canary@proxy.example:3128").unwrap();
        let proxy = Proxy::new("HTTPS_PROXY".to_owned(), address);

        assert_eq!(
            format!("{proxy} {proxy:?}"),
            "proxy.example:3128 Proxy(proxy.example:3128 of HTTPS_PROXY)"
        );
    }
}
