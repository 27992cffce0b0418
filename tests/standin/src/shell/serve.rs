//! Connections: bytes to requests, replies to bytes.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{Shell, streams};
use crate::http::{Headers, Reply, Request, Response};

/// Longer bodies go out in chunks, without their length.
const WHOLE_MAX: usize = 2048;
const HEAD_MAX: usize = 1024 * 1024 + 4096;
const HEADERS_MAX: usize = 10_000;

type Body = BoxBody<Bytes, io::Error>;

impl Shell {
    /// Accepts connections until `shutdown`, and gives what every connection still holds an end of.
    pub(super) async fn accept(
        &self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> watch::Sender<()> {
        let closing = watch::Sender::new(());
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((socket, address)) = accepted {
                        tokio::spawn(self.clone().attend(socket, address, closing.subscribe()));
                    }
                }
                () = &mut shutdown => return closing,
            }
        }
    }

    async fn attend(self, socket: TcpStream, address: SocketAddr, mut closing: watch::Receiver<()>) {
        let service = service_fn(move |request| self.clone().answer(request, address));
        let connection = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        // A connection that breaks is the client's affair.
        let _ = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = closing.changed() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = too_late(closing) => return,
                }
            }
        };
    }

    /// An error closes the connection without an answer.
    async fn answer(
        self,
        mut request: hyper::Request<Incoming>,
        address: SocketAddr,
    ) -> io::Result<hyper::Response<Body>> {
        let upgrade = upgrade::on(&mut request);
        let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
        let (head, body) = request.into_parts();
        let (method, path) = (head.method.as_str(), head.uri.path());
        if self.with(|platform, _| platform.closes_unread(method, path)) {
            return Err(closed());
        }
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: read_headers(&head.headers),
            body: body.collect().await.map_err(io::Error::other)?.to_bytes(),
            peer: address.ip().to_string(),
        };
        let reply = self.with(|platform, now| platform.handle(&request, now));
        self.follow(reply, upgrade, key.as_ref().map(HeaderValue::as_bytes)).await
    }

    /// Does what a reply says.
    async fn follow(
        self,
        mut reply: Reply,
        upgrade: OnUpgrade,
        key: Option<&[u8]>,
    ) -> io::Result<hyper::Response<Body>> {
        while let Reply::Delay(span, later) = reply {
            sleep(span).await;
            reply = *later;
        }
        match reply {
            Reply::Answer(response) => write(response),
            Reply::Close | Reply::Delay(..) => Err(closed()),
            Reply::Dispatch(dispatch) => {
                // In a task of its own: a sender that hangs up does not stop it.
                let answer = tokio::spawn(self.carry_out(dispatch)).await.ok().flatten();
                write(answer.ok_or_else(closed)?)
            }
            Reply::Events(head, id) => {
                let body = streams::sse(&self, id).map(|bytes| Ok(Frame::data(bytes)));
                write_with(head, BodyExt::boxed(StreamBody::new(body)))
            }
            Reply::Upgrade(id) => {
                let accept = derive_accept_key(key.ok_or_else(closed)?);
                switch_protocols(self, id, upgrade, accept)
            }
        }
    }
}

/// Returns when the server is gone, and nobody waits for its connections any more.
async fn too_late(mut closing: watch::Receiver<()>) {
    while closing.changed().await.is_ok() {}
}

fn switch_protocols(
    shell: Shell,
    id: crate::events::StreamId,
    upgrade: OnUpgrade,
    accept: String,
) -> io::Result<hyper::Response<Body>> {
    tokio::spawn(streams::web_socket(shell, id, upgrade));
    hyper::Response::builder()
        .status(101)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, accept)
        .body(whole(Bytes::new()))
        .map_err(io::Error::other)
}

fn read_headers(headers: &HeaderMap) -> Headers {
    headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect()
}

fn write(response: Response) -> io::Result<hyper::Response<Body>> {
    let announced = response.headers.get("Content-Length").is_some();
    let bytes = response.body.clone();
    let body = if bytes.len() <= WHOLE_MAX || announced { whole(bytes) } else { in_chunks(bytes) };
    write_with(response, body)
}

fn write_with(head: Response, body: Body) -> io::Result<hyper::Response<Body>> {
    let mut builder = hyper::Response::builder().status(head.status);
    for (name, value) in head.headers.iter() {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(io::Error::other)
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

fn in_chunks(bytes: Bytes) -> Body {
    BodyExt::boxed(StreamBody::new(stream::iter([Ok(Frame::data(bytes))])))
}

fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionAborted)
}
