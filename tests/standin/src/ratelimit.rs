//! The rate limit: a fixed window a bucket, starting with the bucket's first request.

use std::collections::BTreeMap;

use serde_json::json;

use crate::call::Call;
use crate::http::{Headers, Response};
use crate::now::Now;
use crate::switches::{Level, Switches};

#[derive(Debug, Default)]
pub(crate) struct RateLimit(BTreeMap<String, Window>);

#[derive(Debug)]
struct Window {
    ends: Now,
    left: u64,
}

impl RateLimit {
    /// Counts a request. Either way there are headers to send; too many requests are refused.
    pub(crate) fn count(
        &mut self,
        call: &Call,
        level: Level,
        switches: &Switches,
    ) -> Result<Headers, Response> {
        if switches.is_unlimited() {
            return Ok([("X-Ratelimit-Limit", "unlimited")].into_iter().collect());
        }
        let fresh = Window { ends: call.now.plus(switches.rate_window), left: switches.rate_limit };
        let window = self.0.entry(bucket(call, level)).or_insert_with(|| Window { ends: call.now, left: 0 });
        if window.ends <= call.now {
            *window = fresh;
        }
        let reset = window.ends.since(call.now).as_secs();
        let allowed = window.left > 0;
        window.left = window.left.saturating_sub(1);
        let headers: Headers = [
            ("X-Ratelimit-Limit", switches.rate_limit),
            ("X-Ratelimit-Remaining", window.left),
            ("X-Ratelimit-Reset", reset),
        ]
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect();
        if allowed { Ok(headers) } else { Err(too_many(headers, reset)) }
    }
}

fn bucket(call: &Call, level: Level) -> String {
    let address = format!("address {}", call.request.peer);
    match level {
        Level::Baseline => address,
        Level::Later | Level::Newest => {
            let org = call.header("X-Molecule-Org-Id").map(|org| format!("org {org}"));
            org.or_else(|| bearer(call)).unwrap_or(address)
        }
    }
}

/// Unlike at the gates the scheme word may have any letter case.
fn bearer(call: &Call) -> Option<String> {
    let (scheme, token) = call.header("Authorization")?.split_once(' ')?;
    Some(format!("token {}", token.trim())).filter(|_| scheme.eq_ignore_ascii_case("Bearer"))
}

fn too_many(headers: Headers, reset: u64) -> Response {
    let body = json!({ "error": "rate limit exceeded", "retry_after": reset });
    let mut refusal = Response::json(429, body).with("Retry-After", reset.to_string());
    refusal.headers.extend(&headers);
    refusal
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::Request;
    use crate::testing::Stage;

    fn probe(stage: &mut Stage, token: &str) -> Response {
        stage.answer(&Request::new("GET", "/health").bearer(token))
    }

    #[test]
    fn the_window_is_fixed_and_starts_with_the_first_request() {
        let mut stage = Stage::new(Level::Later);
        stage.platform.switches_mut().rate_limit = 2;
        let left = [probe(&mut stage, "a"), probe(&mut stage, "a")]
            .map(|answer| answer.headers.get("X-RateLimit-Remaining").unwrap().to_owned());
        assert_eq!(left, ["1", "0"]);
        stage.wait(Duration::from_millis(59_500));

        let refused = probe(&mut stage, "a");

        assert_eq!((refused.status, refused.headers.get("Retry-After")), (429, Some("0")));
        assert_eq!(refused.body_json(), json!({ "error": "rate limit exceeded", "retry_after": 0 }));
        stage.wait(Duration::from_millis(500));
        assert_eq!(probe(&mut stage, "a").status, 200);
    }

    #[test]
    fn later_each_token_has_its_own_bucket() {
        for (level, status) in [(Level::Baseline, 429), (Level::Later, 200)] {
            let mut stage = Stage::new(level);
            stage.platform.switches_mut().rate_limit = 1;
            probe(&mut stage, "a");
            assert_eq!(probe(&mut stage, "b").status, status, "{level:?}");
        }
    }
}
