//! How far a request has come on its way out.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

/// How much of a request's body was taken by the connection.
///
/// The connection takes none of it before it stands, and writes the head only together with the first
/// of it, so a request that still waits has not been seen by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Waiting,
    Writing,
    Written,
}

/// A body that tells how much of it was taken.
pub(super) struct Watched {
    inner: reqwest::Body,
    stage: watch::Sender<Stage>,
}

impl Watched {
    pub(super) fn new(inner: reqwest::Body) -> (Self, watch::Receiver<Stage>) {
        let (stage, seen) = watch::channel(Stage::Waiting);
        (Self { inner, stage }, seen)
    }

    fn reach(&self, reached: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = *stage < reached;
            if later {
                *stage = reached;
            }
            later
        });
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        self.reach(Stage::Writing);
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if self.inner.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.reach(Stage::Written);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The connection lets go of a body of known length as soon as it has all of it.
        if *self.stage.borrow() == Stage::Writing {
            self.reach(Stage::Written);
        }
    }
}
