//! Answers as they came, for people who look for what is wrong.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use reqwest::tls::TlsInfo;
use tokio::time::{Instant, timeout_at};
use x509_cert::der::Decode as _;

use super::{Failure, Http, answer, other, trouble};
use crate::{
    guest::wire::{Limits, Method, PlatformRequest},
    platform::http::{Trouble, causes},
    sys::boot::ms,
    text::one_line,
};

/// Of an answer, whatever its status.
const BODY_BYTES: usize = 64 << 10;
/// Of a name in a certificate.
const NAME_CHARS: usize = 120;

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Its status.
    pub status: u16,
    /// Whether it says that it is JSON.
    pub json: bool,
    /// The beginning of its body, at most 64 KiB.
    pub body: Vec<u8>,
    /// Where it leads, as a sentence, if it is a redirect.
    pub redirect: Option<String>,
    /// The clock of whoever answered, in milliseconds since 1970.
    pub server_time_ms: Option<u64>,
    /// What is left of the requests that the platform allows.
    pub rate: Option<RateLimit>,
    /// The certificate of the connection, if that is secure and the certificate can be read.
    pub certificate: Option<Certificate>,
    /// From the beginning of the request to the head of the answer, a new connection included.
    pub took: Duration,
}

/// How many requests the platform allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// In a window.
    pub limit: u64,
    /// That are left in this one.
    pub remaining: u64,
    /// Seconds until the next one begins.
    pub reset_s: u64,
}

/// Who a certificate comes from, and for how long it is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whom it comes from.
    pub issuer: String,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

impl Http {
    /// Asks for `path` once with the token of the workspace, and gives the answer as it came.
    ///
    /// # Errors
    /// When there is none within `limits`.
    pub async fn examine(&self, path: Vec<String>, limits: Limits) -> Result<Examined, Trouble> {
        let request = PlatformRequest {
            workspace: self.account.handle(),
            method: Method::Get,
            path,
            query: vec![],
            identify: false,
            body: None,
            limits,
        };
        let call = self.call(&request).map_err(other)?;
        let start = Instant::now();
        let head = timeout_at(call.deadline, self.head(&call, &self.token(), None)).await;
        let late = || Failure::before(format!("no answer from {} in time", self.way.platform())).trouble;
        let mut response = head.map_err(|_| late())?.map_err(|failure| failure.trouble)?;
        let (took, headers) = (start.elapsed(), response.headers());
        let server_time = answer::date(headers, header::DATE);
        let redirect = answer::location(&response).map(|to| trouble::redirect(response.url(), to));
        let mut examined = Examined {
            status: response.status().as_u16(),
            json: answer::is_json(headers),
            body: Vec::new(),
            redirect,
            server_time_ms: server_time
                .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
                .map(ms),
            rate: rate(headers),
            certificate: response.extensions().get::<TlsInfo>().and_then(certificate),
            took,
        };
        while examined.body.len() < BODY_BYTES {
            let chunk = timeout_at(call.deadline, response.chunk()).await.map_err(|_| late())?;
            match chunk.map_err(|cause| other(causes(&cause)))? {
                Some(chunk) => examined.body.extend_from_slice(&chunk),
                None => break,
            }
        }
        examined.body.truncate(BODY_BYTES);
        Ok(examined)
    }
}

fn rate(headers: &HeaderMap) -> Option<RateLimit> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse().ok();
    Some(RateLimit {
        limit: number("x-ratelimit-limit")?,
        remaining: number("x-ratelimit-remaining")?,
        reset_s: number("x-ratelimit-reset").unwrap_or_default(),
    })
}

fn certificate(info: &TlsInfo) -> Option<Certificate> {
    let certificate = x509_cert::Certificate::from_der(info.peer_certificate()?).ok()?.tbs_certificate;
    let issuer = one_line(&certificate.issuer.to_string()).chars().take(NAME_CHARS).collect();
    Some(Certificate { issuer, not_after: certificate.validity.not_after.to_system_time() })
}
