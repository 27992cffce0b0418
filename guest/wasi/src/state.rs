//! The directory of state, and what in it belongs to the workspace.

use std::rc::Rc;

use wasip2::random::random::get_random_u64;

use crate::{
    clock::{Clock, sleep_ms},
    directory::{Directory, Preopened},
    environment::Environment,
    files::Files,
    lock::{Lock, Seen, Tried},
    session::Session,
};

/// How long a call waits for the lock: longer than one that nobody holds any more takes to become stale.
const PATIENCE_MS: u64 = 20_000;
/// Between two looks at the lock, at first and at last.
const TRY_AGAIN_MS: (u64, u64) = (10, 200);

/// What is kept of a workspace from call to call.
pub(crate) struct State {
    directory: Rc<dyn Directory>,
    shown: String,
    stem: String,
    lock: String,
    session: String,
    /// What the last look at the lock saw.
    seen: std::cell::RefCell<Option<Seen>>,
}

impl State {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// A text for the agent, if it cannot be used.
    pub(crate) fn open(path: &str, environment: &Environment) -> Result<Self, String> {
        let directory = Preopened::open(path)
            .map_err(|why| format!("Error: MOLECULE_STATE_DIR cannot be used: {why}."))?;
        let platform = &environment.platform;
        let stem = molecule_journal::stem(&platform.base.shown(), &platform.workspace);
        let native = format!("{stem}.lock");
        if directory.read(&native, 4_096).ok().flatten().is_some() {
            return Err(format!(
                "Error: {path} is the directory of a native molecule-mcp, whose lock this host does not see. Give this one a \
                 directory of its own, or, if no native program uses that one any more, remove {native} there."
            ));
        }
        let named = |end: &str| format!("{stem}.{end}");
        let shown = directory.shown().to_owned();
        let (lock, session) = (named("wasi-lock"), named("wasi-session"));
        Ok(Self {
            lock,
            session,
            stem,
            shown,
            directory: Rc::new(directory),
            seen: std::cell::RefCell::default(),
        })
    }

    /// How the operator calls the directory.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The files of the inbox, for as long as `lock` is held.
    pub(crate) fn files(&self, lock: &Rc<Lock>) -> Files {
        Files::new(&self.directory, Rc::clone(lock), &self.stem, &self.shown)
    }

    /// The session that is going on, or the one called `id`.
    pub(crate) fn session(&self, id: String, now: u64) -> Session {
        Session::open(&*self.directory, &self.session, id, now)
    }

    /// Keeps a session.
    pub(crate) fn save(&self, session: &mut Session, now: u64) {
        session.save(&*self.directory, &self.session, now);
    }

    /// The lock, if it is free or stale.
    pub(crate) async fn try_lock(&self, clock: &Clock) -> Option<Lock> {
        let seen = self.seen.take();
        match Lock::take(&self.directory, (&self.lock, &id()), seen, clock.now()) {
            Ok(Tried::Taken(lock)) => Some(lock),
            Ok(Tried::Held(held)) => {
                self.seen.replace(Some(held));
                None
            }
            Err(_) => None,
        }
    }

    /// The lock, for which others may have to be waited for.
    ///
    /// # Errors
    /// A text for the agent, if somebody else keeps it, or the directory cannot be written.
    pub(crate) async fn lock(&self, clock: &Clock) -> Result<Lock, String> {
        let (id, give_up) = (id(), clock.now().saturating_add(PATIENCE_MS));
        let (mut pause, mut seen) = (TRY_AGAIN_MS.0, None);
        loop {
            match Lock::take(&self.directory, (&self.lock, &id), seen.take(), clock.now()) {
                Ok(Tried::Taken(lock)) => return Ok(lock),
                Ok(Tried::Held(held)) => seen = Some(held),
                Err(cause) => {
                    return Err(format!(
                        "Error: {} cannot be written: {cause}. Let this component read and write that directory.",
                        self.shown
                    ));
                }
            }
            if clock.now() >= give_up {
                return Err(format!(
                    "Error: another program has used {} for {} s. Let only one fetch the messages of this workspace at a time, \
                     or try again.",
                    self.shown,
                    PATIENCE_MS / 1_000
                ));
            }
            sleep_ms(pause + get_random_u64() % pause).await;
            pause = (pause * 2).min(TRY_AGAIN_MS.1);
        }
    }
}

/// What tells one try or session from all others.
pub(crate) fn id() -> String {
    format!("{:016x}", get_random_u64())
}
