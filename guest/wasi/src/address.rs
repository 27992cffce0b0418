//! The base address of the platform, and what lies below it: always one origin.

use std::net::IpAddr;

use http::{Uri, uri::Scheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the characters that mean only themselves in every part of an address.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Endings of names that no public server has.
const PRIVATE_ENDINGS: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".test"];

/// A platform by the base of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    /// Scheme, host and, if it is not the scheme's own, port; in lower case.
    origin: String,
    /// Without a slash at its end.
    path: String,
}

impl Base {
    /// Reads `text`. The reason why not follows the name of the variable and does not show the value.
    pub(crate) fn parse(text: &str, allow_http: bool) -> Result<Self, String> {
        if text.contains(|char: char| char.is_whitespace() || char.is_control()) {
            return Err("contains white space or a control character".to_owned());
        }
        if text.contains(['?', '#']) {
            return Err(
                "contains a query (?) or a fragment (#); only the base address belongs there".to_owned()
            );
        }
        let uri: Uri = text.parse().map_err(|cause| format!("is no address: {cause}"))?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(_) | None => {
                return Err(
                    "must begin with https:// (or http:// for a platform in your own network)".to_owned()
                );
            }
        };
        let authority = uri.authority().ok_or("names no host")?;
        if authority.as_str().contains('@') {
            return Err("contains a user name or a password; the platform knows only the token".to_owned());
        }
        let host = authority.host().to_ascii_lowercase();
        if host.is_empty() {
            return Err("names no host".to_owned());
        }
        if !is_https && !allow_http && !is_private(&host) {
            return Err(format!(
                "is http, so that anybody on the way to {host} could read the token: use https, or set \
                 MOLECULE_ALLOW_HTTP=1 if that is meant"
            ));
        }
        let usual = if is_https { 443 } else { 80 };
        let port = match authority.port_u16() {
            Some(0) => return Err("names port 0, where nothing can listen".to_owned()),
            Some(port) if port != usual => format!(":{port}"),
            Some(_) | None => String::new(),
        };
        let scheme = if is_https { "https" } else { "http" };
        Ok(Self {
            origin: format!("{scheme}://{host}{port}"),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// What a page of the platform's own would send as `Origin`; anything else is answered 403.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The base address, without a slash at its end.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.origin, self.path)
    }

    /// The address of `path` below the base; an error if a segment leads elsewhere.
    pub(crate) fn below(&self, path: &[String], query: &[(String, String)]) -> Result<Uri, String> {
        if let Some(segment) = path.iter().find(|segment| matches!(segment.as_str(), "" | "." | "..")) {
            return Err(format!("a part of the address is `{segment}`, which names nothing"));
        }
        let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
        let mut address = self.shown();
        for segment in path {
            address.push('/');
            address.push_str(&encoded(segment));
        }
        for (place, (key, value)) in query.iter().enumerate() {
            address.push(if place == 0 { '?' } else { '&' });
            address.push_str(&format!("{}={}", encoded(key), encoded(value)));
        }
        address.parse().map_err(|cause| format!("the address is none: {cause}"))
    }
}

/// Whether the host is this machine, or one that only the own network knows.
fn is_private(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return match address.to_canonical() {
            IpAddr::V4(v4) => {
                v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified()
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
            }
        };
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    !name.contains('.') || PRIVATE_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_cleaned_and_keeps_its_path() {
        for (text, shown) in [
            ("https://acme.example", "https://acme.example"),
            ("https://acme.example///", "https://acme.example"),
            ("https://acme.example/api/", "https://acme.example/api"),
            ("HTTPS://ACME.example:443", "https://acme.example"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            assert_eq!(Base::parse(text, false).unwrap().shown(), shown);
        }
    }

    #[test]
    fn what_is_no_base_is_refused_with_the_reason_and_without_the_value() {
        for (text, reason) in [
            ("not a url", "white space"),
            ("acme.example", "https://"),
            ("ftp://acme.example", "https://"),
            ("https://u:secret@acme.example", "password"),
            ("https://acme.example?secret", "query"),
            ("https://acme.example:0", "port 0"),
            ("http://acme.example", "could read the token"),
            ("http://93.184.216.34", "could read the token"),
        ] {
            let why = Base::parse(text, false).unwrap_err();

            assert!(why.contains(reason) && !why.contains("secret"), "{text}: {why}");
        }
    }

    #[test]
    fn http_is_for_the_own_network_or_for_who_means_it() {
        for text in [
            "http://127.0.0.1:1",
            "http://platform",
            "http://10.0.0.7",
            "http://a.internal",
            "http://[fd00::1]",
        ] {
            assert!(Base::parse(text, false).is_ok(), "{text}");
        }
        assert!(Base::parse("http://acme.example", true).is_ok());
    }

    #[test]
    fn segments_and_parameters_are_encoded_and_stay_what_they_are() {
        let base = Base::parse("https://h.example/api", false).unwrap();
        let path = ["workspaces", "a/b?c#d%2e\\é \n", "..x"].map(str::to_owned);
        let query = [("q".to_owned(), "a&b=c d".to_owned()), ("limit".to_owned(), "5".to_owned())];

        let address = base.below(&path, &query).unwrap().to_string();

        assert_eq!(
            address,
            "https://h.example/api/workspaces/a%2Fb%3Fc%23d%252e%5C%C3%A9%20%0A/..x?q=a%26b%3Dc%20d&limit=5"
        );
        for segment in ["", ".", ".."] {
            assert!(base.below(&["w".to_owned(), segment.to_owned()], &[]).is_err(), "{segment:?}");
        }
    }
}
