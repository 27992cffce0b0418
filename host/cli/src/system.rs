//! What the program needs of the system, and what it says where that is not given.

use std::{
    error::Error,
    io,
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Resource, getrlimit},
};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use crate::log;

/// The work is waiting, and the guest takes its turns one after the other anyway: to hand a reply to another
/// thread takes longer than to make it.
const WORKERS: usize = 1;
/// Threads for what blocks: files, and the look-up of names.
const BLOCKING_THREADS: usize = 16;
/// One that exists stays, so that no file waits for a thread that the system does not give.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// Descriptors that the busiest program has open, and some more.
const DESCRIPTORS: i32 = 32;
/// From so many bytes on, a piece of memory is one of its own.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: i32 = 256 << 10;
/// Memory that a small session takes on top of the component.
const MEMORY_BYTES: usize = 16 << 20;

/// The system refuses something without which the program cannot work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TooLittle(String);

/// Makes a write beyond a limit on the size of files an error like that of a full disk, where the system would
/// end the program.
#[expect(unsafe_code, reason = "there is no safe way to ignore a signal")]
pub fn take_a_full_disk_for_an_error() {
    // SAFETY: ignoring a signal runs no code of ours in a handler.
    let _ = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Has large pieces of memory go back to the system as soon as they are free. The C library would keep those of a
/// large message for ever: each one that is freed raises the size from which pieces are given back.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "there is no safe way to set up the allocator of the C library")]
pub fn give_back_memory() {
    // SAFETY: it takes no pointer, and no other thread runs yet.
    let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
}

/// Has large pieces of memory go back to the system as soon as they are free, which other C libraries do anyway.
#[cfg(not(target_env = "gnu"))]
pub const fn give_back_memory() {}

/// Whether there is room for the descriptors that the program needs, one of which is `any`.
///
/// # Errors
/// When the limit on them is too low.
pub fn has_descriptors(any: impl std::os::fd::AsFd) -> io::Result<()> {
    match rustix::io::fcntl_dupfd_cloexec(any, DESCRIPTORS) {
        Ok(_) => Ok(()),
        Err(Errno::INVAL | Errno::MFILE) => {
            let limit = getrlimit(Resource::Nofile).current.unwrap_or_default();
            let why = format!("of {limit} descriptors, where {DESCRIPTORS} are needed");
            Err(io::Error::new(io::ErrorKind::QuotaExceeded, why))
        }
        Err(cause) => Err(cause.into()),
    }
}

/// The runtime of the server.
///
/// # Errors
/// When the system does not give the memory, threads or descriptors for it.
pub fn runtime() -> anyhow::Result<Runtime> {
    Vec::<u8>::new()
        .try_reserve_exact(MEMORY_BYTES)
        .map_err(|_| TooLittle(format!("there are no {} MiB of memory", MEMORY_BYTES >> 20)))?;
    quietly(|| {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(FOR_EVER)
            .enable_all()
            .build()?;
        // The one that exists.
        drop(runtime.spawn_blocking(|| {}));
        Ok(runtime)
    })
}

/// A runtime that does one thing.
///
/// # Errors
/// When the system does not give the descriptors for it.
pub fn small_runtime() -> anyhow::Result<Runtime> {
    quietly(|| Ok(Builder::new_current_thread().build()?))
}

/// Tokio panics where the system gives it no thread, or no socket for signals.
fn quietly<T>(make: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let made = panic::catch_unwind(AssertUnwindSafe(make));
    panic::set_hook(hook);
    made.unwrap_or_else(|payload| Err(TooLittle(log::reason(&*payload).to_owned()).into()))
}

/// Whether the system has refused something: then the same program works elsewhere.
#[must_use]
pub fn gives_too_little(cause: &anyhow::Error) -> bool {
    let refused = |cause: &(dyn Error + 'static)| {
        cause.is::<io::Error>() || cause.is::<Errno>() || cause.is::<TooLittle>()
    };
    cause.chain().any(refused)
}

/// A line for the operator.
#[must_use]
pub fn too_little(cause: &anyhow::Error) -> String {
    format!(
        "molecule-mcp: not started, because the system gives this process too little: {cause:#}. Look at its limits on \
         threads (ulimit -u), descriptors (-n) and address space (-v), and whether memory may be made executable"
    )
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write as _};

    use anyhow::Context as _;
    use rustix::process::{Rlimit, setrlimit};

    use super::*;

    #[test]
    fn what_the_system_refuses_is_told_from_what_is_wrong_with_the_program() {
        let refused = |errno: Errno| Err::<(), _>(io::Error::from(errno)).context("no thread").unwrap_err();

        for cause in [refused(Errno::AGAIN), refused(Errno::MFILE), TooLittle("no thread".to_owned()).into()]
        {
            assert!(gives_too_little(&cause), "{cause:#}");
            assert!(!too_little(&cause).contains('\n') && too_little(&cause).contains("no thread"));
        }
        assert!(!gives_too_little(&anyhow::anyhow!("the component does not fit")));
    }

    #[test]
    fn a_panic_of_the_runtime_is_a_refusal() {
        let failed = quietly::<()>(|| panic!("OS can't spawn worker thread")).unwrap_err();

        assert!(gives_too_little(&failed));
        assert!(too_little(&failed).contains("OS can't spawn worker thread"));
    }

    #[test]
    fn a_file_that_may_not_grow_is_an_error() {
        take_a_full_disk_for_an_error();
        let mut file: File = tempfile::tempfile().unwrap();
        let before = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 30), ..before }).unwrap();
        file.set_len(1 << 30).unwrap();
        io::Seek::seek(&mut file, io::SeekFrom::End(0)).unwrap();

        let written = file.write_all(b"x");

        setrlimit(Resource::Fsize, before).unwrap();
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
