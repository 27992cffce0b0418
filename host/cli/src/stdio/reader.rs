//! Notices that nobody can read an output any more, without writing to it.
//!
//! A client that is killed may leave a child behind that still holds the other end of standard input, so
//! that the input never ends.

use std::{future, os::fd::OwnedFd};

/// Whoever reads an output.
#[derive(Debug)]
pub struct Reader(Option<Watch>);

impl Reader {
    pub(super) fn of(output: &OwnedFd) -> Self {
        Self(rustix::io::fcntl_dupfd_cloexec(output, super::FIRST_FREE).ok().and_then(Watch::new))
    }

    /// Returns once the last reader of a pipe or socket has closed it, or a terminal has hung up. What has
    /// no other end, such as a file, is never left.
    pub async fn gone(&self) {
        match &self.0 {
            Some(watch) => watch.hung_up().await,
            None => future::pending().await,
        }
    }
}

#[cfg(target_os = "linux")]
use linux::Watch;
#[cfg(not(target_os = "linux"))]
use portable::Watch;

/// The kernel tells.
#[cfg(target_os = "linux")]
mod linux {
    use std::{future, os::fd::OwnedFd};

    use tokio::io::{Interest, unix::AsyncFd};

    #[derive(Debug)]
    pub(super) struct Watch(AsyncFd<OwnedFd>);

    impl Watch {
        /// None for what cannot be watched: files.
        pub(super) fn new(output: OwnedFd) -> Option<Self> {
            // Errors and hang-ups come without being asked for, and that it can be written is not asked for.
            super::super::watched(output, Interest::ERROR).ok().map(Self)
        }

        pub(super) async fn hung_up(&self) {
            // "Writable" without such an interest stands for a closed other end alone.
            if self.0.ready(Interest::ERROR | Interest::WRITABLE).await.is_err() {
                // The runtime ends.
                future::pending().await
            }
        }
    }
}

/// The kernel is asked twice a second.
#[cfg(not(target_os = "linux"))]
mod portable {
    use std::{os::fd::OwnedFd, time::Duration};

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        fs::FileType,
    };
    use tokio::time;

    const LOOK_EVERY: Duration = Duration::from_millis(500);

    #[derive(Debug)]
    pub(super) struct Watch(OwnedFd);

    impl Watch {
        pub(super) fn new(output: OwnedFd) -> Option<Self> {
            let is_file = super::super::is(&output, FileType::RegularFile);
            (!is_file).then_some(Self(output))
        }

        pub(super) async fn hung_up(&self) {
            while !self.has_hung_up() {
                time::sleep(LOOK_EVERY).await;
            }
        }

        fn has_hung_up(&self) -> bool {
            let mut output = [PollFd::new(&self.0, PollFlags::OUT)];
            let polled = poll(&mut output, Some(&Timespec::default()));
            let [output] = output;
            polled.is_ok() && output.revents().intersects(PollFlags::HUP | PollFlags::ERR)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _, pipe},
        net::Shutdown,
        os::unix::net::UnixStream,
        time::Duration,
    };

    use tokio::time;

    use super::*;

    /// Far more than the kernel needs.
    const SOON: Duration = Duration::from_secs(5);
    const A_WHILE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn the_last_reader_of_a_pipe_is_missed() {
        let (theirs, ours) = pipe().unwrap();
        let (shared, reader) = (theirs.try_clone().unwrap(), Reader::of(&ours.into()));
        drop(theirs);
        assert!(is_there(&reader).await);

        drop(shared);

        time::timeout(SOON, reader.gone()).await.unwrap();
    }

    #[tokio::test]
    async fn the_other_end_of_a_socket_is_missed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let reader = Reader::of(&ours.into());
        assert!(is_there(&reader).await);

        drop(theirs);

        time::timeout(SOON, reader.gone()).await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_only_writes_no_more_still_reads() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let reader = Reader::of(&ours.into());

        theirs.shutdown(Shutdown::Write).unwrap();

        assert!(is_there(&reader).await);
    }

    #[tokio::test]
    async fn a_full_pipe_and_one_that_is_read_again_are_no_end() {
        let (mut theirs, mut ours) = pipe().unwrap();
        let reader = Reader::of(&ours.try_clone().unwrap().into());
        ours.write_all(&[b'x'; 4_096]).unwrap();
        assert!(is_there(&reader).await);

        theirs.read_exact(&mut [0; 4_096]).unwrap();

        assert!(is_there(&reader).await);
    }

    #[tokio::test]
    async fn what_has_no_reader_is_never_left() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        for output in [tempfile::tempfile().unwrap(), null] {
            assert!(is_there(&Reader::of(&output.into())).await);
        }
    }

    async fn is_there(reader: &Reader) -> bool {
        time::timeout(A_WHILE, reader.gone()).await.is_err()
    }
}
