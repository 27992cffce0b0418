//! The way to the platform, and the platform itself.

use std::time::{Duration, SystemTime};

use molecule_runtime::{
    guest::wire::Limits,
    platform::http::{Certificate, Examined, Obstacle, RateLimit, Trouble},
    ports::Line,
};

use super::{
    Found,
    catalog::{
        CLOCK_OFF, CLOCK_RIGHT, CONNECTION_FAILED, Finding, HEALTH_FAILED, HEALTH_GOOD, HEALTH_MISSING,
        HEALTH_PAGE, HEALTH_REDIRECT, HTTP_PLAIN, NAME_NOT_FOUND, NETWORK_REACHED, NOBODY_LISTENS,
        PLATFORM_SILENT, PLATFORM_UNREACHABLE, PROXY_CLOSED, PROXY_PASSWORD, PROXY_UNREACHABLE, PROXY_USED,
        RATE_LEFT, RATE_LOW, RATE_SPENT, TLS_EXPIRED, TLS_EXPIRES, TLS_NOBODY_TRUSTED, TLS_NOT_SPOKEN,
        TLS_NOT_YET_VALID, TLS_OTHER_NAME, TLS_UNTRUSTED, TLS_VALID,
    },
};
use crate::status::duration;

/// Longer than a connection may take, so that it is known which of the two is missing.
const LIMITS: Limits = Limits { first_byte_ms: 5_300, total_ms: 5_300, body_bytes: 64 << 10 };
const CLOCK_OFF_MS: u64 = 30_000;
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 86_400);
/// Characters of an answer that are shown.
const SHOWN: usize = 120;

/// Says whether the platform answers as a platform does.
pub(super) async fn look(line: &Line, found: &mut Vec<Found>) -> bool {
    let account = line.account();
    let (platform, network) = (account.platform.as_str().trim_end_matches('/'), &account.network);
    if let Some(proxy) = &network.proxy {
        found.push(PROXY_USED.seen(format!("{platform} through the proxy {proxy} of {}", proxy.setting())));
    }
    if account.platform.scheme() == "http" && !is_here(line) {
        found.push(HTTP_PLAIN.seen(format!("{platform} is reached without TLS")));
    }
    match line.http().examine(vec!["health".to_owned()], LIMITS).await {
        Err(trouble) => {
            found.push(obstacle(&trouble).seen(trouble.words));
            false
        }
        Ok(answer) => {
            let took = answer.took.as_millis();
            found.push(NETWORK_REACHED.seen(format!("{platform} answers after {took} ms")));
            found.extend(answer.certificate.as_ref().map(certificate));
            judge(&answer, found)
        }
    }
}

fn is_here(line: &Line) -> bool {
    let host = line.account().platform.host_str().unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

fn obstacle(trouble: &Trouble) -> &'static Finding {
    match (trouble.obstacle, trouble.at_proxy) {
        (Obstacle::LetsNothingThrough, _) => &PROXY_CLOSED,
        (Obstacle::WantsPassword, _) => &PROXY_PASSWORD,
        (Obstacle::NobodyTrusted, _) => &TLS_NOBODY_TRUSTED,
        (_, true) => &PROXY_UNREACHABLE,
        (Obstacle::AnotherName, _) => &TLS_OTHER_NAME,
        (Obstacle::Expired, _) => &TLS_EXPIRED,
        (Obstacle::NameNotFound, _) => &NAME_NOT_FOUND,
        (Obstacle::NoAnswer, _) => &PLATFORM_SILENT,
        (Obstacle::NobodyListens, _) => &NOBODY_LISTENS,
        (Obstacle::NotYetValid, _) => &TLS_NOT_YET_VALID,
        (Obstacle::Other, _) => &CONNECTION_FAILED,
        (Obstacle::PlainText, _) => &TLS_NOT_SPOKEN,
        (Obstacle::Unreachable, _) => &PLATFORM_UNREACHABLE,
        (Obstacle::Untrusted, _) => &TLS_UNTRUSTED,
    }
}

fn certificate(certificate: &Certificate) -> Found {
    let Certificate { issuer, not_after } = certificate;
    let left = not_after.duration_since(SystemTime::now()).unwrap_or_default();
    let seen = format!("from {issuer}, valid for {}", duration(left.as_secs()));
    if left < EXPIRES_SOON { TLS_EXPIRES.seen(seen) } else { TLS_VALID.seen(seen) }
}

/// Judges the answer of `/health`.
fn judge(answer: &Examined, found: &mut Vec<Found>) -> bool {
    found.extend(answer.rate.map(rate));
    found.extend(answer.server_time_ms.and_then(clock));
    let is_page = answer.body.trim_ascii_start().starts_with(b"<");
    let text = String::from_utf8_lossy(&answer.body);
    let words: String = text.trim().chars().take(SHOWN).collect();
    let seen = format!("/health: HTTP {} {words}", answer.status);
    let (finding, is_platform) = match (answer.status, &answer.redirect) {
        (_, Some(to)) => {
            found.push(HEALTH_REDIRECT.seen(to.clone()));
            return false;
        }
        (429, None) => {
            found.push(RATE_SPENT.seen(seen));
            return false;
        }
        (_, None) if is_page && !answer.json => (&HEALTH_PAGE, false),
        (200..300, None) => (&HEALTH_GOOD, true),
        (404, None) => (&HEALTH_MISSING, false),
        (_, None) => (&HEALTH_FAILED, false),
    };
    found.push(finding.seen(seen));
    is_platform
}

fn rate(rate: RateLimit) -> Found {
    let RateLimit { limit, remaining, reset_s } = rate;
    let seen = format!("{remaining} of {limit} requests are left for {reset_s} s");
    if remaining < limit / 10 { RATE_LOW.seen(seen) } else { RATE_LEFT.seen(seen) }
}

fn clock(server_ms: u64) -> Option<Found> {
    let own = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let own_ms = u64::try_from(own.as_millis()).ok()?;
    let off = own_ms.abs_diff(server_ms);
    // The platform tells whole seconds.
    let side = if own_ms > server_ms { "ahead of" } else { "behind" };
    let seen = format!("{} {side} the platform's", duration(off / 1_000));
    Some(if off > CLOCK_OFF_MS { CLOCK_OFF.seen(seen) } else { CLOCK_RIGHT.seen(seen) })
}
