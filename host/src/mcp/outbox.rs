//! The one way out: answers are collected and written together, each as soon as the client reads.

use std::{
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::Serialize;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Notify, OwnedSemaphorePermit},
};
use tokio_util::sync::CancellationToken;

/// With more than this unwritten, no further request is begun.
const FULL_BYTES: usize = 16 << 20;
/// Buffers that grew beyond this are given back.
const KEPT_BYTES: usize = 1 << 20;

/// Lines on their way to the client.
#[derive(Default)]
pub(super) struct Outbox {
    queued: Mutex<Batch>,
    /// Bytes that are queued or being written.
    unwritten: AtomicUsize,
    filled: Notify,
    written: Notify,
    broken: CancellationToken,
}

/// Lines that are written together, and what is given back then.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    permits: Vec<OwnedSemaphorePermit>,
}

impl Outbox {
    /// Queues `message` as one line; `permit` is given back once it is written. Never blocks.
    pub(super) fn push<T: Serialize>(&self, message: &T, permit: Option<OwnedSemaphorePermit>) {
        let mut queued = self.lock();
        let before = queued.bytes.len();
        if let Err(cause) = serde_json::to_writer(&mut queued.bytes, message) {
            tracing::error!("an answer cannot be written as JSON: {cause}");
            queued.bytes.truncate(before);
            return;
        }
        queued.bytes.push(b'\n');
        queued.permits.extend(permit);
        let added = queued.bytes.len() - before;
        self.unwritten.fetch_add(added, Ordering::AcqRel);
        drop(queued);
        self.filled.notify_one();
    }

    /// Writes whatever is queued, until the client stops reading for good.
    pub(super) async fn write_to<W: AsyncWrite + Unpin>(self: Arc<Self>, mut output: W) {
        let mut batch = Batch::default();
        loop {
            self.filled.notified().await;
            mem::swap(&mut *self.lock(), &mut batch);
            if let Err(cause) = write(&mut output, &batch.bytes).await {
                tracing::info!("the client does not read any more: {cause}");
                self.broken.cancel();
                return;
            }
            self.unwritten.fetch_sub(batch.bytes.len(), Ordering::AcqRel);
            self.written.notify_waiters();
            batch.bytes.clear();
            batch.bytes.shrink_to(KEPT_BYTES);
            batch.permits.clear();
        }
    }

    /// Returns once nothing is left to write.
    pub(super) async fn flushed(&self) {
        self.at_most(0).await;
    }

    /// Returns once the client has read enough for another request to be begun.
    pub(super) async fn has_room(&self) {
        self.at_most(FULL_BYTES).await;
    }

    /// Whether so much is unwritten that nothing further is begun.
    pub(super) fn is_full(&self) -> bool {
        self.unwritten.load(Ordering::Acquire) > FULL_BYTES
    }

    /// Returns once the output is broken.
    pub(super) async fn broken(&self) {
        self.broken.cancelled().await;
    }

    async fn at_most(&self, bytes: usize) {
        while self.unwritten.load(Ordering::Acquire) > bytes {
            let mut written = std::pin::pin!(self.written.notified());
            written.as_mut().enable();
            if self.unwritten.load(Ordering::Acquire) > bytes {
                written.await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write<W: AsyncWrite + Unpin>(output: &mut W, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}
