//! Reads and writes that wait, whether or not the descriptor blocks: `EAGAIN` is no end and no failure.
//!
//! Whoever shares a terminal or a pipe can make it non-blocking at any moment, for all who share it.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    sync::mpsc as orders,
    task::{Context, Poll, ready},
    thread,
};

use bytes::{Buf as _, Bytes};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tokio::{
    io::ReadBuf,
    sync::{mpsc, oneshot},
};

/// How much is read or written at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Reads once, and waits for that if nothing is there yet.
///
/// # Errors
/// When the descriptor cannot be read any further.
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(&fd, &mut *buffer) {
            Err(Errno::AGAIN) => wait(&fd, PollFlags::IN)?,
            Err(Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

/// Writes all of `bytes`, and waits for room as long as it takes.
///
/// # Errors
/// When the descriptor takes no more.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Err(Errno::AGAIN) => wait(&fd, PollFlags::OUT)?,
            Err(Errno::INTR) => {}
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            done => bytes = bytes.get(done?..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn wait(fd: impl AsFd, what: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(&fd, what)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(cause) => Err(cause.into()),
    }
}

/// A descriptor that a thread of its own reads.
#[derive(Debug)]
pub(super) struct Reading {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Reading {
    /// The thread ends with the input, or with the process: a read cannot be interrupted.
    pub(super) fn start(fd: OwnedFd) -> io::Result<Self> {
        let (filled, chunks) = mpsc::channel(1);
        thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                let chunk = read(&fd, &mut buffer)
                    .map(|count| Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default()));
                let is_last = chunk.as_ref().map_or(true, Bytes::is_empty);
                if filled.blocking_send(chunk).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(Self { chunks, chunk: Bytes::new() })
    }

    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.chunk.is_empty() {
            match ready!(self.chunks.poll_recv(context)) {
                Some(chunk) => self.chunk = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.chunk.len().min(buffer.remaining());
        buffer.put_slice(self.chunk.get(..count).unwrap_or_default());
        self.chunk.advance(count);
        Poll::Ready(Ok(()))
    }
}

/// Bytes to write, and where to say what came of it.
type Order = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// A descriptor that a thread of its own writes.
#[derive(Debug)]
pub(super) struct Writing {
    orders: orders::Sender<Order>,
    written: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Writing {
    /// The thread ends when this is dropped, after the last write.
    pub(super) fn start(fd: OwnedFd) -> io::Result<Self> {
        let (orders, taken) = orders::channel::<Order>();
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            for (bytes, written) in taken {
                // Nobody waits for it if the program is about to end.
                let _ = written.send(write_all(&fd, &bytes));
            }
        })?;
        Ok(Self { orders, written: None })
    }

    pub(super) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(context))?;
        let bytes = bytes.get(..bytes.len().min(CHUNK_BYTES)).unwrap_or_default();
        let (written, receiver) = oneshot::channel();
        if self.orders.send((bytes.to_owned(), written)).is_err() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        self.written = Some(receiver);
        Poll::Ready(Ok(bytes.len()))
    }

    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(written) = &mut self.written else { return Poll::Ready(Ok(())) };
        let done = ready!(Pin::new(written).poll(context));
        self.written = None;
        Poll::Ready(done.unwrap_or_else(|_| Err(ErrorKind::BrokenPipe.into())))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _, pipe},
        thread,
        time::Duration,
    };

    use rustix::{fs::OFlags, fs::fcntl_setfl};

    use super::*;

    /// More than any pipe holds.
    const MANY: usize = 1 << 20;
    /// For a thread to find that there is nothing, or no room.
    const A_WHILE: Duration = Duration::from_millis(50);

    #[test]
    fn a_read_waits_for_what_is_not_there_yet() {
        let (ours, mut theirs) = pipe().unwrap();
        fcntl_setfl(&ours, OFlags::NONBLOCK).unwrap();
        let reading = thread::spawn(move || {
            let mut buffer = [0; 8];
            let count = read(&ours, &mut buffer).unwrap();
            buffer[..count].to_vec()
        });

        // Also right if the reader comes later.
        thread::park_timeout(A_WHILE);
        theirs.write_all(b"late").unwrap();

        assert_eq!(reading.join().unwrap(), b"late");
    }

    #[test]
    fn a_write_waits_for_room() {
        let (mut theirs, ours) = pipe().unwrap();
        fcntl_setfl(&ours, OFlags::NONBLOCK).unwrap();
        let writing = thread::spawn(move || write_all(&ours, &vec![b'x'; MANY]).unwrap());

        thread::park_timeout(A_WHILE);
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).unwrap();

        writing.join().unwrap();
        assert_eq!(bytes.len(), MANY);
    }

    #[test]
    fn the_end_is_the_end_also_where_nothing_blocks() {
        let (ours, theirs) = pipe().unwrap();
        fcntl_setfl(&ours, OFlags::NONBLOCK).unwrap();
        drop(theirs);

        assert_eq!(read(&ours, &mut [0; 8]).unwrap(), 0);
    }
}
