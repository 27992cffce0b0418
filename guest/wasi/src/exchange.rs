//! One exchange over `wasi:http`: a request goes out, the head of the answer comes back, and its body as it is asked for.
//!
//! An answer that comes before the whole request is written counts: what cannot be written then was not wanted.

use futures::future::{self, Either};
use http::{Uri, uri::Scheme};
use wasip2::http::{
    outgoing_handler::{OutgoingRequest, handle},
    types::{ErrorCode, Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, Scheme as WasiScheme},
};
use wstd::{
    io::{AsyncInputStream, AsyncOutputStream},
    runtime::AsyncPollable,
};

/// Bytes of an answer that are read at once.
const CHUNK: usize = 64 << 10;

/// A header, its name in lower case.
pub(crate) type Header = (String, Vec<u8>);

/// A request.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) address: Uri,
    pub(crate) headers: Vec<Header>,
    pub(crate) body: Option<Vec<u8>>,
}

/// The head of an answer. The parts of a body have to go before it.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    stream: AsyncInputStream,
    _body: IncomingBody,
    _response: IncomingResponse,
}

/// Why there is no answer.
pub(crate) enum Failure {
    /// The host has a word for it.
    Code(ErrorCode),
    /// It does not take such a request; nothing was sent.
    Unfit(&'static str),
}

/// Sends a request, and waits for the head of the answer.
pub(crate) async fn send(request: Request) -> Result<Response, Failure> {
    let Request { method, address, headers, body } = request;
    let fields =
        Fields::from_list(&headers).map_err(|_| Failure::Unfit("a header that the host does not take"))?;
    let outgoing = OutgoingRequest::new(fields);
    let is_http = address.scheme() == Some(&Scheme::HTTP);
    let scheme = if is_http { WasiScheme::Http } else { WasiScheme::Https };
    outgoing
        .set_method(&method)
        .and_then(|()| outgoing.set_scheme(Some(&scheme)))
        .and_then(|()| outgoing.set_authority(address.authority().map(http::uri::Authority::as_str)))
        .and_then(|()| {
            outgoing.set_path_with_query(address.path_and_query().map(http::uri::PathAndQuery::as_str))
        })
        .map_err(|()| Failure::Unfit("an address that the host does not take"))?;
    let sent = match body {
        Some(bytes) => {
            Some((outgoing.body().map_err(|()| Failure::Unfit("a body that the host does not take"))?, bytes))
        }
        None => None,
    };
    let answer = handle(outgoing, None).map_err(Failure::Code)?;
    let ready = AsyncPollable::new(answer.subscribe());
    let write = std::pin::pin!(async {
        if let Some((body, bytes)) = sent {
            write(body, &bytes).await;
        }
    });
    if let Either::Right(((), still)) = future::select(ready.wait_for(), write).await {
        still.await;
    }
    drop(ready);
    let lost = || Failure::Code(ErrorCode::InternalError(Some("the answer was lost".to_owned())));
    let response = answer.get().ok_or_else(lost)?.map_err(|()| lost())?.map_err(Failure::Code)?;
    read_head(response).ok_or_else(lost)
}

/// Writes what the other side still wants.
async fn write(body: OutgoingBody, bytes: &[u8]) {
    if let Ok(stream) = body.write() {
        let stream = AsyncOutputStream::new(stream);
        if !bytes.is_empty() && stream.write_all(bytes).await.is_err() {
            return;
        }
    }
    // An error says that the answer is there, or why there will be none, and that says the answer.
    let _ = OutgoingBody::finish(body, None);
}

fn read_head(response: IncomingResponse) -> Option<Response> {
    let (status, fields) = (response.status(), response.headers());
    let headers =
        fields.entries().into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    drop(fields);
    let body = response.consume().ok()?;
    let stream = AsyncInputStream::new(body.stream().ok()?);
    Some(Response { status, headers, stream, _body: body, _response: response })
}

impl Response {
    /// The value of a header, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        str::from_utf8(value).ok()
    }

    /// The first `limit` bytes of the body, and whether there are more.
    ///
    /// # Errors
    /// When it breaks off.
    pub(crate) async fn collect(&self, limit: usize) -> Result<(Vec<u8>, bool), String> {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = self.stream.read(&mut chunk).await.map_err(|cause| cause.to_string())?;
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
            if bytes.len() > limit {
                bytes.truncate(limit);
                return Ok((bytes, true));
            }
        }
        let announced = self.header("content-length").and_then(|length| length.trim().parse::<usize>().ok());
        match announced {
            Some(length) if bytes.len() < length => Err(format!("after {} of {length} bytes", bytes.len())),
            Some(_) | None => Ok((bytes, false)),
        }
    }
}
