//! The export of the component: a request comes in, and one answer goes out.

#![cfg(target_family = "wasm")]

use serde_json::{Value, json};
use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam},
};
use wstd::io::{AsyncInputStream, AsyncOutputStream};

use crate::{Request, Response, admit, answer};

/// No tool takes more.
const MOST_BYTES: usize = 4 << 20;
const CHUNK: usize = 64 << 10;

struct Serve;

impl Guest for Serve {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        molecule_wasi::block_on(async {
            let response = respond(&request).await;
            give(response, out).await;
        });
    }
}

wasip2::http::proxy::export!(Serve);

async fn respond(incoming: &IncomingRequest) -> Response {
    let environment = match admit(&head(incoming)) {
        Ok(environment) => environment,
        Err(refusal) => return refusal,
    };
    match body(incoming).await {
        Some(bytes) => answer(environment, &bytes).await,
        None => (413, Some(json!({ "error": "the message is larger than 4 MiB, or broke off" }))),
    }
}

fn head(incoming: &IncomingRequest) -> Request {
    let text = |(name, value): (String, Vec<u8>)| {
        (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned())
    };
    let mut headers: Vec<_> = incoming.headers().entries().into_iter().map(text).collect();
    if let Some(authority) = incoming.authority().filter(|_| !headers.iter().any(|(name, _)| name == "host"))
    {
        headers.push(("host".to_owned(), authority));
    }
    let method = if matches!(incoming.method(), Method::Post) { "POST" } else { "another" };
    Request { method: method.to_owned(), path: incoming.path_with_query().unwrap_or_default(), headers }
}

/// The body; nothing if it is too large or breaks off.
async fn body(incoming: &IncomingRequest) -> Option<Vec<u8>> {
    let body = incoming.consume().ok()?;
    let stream = AsyncInputStream::new(body.stream().ok()?);
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    loop {
        let count = stream.read(&mut chunk).await.ok()?;
        if count == 0 {
            return Some(bytes);
        }
        bytes.extend_from_slice(chunk.get(..count)?);
        if bytes.len() > MOST_BYTES {
            return None;
        }
    }
}

async fn give((status, message): Response, out: ResponseOutparam) {
    let kind = [("content-type".to_owned(), b"application/json".to_vec())];
    let response = OutgoingResponse::new(Fields::from_list(&kind).unwrap_or_else(|_| Fields::new()));
    let _ = response.set_status_code(status);
    let body = response.body();
    ResponseOutparam::set(out, Ok(response));
    let Ok(body) = body else { return };
    // A caller that has left gets nothing, and nobody is left to tell.
    if let Some(text) = message.as_ref().map(Value::to_string)
        && let Ok(stream) = body.write()
    {
        let _ = AsyncOutputStream::new(stream).write_all(text.as_bytes()).await;
    }
    let _ = OutgoingBody::finish(body, None);
}
