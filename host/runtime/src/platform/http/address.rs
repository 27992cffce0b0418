//! Where a request goes: always to the one origin the operator configured.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

/// Everything but the characters that mean only themselves in every part of an address.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The address of `path` below `base`.
///
/// # Errors
/// When a segment is empty, `.` or `..`: an id that came from outside must not lead elsewhere.
pub(super) fn below(base: &Url, path: &[String], query: &[(String, String)]) -> Result<Url, String> {
    if let Some(segment) = path.iter().find(|segment| matches!(segment.as_str(), "" | "." | "..")) {
        return Err(format!("a part of the address is `{segment}`, which names nothing"));
    }
    let mut address = base.clone();
    let encoded = path.iter().map(|segment| utf8_percent_encode(segment, RESERVED).to_string());
    let segments = std::iter::once(base.path().trim_end_matches('/').to_owned()).chain(encoded);
    address.set_path(&segments.collect::<Vec<_>>().join("/"));
    if !query.is_empty() {
        address.query_pairs_mut().extend_pairs(query);
    }
    Ok(address)
}

/// What a browser on the platform's own pages would send as `Origin`, which is `Host` with its scheme.
///
/// Both leave out a default port and put IPv6 addresses into brackets; anything else is answered 403.
pub(super) fn origin(base: &Url) -> String {
    base.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_encoded_and_stay_one_segment() {
        let path = ["workspaces", "a/b?c#d%2e\\é \n", "..x"].map(str::to_owned);

        let address = below(&base("https://h.example"), &path, &[]).unwrap();

        let expected = "https://h.example/workspaces/a%2Fb%3Fc%23d%252e%5C%C3%A9%20%0A/..x";
        assert_eq!(address.as_str(), expected);
    }

    #[test]
    fn segments_that_lead_elsewhere_are_refused() {
        for segment in ["", ".", ".."] {
            let path = ["workspaces", segment].map(str::to_owned);

            assert!(below(&base("https://h.example"), &path, &[]).is_err(), "{segment:?}");
        }
    }

    #[test]
    fn encoded_dots_stay_inside_their_segment() {
        let path = ["workspaces", "%2e%2e", "a"].map(str::to_owned);

        let address = below(&base("https://h.example"), &path, &[]).unwrap();

        assert_eq!(address.path(), "/workspaces/%252e%252e/a");
    }

    #[test]
    fn no_path_changes_the_origin() {
        for hostile in ["//evil.example", "@evil.example", "\\\\evil.example", "http://evil.example"] {
            let address = below(&base("https://h.example"), &[hostile.to_owned()], &[]).unwrap();

            assert_eq!(origin(&address), "https://h.example", "{hostile}");
        }
    }

    #[test]
    fn a_path_of_the_base_is_kept() {
        let address = below(&base("https://h.example/api/"), &["health".to_owned()], &[]).unwrap();

        assert_eq!(address.as_str(), "https://h.example/api/health");
    }

    #[test]
    fn query_parameters_are_encoded_in_order() {
        let query = [("q", "a&b=c d"), ("limit", "5")].map(|(key, value)| (key.to_owned(), value.to_owned()));

        let address = below(&base("https://h.example"), &["m".to_owned()], &query).unwrap();

        assert_eq!(address.query(), Some("q=a%26b%3Dc+d&limit=5"));
    }

    #[test]
    fn the_origin_leaves_out_default_ports_and_paths() {
        let cases = [
            ("https://H.Example:443/x", "https://h.example"),
            ("http://h.example:80", "http://h.example"),
            ("https://h.example:80", "https://h.example:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ];
        for (configured, expected) in cases {
            assert_eq!(origin(&base(configured)), expected);
        }
    }

    fn base(text: &str) -> Url {
        Url::parse(text).unwrap()
    }
}
