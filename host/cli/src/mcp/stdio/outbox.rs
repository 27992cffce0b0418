//! The one way out: answers are collected and written together, each as soon as the client reads.

use std::{
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rmcp::model::ServerJsonRpcMessage;
use serde::Serialize;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Notify, OwnedSemaphorePermit, watch},
};
use tokio_util::sync::CancellationToken;

use crate::mcp::client::Outlet;

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
    tickets: Vec<Ticket>,
}

/// What goes with a line until it is written.
pub(super) struct Ticket {
    /// Given back then.
    pub(super) permit: OwnedSemaphorePermit,
    /// Who is told then. If the line is never written, this is dropped without a word.
    pub(super) written: Option<watch::Sender<bool>>,
}

impl Ticket {
    /// Of a line that nobody asks about.
    pub(super) const fn of(permit: OwnedSemaphorePermit) -> Self {
        Self { permit, written: None }
    }
}

impl Outbox {
    /// Queues `message` as one line; `ticket` is dealt with once it is written. Never blocks.
    pub(super) fn push<T: Serialize>(&self, message: &T, ticket: Option<Ticket>) {
        let mut queued = self.lock();
        let before = queued.bytes.len();
        if let Err(cause) = serde_json::to_writer(&mut queued.bytes, message) {
            tracing::error!("an answer cannot be written as JSON: {cause}");
            queued.bytes.truncate(before);
            return;
        }
        queued.bytes.push(b'\n');
        queued.tickets.extend(ticket);
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
            for Ticket { permit, written } in batch.tickets.drain(..) {
                if let Some(written) = written {
                    written.send_replace(true);
                }
                drop(permit);
            }
        }
    }

    /// Returns once nothing is left to write.
    pub(super) async fn flushed(&self) {
        self.at_most(0).await;
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

impl Outlet for Outbox {
    async fn has_room(&self) {
        self.at_most(FULL_BYTES).await;
    }

    fn is_full(&self) -> bool {
        self.unwritten.load(Ordering::Acquire) > FULL_BYTES
    }

    fn notify(&self, note: &ServerJsonRpcMessage) {
        self.push(note, None);
    }
}

async fn write<W: AsyncWrite + Unpin>(output: &mut W, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, duplex},
        time::{self, Duration},
    };

    use super::*;
    use crate::mcp::client::Written;

    #[tokio::test(start_paused = true)]
    async fn a_line_counts_as_written_once_the_client_has_taken_all_of_it() {
        let (outbox, (output, mut client)) = (Arc::new(Outbox::default()), duplex(16));
        tokio::spawn(Arc::clone(&outbox).write_to(output));
        let told = push(&outbox, "a line that is longer than the pipe");
        let mut told = std::pin::pin!(told.reached_client());
        assert!(time::timeout(Duration::from_secs(9), &mut told).await.is_err());

        client.read_exact(&mut [0; 24]).await.unwrap();

        assert!(told.await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_the_client_never_takes_does_not_count_as_written() {
        let (outbox, (output, client)) = (Arc::new(Outbox::default()), duplex(16));
        tokio::spawn(Arc::clone(&outbox).write_to(output));
        let told = push(&outbox, "a line that is longer than the pipe");

        drop(client);

        assert!(!told.reached_client().await);
    }

    fn push(outbox: &Outbox, line: &str) -> Written {
        let permit = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let (written, told) = Written::channel();
        outbox.push(&line, Some(Ticket { permit, written: Some(written) }));
        told
    }
}
