//! What a request has to get past before its route is looked at, in the order of this file.

use crate::call::Call;
use crate::http::{Headers, Response};
use crate::platform::Platform;
use crate::routes::{self, Segments};

const ALLOWED_ORIGINS: [&str; 2] = ["http://localhost:3000", "http://localhost:3001"];

const SECURITY_HEADERS: [(&str, &str); 6] = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
    ("Content-Security-Policy", "default-src 'self'"),
];

/// Paths that the tenant guard lets through without any signal.
const UNGUARDED: [&str; 5] =
    ["/buildinfo", "/health", "/metrics", "/registry/heartbeat", "/registry/register"];

impl Platform {
    /// Gives the headers to add to the answer, or the answer itself if the request got no further.
    pub(crate) fn layers(&mut self, call: &Call, path: &Segments) -> Result<Headers, Response> {
        if let Some(location) = routes::redirect(self.level, &call.request.method, path) {
            return Err(moved(&call.request.method, &location));
        }
        let mut headers = cross_origin(call)?;
        let counted = self.rate_limit.count(call, self.level, &self.switches);
        headers.extend(&counted.map_err(|refusal| with_headers(refusal, &headers))?);
        if !self.passes_tenant_guard(call, path) {
            return Err(with_headers(Response::empty(404), &headers));
        }
        headers.extend(&SECURITY_HEADERS.into_iter().collect());
        Ok(headers)
    }

    fn passes_tenant_guard(&self, call: &Call, path: &Segments) -> bool {
        let Some(org) = self.switches.org_id.as_deref() else { return true };
        let plain = path.as_text();
        let replayed = || {
            let state = format!("state={org}");
            call.header("Fly-Replay-Src")
                .is_some_and(|source| source.split(';').any(|part| part.trim() == state))
        };
        UNGUARDED.contains(&plain.as_str())
            || plain.starts_with("/cp/")
            || call.request.headers.get("X-Molecule-Org-Id") == Some(org)
            || replayed()
            || (self.switches.ui_proxy && call.is_same_origin())
    }
}

pub(crate) fn with_headers(mut response: Response, headers: &Headers) -> Response {
    response.headers.extend(headers);
    response
}

fn moved(method: &str, location: &str) -> Response {
    if method != "GET" {
        return Response::empty(307).with("Location", location);
    }
    let page = format!("<a href=\"{location}\">Moved Permanently</a>.\n\n");
    Response::new(301, "text/html; charset=utf-8", page).with("Location", location)
}

/// The origin has to be absent, this very host, or an allowed one.
fn cross_origin(call: &Call) -> Result<Headers, Response> {
    let origin = call.request.headers.get("Origin").unwrap_or_default();
    let own = |scheme: &str| origin.strip_prefix(scheme) == Some(call.host());
    if origin.is_empty() || own("http://") || own("https://") {
        return Ok(Headers::default());
    }
    if !ALLOWED_ORIGINS.contains(&origin) {
        return Err(Response::empty(403));
    }
    let headers: Headers = [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Vary", "Origin"),
    ]
    .into_iter()
    .collect();
    if call.request.method == "OPTIONS" {
        return Err(with_headers(preflight(), &headers));
    }
    Ok(headers)
}

fn preflight() -> Response {
    Response::empty(204)
        .with("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,OPTIONS")
        .with("Access-Control-Allow-Headers", "Origin,Content-Type,Authorization,X-Workspace-Id")
        .with("Access-Control-Max-Age", "43200")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::switches::Level;
    use crate::testing::Stage;

    fn health(stage: &mut Stage, name: &str, value: &str) -> Response {
        stage.answer(&Request::new("GET", "/health").header("Host", "here:1").header(name, value))
    }

    #[test]
    fn the_origin_is_this_very_host_or_nothing_gets_further() {
        let mut stage = Stage::new(Level::Later);
        for origin in ["http://here:1", "https://here:1", ""] {
            assert_eq!(health(&mut stage, "Origin", origin).status, 200, "{origin}");
        }
        for origin in ["http://here:1/", "http://here", "HTTP://here:1", "null", "http://other:1"] {
            assert_eq!(health(&mut stage, "Origin", origin), Response::empty(403), "{origin}");
        }
    }

    #[test]
    fn a_hosted_tenant_hides_from_those_who_do_not_name_it() {
        let mut stage = Stage::new(Level::Later);
        stage.platform.switches_mut().org_id = Some("org-1".to_owned());
        let path = format!("/workspaces/{}", stage.own.id);
        let read = Request::new("GET", &path);

        let refused = stage.answer(&read);

        assert_eq!(
            (refused.status, refused.body.len(), refused.headers.get("X-Frame-Options")),
            (404, 0, None)
        );
        assert_eq!(stage.answer(&read.header("X-Molecule-Org-Id", "org-1")).status, 200);
        assert_eq!(health(&mut stage, "Accept", "*/*").status, 200);
    }
}
