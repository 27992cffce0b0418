//! The queue of Codex: its own program puts a message to a thread, which becomes the next turn of an idle session.
//!
//! The thread is the one that a tool call named; before the first call it is the one whose lock the process above holds
//! open. Codex starts its servers with nearly no environment, so that where it keeps its files is read from that lock.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::{process::Command, time};

use super::{
    door::{Door, Shut},
    surroundings::Surroundings,
};
use crate::mcp::Introduction;

/// It takes less than 0.2 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// In the directory of Codex.
const LOCKS: &str = "thread-writer-locks";

pub(super) struct Codex {
    /// Of the processes above this one, with what they hold open.
    proc: PathBuf,
    ancestors: Vec<u32>,
    home: Option<PathBuf>,
    codex_home: Option<PathBuf>,
    path: Option<OsString>,
}

/// A thread that a process of Codex works on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Thread {
    id: String,
    /// Where Codex keeps its files.
    home: PathBuf,
}

impl Codex {
    pub(super) fn new(surroundings: &Surroundings) -> Self {
        Self {
            proc: "/proc".into(),
            ancestors: surroundings.ancestors.clone(),
            home: surroundings.home.clone(),
            codex_home: surroundings.codex_home.clone(),
            path: surroundings.path.clone(),
        }
    }

    /// The process of Codex above this one: the first whose program has that name.
    fn client(&self) -> Result<u32, Shut> {
        let is_codex = |pid: &&u32| {
            let program = fs::read_link(self.of(**pid).join("exe")).unwrap_or_default();
            program.file_name().is_some_and(|name| name.to_string_lossy().starts_with("codex"))
        };
        let none = || Shut::new("no-door", "no process of Codex is found above this one");
        self.ancestors.iter().find(is_codex).copied().ok_or_else(none)
    }

    fn of(&self, pid: u32) -> PathBuf {
        self.proc.join(pid.to_string())
    }

    /// The threads whose locks a process holds open.
    fn threads(&self, pid: u32) -> Vec<Thread> {
        let Ok(open) = fs::read_dir(self.of(pid).join("fd")) else { return Vec::new() };
        let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let mut threads: Vec<_> = targets.filter_map(|target| thread_of_lock(&target)).collect();
        threads.sort_by(|one, other| one.id.cmp(&other.id));
        threads.dedup();
        threads
    }

    fn thread(&self, pid: u32, named: Option<&str>) -> Result<Thread, Shut> {
        let mut held = self.threads(pid);
        if let Some(id) = named.filter(|id| is_id(id)) {
            let home = held.first().map(|thread| thread.home.clone()).or_else(|| self.default_home());
            let home =
                home.ok_or_else(|| Shut::new("no-door", "it is not known where Codex keeps its files"))?;
            return Ok(Thread { id: id.to_owned(), home });
        }
        match (held.pop(), held.len()) {
            (Some(thread), 0) => Ok(thread),
            (Some(_), others) => Err(Shut::new(
                "ambiguous",
                format!("Codex works on {} threads, and none of them has called a tool here yet", others + 1),
            )),
            (None, _) => Err(Shut::new("no-door", "Codex works on no thread that can be found")),
        }
    }

    fn default_home(&self) -> Option<PathBuf> {
        let usual = || self.home.as_ref().map(|home| home.join(".codex"));
        self.codex_home.clone().or_else(usual)
    }

    async fn send(&self, named: Option<&str>, notice: &str) -> Result<(), Shut> {
        let pid = self.client()?;
        let thread = self.thread(pid, named)?;
        let mut queue = Command::new(self.of(pid).join("exe"));
        queue.args(["queue", "--thread", &thread.id, "--message", notice]);
        // Nothing of what this process was given goes on to another one.
        queue.env_clear().env("CODEX_HOME", &thread.home);
        queue.envs(self.home.as_ref().map(|home| ("HOME", home)));
        queue.envs(self.path.as_ref().map(|path| ("PATH", path)));
        queue.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        match time::timeout(PATIENCE, queue.status()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Shut::new("not-supported", format!("codex queue ended with {status}"))),
            Ok(Err(cause)) => Err(Shut::new("door-closed", format!("codex queue does not start: {cause}"))),
            Err(_) => Err(Shut::new("door-closed", "codex queue does not end in time")),
        }
    }
}

/// The thread to which a lock belongs: `…/thread-writer-locks/ID.lock`.
fn thread_of_lock(path: &Path) -> Option<Thread> {
    let id = path.file_name()?.to_str()?.strip_suffix(".lock")?;
    let locks = path.parent()?;
    let is_lock = locks.file_name()? == LOCKS && is_id(id);
    is_lock.then(|| Some(Thread { id: id.to_owned(), home: locks.parent()?.to_owned() })).flatten()
}

/// It becomes an argument of a program.
fn is_id(id: &str) -> bool {
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_plain && (1..=64).contains(&id.len()) && !id.starts_with('-')
}

impl Door for Codex {
    fn name(&self) -> &'static str {
        "the queue of Codex"
    }

    fn is_of(&self, client: &Introduction) -> bool {
        client.name == "codex-mcp-client"
    }

    fn ring<'a>(&'a self, client: &'a Introduction, notice: &'a str) -> BoxFuture<'a, Result<(), Shut>> {
        self.send(client.thread.as_deref(), notice).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_thread_is_the_only_lock_that_is_held_or_the_one_that_a_call_named() {
        let machine = Machine::new(&["thread-a"]);
        assert_eq!(machine.codex().thread(7, None), Ok(thread("thread-a", "/home/.codex")));
        assert_eq!(machine.codex().thread(7, Some("thread-b")), Ok(thread("thread-b", "/home/.codex")));

        let several = Machine::new(&["thread-a", "thread-b"]);
        assert_eq!(several.codex().thread(7, None).unwrap_err().code, "ambiguous");
        assert_eq!(several.codex().thread(7, Some("thread-b")), Ok(thread("thread-b", "/home/.codex")));
        assert_eq!(several.codex().thread(7, Some("--resume")).unwrap_err().code, "ambiguous");

        let none = Machine::new(&[]);
        assert_eq!(none.codex().thread(7, None).unwrap_err().code, "no-door");
        assert_eq!(none.codex().thread(7, Some("t")), Ok(thread("t", "/root/.codex")));
    }

    #[test]
    fn only_a_process_with_that_name_is_the_client() {
        let machine = Machine::new(&[]);
        assert_eq!(machine.codex().client(), Ok(7));

        fs::remove_file(machine.0.path().join("7/exe")).unwrap();
        symlink("/usr/bin/bash", machine.0.path().join("7/exe")).unwrap();
        assert_eq!(machine.codex().client().unwrap_err().code, "no-door");
    }

    #[tokio::test]
    async fn the_program_of_the_client_is_run_with_the_notice_and_without_our_environment() {
        let machine = Machine::new(&["thread-a"]);
        let told = machine.0.path().join("told");
        let program = machine.0.path().join("7/exe");
        fs::remove_file(&program).unwrap();
        // A script in the place of the client's program, which a link named codex leads to.
        let script = machine.0.path().join("codex");
        fs::write(&script, format!("#!/bin/sh\n(printf '%s|' \"$@\"; env) > {}\n", told.display())).unwrap();
        fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        symlink(&script, &program).unwrap();

        let rung = machine.codex().send(None, "a notice").await;

        let told = fs::read_to_string(told).unwrap();
        assert_eq!(rung, Ok(()), "{told}");
        assert!(told.starts_with("queue|--thread|thread-a|--message|a notice|"), "{told}");
        assert!(told.contains("CODEX_HOME=/home/.codex") && !told.contains("CARGO"), "{told}");
    }

    /// A pretended `/proc`, in which process 7 is Codex.
    struct Machine(TempDir);

    impl Machine {
        fn new(held: &[&str]) -> Self {
            let proc = TempDir::new().unwrap();
            let open = proc.path().join("7/fd");
            fs::create_dir_all(&open).unwrap();
            symlink("/opt/codex/bin/codex", proc.path().join("7/exe")).unwrap();
            symlink("/dev/null", open.join("0")).unwrap();
            for (place, id) in held.iter().enumerate() {
                let lock = format!("/home/.codex/{LOCKS}/{id}.lock");
                symlink(lock, open.join((place + 3).to_string())).unwrap();
            }
            Self(proc)
        }

        fn codex(&self) -> Codex {
            Codex {
                proc: self.0.path().to_owned(),
                ancestors: vec![6, 7],
                home: Some("/root".into()),
                codex_home: None,
                path: None,
            }
        }
    }

    fn thread(id: &str, home: &str) -> Thread {
        Thread { id: id.to_owned(), home: home.into() }
    }
}
