//! How the platform is reached.

use std::fs;

use tempfile::TempDir;

use super::*;

#[test]
fn the_proxy_of_the_scheme_goes_before_the_one_for_all() {
    let all = ("ALL_PROXY", "http://all:1");
    for (variables, platform, proxy) in [
        (&[("HTTPS_PROXY", "http://tls:1"), all][..], "https://acme.example", Some("tls:1 of HTTPS_PROXY")),
        (&[("HTTPS_PROXY", "http://tls:1"), all], "http://platform", Some("all:1 of ALL_PROXY")),
        (&[("HTTP_PROXY", "plain:1"), all], "http://platform", Some("plain:1 of HTTP_PROXY")),
        (&[("HTTP_PROXY", "plain:1")], "https://acme.example", None),
        (&[("https_proxy", "http://low:1")], "https://acme.example", Some("low:1 of https_proxy")),
        (
            &[("HTTPS_PROXY", " "), ("https_proxy", "low:1")],
            "https://acme.example",
            Some("low:1 of https_proxy"),
        ),
        (
            &[("HTTPS_PROXY", "up:1"), ("https_proxy", "low:1")],
            "https://acme.example",
            Some("up:1 of HTTPS_PROXY"),
        ),
        (&[("all_proxy", "low:1")], "https://acme.example", Some("low:1 of all_proxy")),
        (&[all, ("NO_PROXY", "acme.example")], "https://acme.example", None),
        (&[all, ("no_proxy", "*")], "https://acme.example", None),
        (&[all, ("NO_PROXY", "other.example")], "https://acme.example", Some("all:1 of ALL_PROXY")),
        (&[], "https://acme.example", None),
    ] {
        let mut changes = variables.to_vec();
        changes.push(("PLATFORM_URL", platform));

        let found = good(&changes).accounts[0]
            .network
            .clone()
            .proxy
            .map(|proxy| format!("{proxy} of {}", proxy.setting()));

        assert_eq!(found.as_deref(), proxy, "{changes:?}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_with_its_variable_and_a_way_out() {
    for (name, value, words) in [
        (
            "ALL_PROXY",
            "socks5://user:canary@proxy:1080",
            ["ALL_PROXY names a SOCKS proxy", "NO_PROXY=acme.example"],
        ),
        ("all_proxy", "socks5h://proxy", ["all_proxy names a SOCKS proxy", "name an HTTP proxy"]),
        ("HTTPS_PROXY", "http://canary:x@", ["HTTPS_PROXY is no address", "http://host:port"]),
    ] {
        let report = bad(&[(name, value)]);

        assert!(words.iter().all(|word| report.contains(word)) && !report.contains("canary"), "{report}");
    }
}

#[test]
fn a_proxy_that_is_not_on_the_way_need_not_be_usable() {
    for changes in [
        &[("ALL_PROXY", "socks5://proxy:1080"), ("NO_PROXY", "acme.example")][..],
        &[("ALL_PROXY", "socks5://proxy:1080"), ("HTTPS_PROXY", "http://proxy:3128")],
        &[("HTTP_PROXY", "socks5://proxy:1080")],
    ] {
        good(changes);
    }
}

#[test]
fn an_exception_that_names_nothing_is_told() {
    let settings = good(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", "https://acme.example")]);

    assert!(settings.accounts[0].network.proxy.is_some());
    assert!(settings.warnings.concat().contains("NO_PROXY: `https://acme.example` is no name"));
}

#[test]
fn certificates_come_from_where_the_operator_says() {
    let home = TempDir::new().unwrap();
    let bundle = home.path().join("ca.pem");
    fs::write(&bundle, AUTHORITY).unwrap();
    let (directory, home_text) = (home.path().to_str().unwrap(), home.path().to_str().unwrap());
    let named = |file: Option<&Path>, directories: &[&Path]| Trust::Named {
        file: file.map(Path::to_owned),
        directories: directories.iter().map(|path| (*path).to_owned()).collect(),
    };
    for (changes, trust) in [
        (&[][..], Trust::System),
        (&[("SSL_CERT_FILE", "")], Trust::SystemDespiteBlanks),
        (&[("SSL_CERT_DIR", "  ")], Trust::SystemDespiteBlanks),
        (&[("SSL_CERT_FILE", "~/ca.pem")], named(Some(&bundle), &[])),
        (&[("SSL_CERT_FILE", "~/ca.pem"), ("SSL_CERT_DIR", "")], named(Some(&bundle), &[])),
        (&[("SSL_CERT_DIR", directory)], named(None, &[home.path()])),
        (&[("SSL_CERT_DIR", "~:")], named(None, &[home.path()])),
    ] {
        let mut changes = changes.to_vec();
        changes.push(("HOME", home_text));

        let network = good(&changes).accounts[0].network.clone();

        assert_eq!(network.trust, trust, "{changes:?}");
        let found = network.trust.certificates().map(|found| found.len());
        match trust {
            Trust::Named { .. } => assert_eq!(found, Some(1), "{changes:?}"),
            Trust::System => assert_eq!(found, None),
            Trust::SystemDespiteBlanks => {}
        }
    }
}

#[test]
fn a_place_without_certificates_is_refused_with_its_name() {
    let dir = TempDir::new().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(place("words"), "no certificate").unwrap();
    fs::write(place("broken"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::create_dir(place("empty")).unwrap();
    for (name, value, why) in [
        ("SSL_CERT_FILE", place("gone"), "does not exist"),
        ("SSL_CERT_FILE", place("words"), "holds no certificate in PEM"),
        ("SSL_CERT_FILE", place("broken"), "holds no certificate in PEM"),
        ("SSL_CERT_FILE", place("empty"), "is a directory"),
        ("SSL_CERT_FILE", "/dev/null".to_owned(), "is not a regular file"),
        ("SSL_CERT_DIR", place("gone"), "does not exist"),
        ("SSL_CERT_DIR", place("words"), "is a file"),
        ("SSL_CERT_DIR", place("empty"), "has no file that holds a certificate"),
    ] {
        let report = bad(&[(name, &value)]);

        assert!(report.contains(&format!("Not usable: {name}: {value} {why}")), "{report}");
    }
}

/// A certificate that can be trusted; it signs nothing.
const AUTHORITY: &str = include_str!("authority.pem");
