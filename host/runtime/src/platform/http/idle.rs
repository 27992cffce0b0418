//! A connection that carries nothing, and whose end is a sign.
//!
//! ```text
//! connect ── one small request ──► answered ── nothing ──► closed by the platform
//!    ▲                                                        │
//!    └──────────────────── does it answer? ◄──────────────────┘   no: it is going away
//! ```
//!
//! A server that shuts down takes no more connections, closes those without a request at once, and waits for
//! those with one. The event stream is one with a request, so nothing ever happens on it, however long the
//! server waits.

use std::{error::Error, future, net::SocketAddr, pin::pin, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{self, TcpStream},
    time::{Instant, timeout},
};
use url::Url;

/// A path that every platform answers, with or without a token.
const PATH: &str = "/health";
/// Connecting and the answer take no longer where there is somebody.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_BYTES: usize = 64 << 10;
/// A connection that lives no longer tells little:
const BRIEF: Duration = Duration::from_secs(2);
/// after so many of them in a row, this server keeps no idle connections.
const BRIEF_AT_MOST: u32 = 3;

type Failure = Box<dyn Error + Send + Sync>;

/// Returns when the platform at `base` takes no connections any more; never, where that cannot be seen.
///
/// `at` is the other end of a connection to it. Where that is a proxy, or where something else ends TLS, its
/// idle connections tell nothing of the platform.
pub(super) async fn gone(base: &Url, at: SocketAddr) {
    if !is_direct(base, at).await {
        return future::pending().await;
    }
    watch(base, at).await;
}

async fn is_direct(base: &Url, at: SocketAddr) -> bool {
    let (Some(host), Some(port)) = (base.host_str(), base.port_or_known_default()) else { return false };
    if base.scheme() != "http" {
        return false;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    net::lookup_host((host, port)).await.is_ok_and(|mut addresses| addresses.any(|address| address == at))
}

/// Returns when a connection has ended, and another one is not answered; or when nothing can be told.
async fn watch(base: &Url, at: SocketAddr) {
    let (mut brief, mut answered) = (0, false);
    while brief < BRIEF_AT_MOST {
        let begun = Instant::now();
        if keep(base, at).await.is_err() {
            if answered {
                return;
            }
            break;
        }
        answered = true;
        brief = if begun.elapsed() < BRIEF { brief + 1 } else { 0 };
    }
    future::pending().await
}

/// Opens a connection, and returns when the platform closes it.
///
/// # Errors
/// When there is no answer on it.
async fn keep(base: &Url, at: SocketAddr) -> Result<(), Failure> {
    let request = Request::get(PATH)
        .header(header::HOST, authority(base))
        .header(header::USER_AGENT, super::USER_AGENT)
        .body(Empty::<Bytes>::new())?;
    let opening = async {
        let connection = TcpStream::connect(at).await?;
        Ok::<_, Failure>(http1::handshake(TokioIo::new(connection)).await?)
    };
    let (mut sender, connection) = timeout(ANSWER_WITHIN, opening).await??;
    let mut connection = pin!(connection);
    let has_ended = {
        let answer = async {
            let body = sender.send_request(request).await?.into_body();
            Limited::new(body, ANSWER_BYTES).collect().await?;
            Ok::<_, Failure>(())
        };
        let mut answer = pin!(timeout(ANSWER_WITHIN, answer));
        tokio::select! {
            biased;
            answered = &mut answer => {
                answered??;
                false
            }
            // The answer may have come with the end.
            _ = &mut connection => {
                answer.await??;
                true
            }
        }
    };
    if !has_ended {
        // It ends by itself once nobody can send on it, so the sender stays.
        let _ = connection.await;
    }
    drop(sender);
    Ok(())
}

fn authority(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Far longer than a sign takes.
    const SOON: Duration = Duration::from_secs(3);
    /// Nothing is to be seen.
    const A_WHILE: Duration = Duration::from_millis(300);
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    async fn listen() -> (TcpListener, Url, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, format!("http://{at}").parse().unwrap(), at)
    }

    async fn answer(listener: &TcpListener) -> (TcpStream, String) {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0);
        }
        connection.write_all(ANSWER).await.unwrap();
        (connection, String::from_utf8(request).unwrap())
    }

    #[tokio::test]
    async fn a_server_that_closes_its_door_and_its_idle_connections_is_gone() {
        let (listener, base, at) = listen().await;
        let watching = tokio::spawn(async move { gone(&base, at).await });
        let (connection, request) = answer(&listener).await;
        assert!(request.starts_with("GET /health HTTP/1.1\r\n"), "{request}");
        assert!(!request.to_ascii_lowercase().contains("authorization"), "{request}");

        drop(listener);
        drop(connection);

        timeout(SOON, watching).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_server_that_leaves_with_its_first_answer_is_gone() {
        let (listener, base, at) = listen().await;
        let watching = tokio::spawn(async move { gone(&base, at).await });
        let (mut connection, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(connection.read_buf(&mut request).await.unwrap() > 0);
        }

        connection.write_all(ANSWER).await.unwrap();
        drop(connection);

        timeout(SOON, watching).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_server_that_only_tidies_up_is_asked_again_and_stays() {
        let (listener, base, at) = listen().await;
        let watching = tokio::spawn(async move { gone(&base, at).await });
        drop(answer(&listener).await);

        let (_connection, _) = answer(&listener).await;

        assert!(timeout(A_WHILE, watching).await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_keeps_no_idle_connections_is_left_alone_after_a_few() {
        let (listener, base, at) = listen().await;
        let watching = tokio::spawn(async move { gone(&base, at).await });
        for _ in 0..BRIEF_AT_MOST {
            drop(answer(&listener).await);
        }

        assert!(timeout(A_WHILE, listener.accept()).await.is_err());
        assert!(timeout(A_WHILE, watching).await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_never_answered_here_is_not_thought_to_be_gone() {
        let (listener, base, at) = listen().await;
        drop(listener);

        assert!(timeout(A_WHILE, gone(&base, at)).await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_looked_at_behind_a_proxy_or_tls() {
        let (listener, base, at) = listen().await;
        let elsewhere: Url = "http://127.0.0.2:9".parse().unwrap();
        let mut over_tls = base;
        over_tls.set_scheme("https").unwrap();

        for base in [elsewhere, over_tls] {
            assert!(timeout(A_WHILE, gone(&base, at)).await.is_err());
        }

        assert!(timeout(A_WHILE, listener.accept()).await.is_err());
    }
}
