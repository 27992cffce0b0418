//! Answers that are too large for memory: the head first, the content piece by piece.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use tokio::time::{self, Instant};

use super::{Call, Failure, Http, answer, causes, is_unauthorized, rest_of};
use crate::{
    account::Token,
    guest::wire::{Method, Outcome, PlatformRequest},
};

/// A content that has begun to come.
pub struct Incoming {
    response: reqwest::Response,
    /// When it has to be over.
    deadline: Instant,
    /// The longest pause within it.
    pause: Duration,
}

impl Http {
    /// Asks for a content: what comes after 200, or as an error any other outcome, as of [`Http::send`].
    ///
    /// After a 401 the token is looked for again, and the request repeated if there is another one.
    ///
    /// # Errors
    /// When the platform answers anything but 200, or nothing.
    pub async fn download(&self, request: PlatformRequest) -> Result<Incoming, Outcome> {
        debug_assert!(request.method == Method::Get, "a content is asked for");
        let call = self.call(&request).map_err(Outcome::Refused)?;
        let token = self.token();
        let mut begun = self.begin(&call, &token).await;
        if begun.as_ref().is_err_and(is_unauthorized)
            && let Some(other) = self.other_token(&token).await
        {
            begun = self.begin(&call, &other).await;
        }
        begun
    }

    async fn begin(&self, call: &Call, token: &Token) -> Result<Incoming, Outcome> {
        let start = Instant::now();
        let response = self.head(call, token, None).await.map_err(Failure::into_outcome)?;
        let (path, took) = (call.address.path(), start.elapsed().as_millis());
        tracing::info!("GET {path} {} ({took} ms to its head)", response.status().as_u16());
        if response.status() == StatusCode::OK {
            if let Some(reason) = answer::objection(&response) {
                return Err(Failure::within(reason).into_outcome());
            }
            let pause = Duration::from_millis(call.limits.first_byte_ms.into());
            return Ok(Incoming { response, deadline: call.deadline, pause });
        }
        Err(rest_of(call, response).await.unwrap_or_else(Failure::into_outcome))
    }
}

impl Incoming {
    /// How many bytes it says that it has.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Its media type without parameters; empty if it says none.
    #[must_use]
    pub fn mime_type(&self) -> String {
        let kind = self.response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the connection breaks, pauses for too long, or takes too long in all.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        let limit = self.deadline.min(Instant::now() + self.pause);
        match time::timeout_at(limit, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(cause)) => Err(format!("the content broke off: {}", causes(&cause))),
            Err(_) if limit == self.deadline => Err("the content did not end in time".to_owned()),
            Err(_) => Err(format!("the content paused for {} s", self.pause.as_secs_f32())),
        }
    }
}
