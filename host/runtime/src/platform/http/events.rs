//! The event stream of the workspace: one long answer, without an end and without a limit of time.

use std::{
    future, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt;
use http::{HeaderValue, StatusCode, header};
use reqwest::Response;

use super::{Failure, Http, answer, idle, trouble::causes};
use crate::{
    account::Token,
    guest::wire::{Limits, Method, PlatformRequest},
    platform::events::{Chunks, Closed, Source},
};

const EVENTS: &str = "text/event-stream";
/// As for other reads; the body has no limits here.
const LIMITS: Limits = Limits { first_byte_ms: 10_000, total_ms: 10_000, body_bytes: 0 };

/// The way to the stream. It shares connections and token with everything else, and holds up none of it.
pub struct EventStream {
    http: Arc<Http>,
    /// The token with which there was no stream.
    refused: Mutex<Option<Token>>,
    /// The other end of the connection that the latest stream came on.
    at: Mutex<Option<SocketAddr>>,
}

impl EventStream {
    /// The stream of the workspace that `http` acts for.
    #[must_use]
    pub fn new(http: Arc<Http>) -> Self {
        Self { http, refused: Mutex::default(), at: Mutex::default() }
    }

    /// Asks once, and once more if the token turns out to be an old one.
    async fn ask(&self) -> Result<Response, Closed> {
        let path = ["workspaces", &self.http.account.id, "events", "stream"].map(str::to_owned).to_vec();
        let request = PlatformRequest {
            workspace: self.http.account.handle(),
            method: Method::Get,
            path,
            query: vec![],
            identify: false,
            body: None,
            limits: LIMITS,
        };
        let mut call = self.http.call(&request).map_err(Closed::Absent)?;
        call.accept = Some(HeaderValue::from_static(EVENTS));
        let token = self.http.token();
        let mut response = self.http.head(&call, &token, None).await;
        if matches!(&response, Ok(response) if response.status() == StatusCode::UNAUTHORIZED)
            && let Some(other) = self.http.other_token(&token).await
        {
            response = self.http.head(&call, &other, None).await;
        }
        response
            .map_err(|Failure { trouble, .. }| Closed::Failed { reason: trouble.words, retry_after: None })
    }
}

impl Source for EventStream {
    async fn open(&self) -> Result<Chunks, Closed> {
        let opened = self.ask().await.and_then(judge);
        let refused = matches!(opened, Err(Closed::Absent(_))).then(|| self.http.token());
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        let stream = opened?;
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = stream.remote_addr();
        let body = stream.bytes_stream();
        Ok(body.map(|chunk| chunk.map_err(|cause| io::Error::other(causes(&cause)))).boxed())
    }

    async fn gone(&self) {
        let at = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Some(at) => idle::gone(&self.http.account.platform, at).await,
            None => future::pending().await,
        }
    }

    fn has_changed(&self) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().is_some_and(|refused| *refused != self.http.token())
    }
}

/// The same answer, if it is a stream.
fn judge(response: Response) -> Result<Response, Closed> {
    let (status, headers) = (response.status(), response.headers());
    let later = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    if later {
        let retry_after = answer::retry_after(headers, answer::date(headers, header::DATE));
        return Err(Closed::Failed { reason: format!("HTTP {}", status.as_u16()), retry_after });
    }
    if status != StatusCode::OK {
        return Err(Closed::Absent(format!("HTTP {}", status.as_u16())));
    }
    if let Some(reason) = answer::objection(&response) {
        return Err(Closed::Absent(reason));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(EVENTS) {
        return Err(Closed::Absent("the answer is no event stream".to_owned()));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::platform::http::scripted::{Reply, Server, rotated};

    const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
    const OPEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n\r\n: ping\n\n";

    #[tokio::test]
    async fn the_stream_is_asked_for_like_everything_else() {
        let server = Server::start([Reply::close(OPEN)]).await;
        let stream = EventStream::new(Arc::new(server.http("tok-1")));

        let body: Vec<_> = stream.open().await.unwrap().collect().await;

        assert_eq!(body[0].as_ref().unwrap(), ": ping\n\n");
        let (head, host) = (server.request(0).0.to_ascii_lowercase(), server.base.authority().to_owned());
        let mut lines: Vec<_> = head.lines().collect();
        lines[1..].sort_unstable();
        let expected = [
            "get /workspaces/w/events/stream http/1.1",
            "accept-encoding: identity",
            "accept: text/event-stream",
            "authorization: bearer tok-1",
            &format!("host: {host}"),
            &format!("origin: http://{host}"),
            concat!("user-agent: molecule-mcp/", env!("CARGO_PKG_VERSION")),
        ];
        assert_eq!(lines, expected);
    }

    #[tokio::test]
    async fn a_rotated_token_opens_it_at_once() {
        let directory = TempDir::new().unwrap();
        let server = Server::start([Reply::keep(UNAUTHORIZED), Reply::close(OPEN)]).await;
        let stream = EventStream::new(Arc::new(server.http_with(rotated(&directory, "old", "new"))));

        assert!(stream.open().await.is_ok());

        assert!(server.request(1).0.to_ascii_lowercase().contains("authorization: bearer new"));
    }

    #[tokio::test]
    async fn where_there_is_none_another_token_is_a_change_and_nothing_else_is() {
        let directory = TempDir::new().unwrap();
        let server = Server::start([Reply::keep(NOT_FOUND)]).await;
        let credentials = rotated(&directory, "same", "same");
        let stream = EventStream::new(Arc::new(server.http_with(credentials.clone())));
        assert!(!stream.has_changed());

        assert_eq!(stream.open().await.err(), Some(Closed::Absent("HTTP 404".to_owned())));
        assert!(!stream.has_changed());
        fs::write(directory.path().join("token"), "other").unwrap();
        assert!(credentials.reload());

        assert!(stream.has_changed());
    }
}
