//! The two streams of the protocol, moved out of reach of everything else in the process.
//!
//! ```text
//! fd       0        1        2      3 or more
//! before   client   client   log
//! claimed  null     log      log    client, client
//! ```
//!
//! Whatever prints to standard output by mistake ends up in the log, never in the protocol. Pipes and
//! sockets are read and written without threads; files, terminals, and pipes of another user by a thread each.

pub mod patient;
mod reader;

use std::{
    io::{self, IsTerminal as _},
    os::fd::{AsRawFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::{
    fs::{FileType, Mode, OFlags},
    net::{RecvFlags, SendFlags},
    stdio,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd},
    net::unix::pipe,
};

use self::patient::{Reading, Writing};
pub use self::reader::Reader;
use crate::system;

/// The first descriptor that is not a standard one.
const FIRST_FREE: i32 = 3;
/// How much is read from a socket at once.
const READ_BYTES: usize = 16 << 10;

/// The client's ends of standard input and output, and nobody else's.
#[derive(Debug)]
pub struct Stdio {
    input: OwnedFd,
    output: OwnedFd,
}

impl Stdio {
    /// Takes both streams, and leaves null and the log in their places.
    ///
    /// Call it first in `main`, before there are threads and before anything can print. Descriptors
    /// that were closed at the start have been opened to null by Rust's runtime before `main`.
    ///
    /// # Errors
    /// When the system does not give enough descriptors.
    pub fn claim() -> io::Result<Self> {
        system::has_descriptors(stdio::stdin())?;
        let input = rustix::io::fcntl_dupfd_cloexec(stdio::stdin(), FIRST_FREE)?;
        let output = rustix::io::fcntl_dupfd_cloexec(stdio::stdout(), FIRST_FREE)?;
        let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        stdio::dup2_stdin(&null)?;
        stdio::dup2_stdout(stdio::stderr())?;
        Ok(Self { input, output })
    }

    /// Makes both streams ready to be read and written, and says who tells that nobody reads any more.
    ///
    /// # Errors
    /// When the system cannot watch a socket, or has no thread for a file or a terminal.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO.
    pub fn open(self) -> io::Result<(Input, Output, Reader)> {
        let reader = Reader::of(&self.output);
        Ok((Input::open(self.input)?, Output::open(self.output)?, reader))
    }

    /// Whether a person sits at the input.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.input.is_terminal()
    }
}

/// Standard input as the client left it: a pipe, a socket, a file, a terminal or a device.
#[derive(Debug)]
pub struct Input(Source);

#[derive(Debug)]
enum Source {
    Blocking(Reading),
    Pipe(pipe::Receiver),
    Socket(AsyncFd<OwnedFd>),
}

impl Input {
    fn open(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self(if is(&fd, FileType::Socket) {
            Source::Socket(watched(fd, Interest::READABLE)?)
        } else if let Some(pipe) = reopened(&fd, |path| pipe::OpenOptions::new().open_receiver(path)) {
            Source::Pipe(pipe)
        } else {
            Source::Blocking(Reading::start(fd)?)
        }))
    }
}

/// Standard output as the client left it.
#[derive(Debug)]
pub struct Output(Sink);

#[derive(Debug)]
enum Sink {
    Blocking(Writing),
    Pipe(pipe::Sender),
    Socket(AsyncFd<OwnedFd>),
}

impl Output {
    fn open(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self(if is(&fd, FileType::Socket) {
            Sink::Socket(watched(fd, Interest::WRITABLE)?)
        } else if let Some(pipe) = reopened(&fd, |path| pipe::OpenOptions::new().open_sender(path)) {
            Sink::Pipe(pipe)
        } else {
            Sink::Blocking(Writing::start(fd)?)
        }))
    }
}

fn is(fd: &OwnedFd, kind: FileType) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == kind)
}

#[expect(
    deprecated,
    reason = "the successor is unsafe, for types that change their descriptor; this one keeps it"
)]
fn watched(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(socket, interest)
}

/// The pipe behind `fd`, opened a second time: that it does not block is then no matter of the other
/// processes which share `fd`. None if it is no pipe, or cannot be opened again.
fn reopened<P>(fd: &OwnedFd, open: impl FnOnce(String) -> io::Result<P>) -> Option<P> {
    if cfg!(target_os = "linux") && is(fd, FileType::Fifo) {
        return open(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok();
    }
    None
}

impl AsyncRead for Input {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Source::Blocking(reading) => reading.poll_read(context, buffer),
            Source::Pipe(pipe) => Pin::new(pipe).poll_read(context, buffer),
            Source::Socket(socket) => receive(socket, context, buffer),
        }
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Sink::Blocking(writing) => writing.poll_write(context, bytes),
            Sink::Pipe(pipe) => Pin::new(pipe).poll_write(context, bytes),
            Sink::Socket(socket) => send(socket, context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Sink::Blocking(writing) => writing.poll_flush(context),
            Sink::Pipe(_) | Sink::Socket(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

// A socket cannot be opened a second time, so each call says itself that it must not block.

fn receive(
    socket: &AsyncFd<OwnedFd>,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let mut readable = ready!(socket.poll_read_ready(context))?;
        let wanted = buffer.remaining().min(READ_BYTES);
        let space = buffer.initialize_unfilled_to(wanted);
        match readable.try_io(|socket| Ok(rustix::net::recv(socket, space, RecvFlags::DONTWAIT)?)) {
            Ok(received) => {
                let (bytes, _) = received?;
                buffer.advance(bytes);
                return Poll::Ready(Ok(()));
            }
            Err(_not_readable) => {}
        }
    }
}

fn send(socket: &AsyncFd<OwnedFd>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        let mut writable = ready!(socket.poll_write_ready(context))?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match writable.try_io(|socket| Ok(rustix::net::send(socket, bytes, flags)?)) {
            Ok(sent) => return Poll::Ready(sent),
            Err(_not_writable) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Write, pipe},
        os::unix::net::UnixStream,
        thread,
    };

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// More than any pipe or socket holds.
    const MANY: usize = 4 << 20;

    #[tokio::test]
    async fn a_pipe_is_read_to_its_end_without_threads() {
        let (ours, theirs) = pipe().unwrap();
        let input = Input::open(ours.into()).unwrap();

        assert!(matches!(input.0, Source::Pipe(_)));
        read_to_the_end(input, theirs).await;
    }

    #[tokio::test]
    async fn a_socket_is_read_to_its_end_without_threads() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let input = Input::open(ours.into()).unwrap();

        assert!(matches!(input.0, Source::Socket(_)));
        read_to_the_end(input, theirs).await;
    }

    #[tokio::test]
    async fn a_pipe_is_written_without_threads() {
        let (theirs, ours) = pipe().unwrap();
        let output = Output::open(ours.into()).unwrap();

        assert!(matches!(output.0, Sink::Pipe(_)));
        write_to_the_end(output, theirs).await;
    }

    #[tokio::test]
    async fn a_socket_is_written_without_threads() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let output = Output::open(ours.into()).unwrap();

        assert!(matches!(output.0, Sink::Socket(_)));
        write_to_the_end(output, theirs).await;
    }

    #[tokio::test]
    async fn a_file_is_read_and_written() {
        let mut file = tempfile::tempfile().unwrap();
        let mut output = Output::open(file.try_clone().unwrap().into()).unwrap();
        output.write_all(b"one\ntwo\n").await.unwrap();
        output.flush().await.unwrap();
        io::Seek::rewind(&mut file).unwrap();

        let mut text = String::new();
        Input::open(file.into()).unwrap().read_to_string(&mut text).await.unwrap();

        assert_eq!(text, "one\ntwo\n");
    }

    #[tokio::test]
    async fn null_is_an_input_at_its_end() {
        let null = File::open("/dev/null").unwrap();

        assert_eq!(
            Input::open(null.into()).unwrap().read_u8().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_an_error() {
        let (theirs, ours) = pipe().unwrap();
        let mut output = Output::open(ours.into()).unwrap();
        drop(theirs);
        assert_eq!(output.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);

        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut output = Output::open(ours.into()).unwrap();
        drop(theirs);
        assert_eq!(output.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn whoever_shares_a_stream_still_blocks_on_it() {
        let (ours, _theirs) = pipe().unwrap();
        let shared = ours.try_clone().unwrap();
        let _input = Input::open(ours.into()).unwrap();
        assert!(!rustix::fs::fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));

        let (ours, _theirs) = UnixStream::pair().unwrap();
        let shared = ours.try_clone().unwrap();
        let _input = Input::open(ours.into()).unwrap();
        assert!(!rustix::fs::fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));
    }

    async fn read_to_the_end(mut input: Input, mut theirs: impl Write + Send + 'static) {
        let writing = thread::spawn(move || theirs.write_all(&vec![b'x'; MANY]).unwrap());

        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes).await.unwrap();

        writing.join().unwrap();
        assert_eq!(bytes.len(), MANY);
    }

    async fn write_to_the_end(mut output: Output, mut theirs: impl Read + Send + 'static) {
        let reading = thread::spawn(move || {
            let mut bytes = Vec::new();
            theirs.read_to_end(&mut bytes).unwrap();
            bytes.len()
        });

        output.write_all(&vec![b'x'; MANY]).await.unwrap();
        output.flush().await.unwrap();
        drop(output);

        assert_eq!(reading.join().unwrap(), MANY);
    }
}
