//! The files of a workspace: the inbox cursor, the journal of the inbox, and the inbound secret.
//!
//! ```text
//!                        ┌─ cursor, secret ──► the same? ──► replaced as a whole
//! change ──► in its turn ┤
//!                        └─ journal ──► added to, or replaced as a whole
//! ```
//!
//! The directory is made by the first change, and made again if somebody removes it.

use std::{
    future,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify, RwLock},
    task::{self, JoinError},
    time::{self, Instant},
};
use tracing::Span;

pub use super::lock::{Lead, Leader};
use super::{
    paths::InboxPaths,
    small_file::Exposure,
    store::OwnStore,
    takeover::Requests,
    words::{SECRET_BYTES, read, word},
    writer::Writer,
};
use crate::{
    account::Account,
    guest::wire::{FileUpdate, Outcome, Saved},
    hidden,
    names::names,
};

/// How long the lead is waited for, once it was asked for: longer than the request is good.
const HANDED_OVER: Duration = Duration::from_secs(6);
/// How often the lock is tried meanwhile, so that no other process is faster.
const TRY_AGAIN: Duration = Duration::from_millis(10);

/// The files in one directory. Clones share it.
#[derive(Debug, Clone)]
pub struct Files {
    /// None if nothing is kept.
    paths: Option<InboxPaths>,
    /// Held while a file changes: changes happen one after the other, in the order they were asked for.
    writer: Option<Arc<Mutex<Writer>>>,
    /// Told when the lock is to be looked at.
    doubt: Arc<Notify>,
    /// Told when this process has got the lead because its agent asked for it.
    led: Arc<Notify>,
    /// Who leads, as far as it was looked for; none before that.
    known: Arc<std::sync::Mutex<Option<Lead>>>,
    uploads: Uploads,
    /// In place of files.
    own: Option<OwnStore>,
}

/// Held for reading while something changes the files that users have sent, to its end.
pub type Uploads = Arc<RwLock<()>>;

impl Files {
    /// The files of a workspace.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        let own = account.store().map(|store| OwnStore::new(store, &account.id));
        let paths = account.paths().filter(|_| own.is_none());
        Self { own, ..Self::at(paths.cloned()) }
    }

    /// The files at `paths`; with none, nothing is kept.
    pub(crate) fn at(paths: Option<InboxPaths>) -> Self {
        let writer = paths.as_ref().map(Writer::new);
        let doubt = writer.as_ref().map(Writer::doubt).unwrap_or_default();
        let writer = writer.map(|writer| Arc::new(Mutex::new(writer)));
        Self {
            paths,
            writer,
            doubt,
            led: Arc::default(),
            known: Arc::default(),
            uploads: Uploads::default(),
            own: None,
        }
    }

    /// Carries out a change: `Stored` once it would survive a crash, else `StoreFailed`; `Refused` if
    /// another program uses the file.
    ///
    /// A change that has begun goes on to its end also if the future is dropped.
    pub async fn store(&self, update: FileUpdate) -> Outcome {
        if let Some(own) = &self.own {
            return own.change(update.change).await;
        }
        match self.write(|writer| writer.change(update.change)).await {
            Ok(Some(Ok(()))) => Outcome::Stored,
            Ok(Some(Err(why))) => why.into(),
            Ok(None) => Outcome::StoreFailed(nowhere()),
            Err(cause) => Outcome::StoreFailed(cause.to_string()),
        }
    }

    /// What is on disk, for the process that leads the inbox.
    pub async fn saved(&self) -> Saved {
        if let Some(own) = &self.own {
            return own.saved().await;
        }
        let nothing = Saved { cursor: None, journal: Vec::new(), damaged_after: None };
        match self.write(Writer::saved).await {
            Ok(saved) => saved.unwrap_or(nothing),
            // Whatever the defect was, what is on disk is not known.
            Err(_) => Saved { damaged_after: Some(0), ..nothing },
        }
    }

    /// Takes the lock of the inbox, if nobody else has it. Who does not lead changes neither the cursor nor
    /// the journal.
    pub async fn lead(&self) -> Lead {
        if self.own.is_some() {
            self.now_leads(Some(Lead::Here));
            return Lead::Here;
        }
        let lead = match self.write(Writer::lead).await {
            Ok(Some(lead)) => lead,
            Ok(None) => Lead::Unlocked(nowhere()),
            Err(cause) => Lead::Unlocked(cause.to_string()),
        };
        self.now_leads(Some(lead.clone()));
        lead
    }

    /// Who led when it was last looked for, without another look; none if it was not, or the lead was given back.
    #[must_use]
    pub fn known_lead(&self) -> Option<Lead> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn now_leads(&self, lead: Option<Lead>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = lead;
    }

    /// Asks the process that leads to hand over, and leads.
    ///
    /// # Errors
    /// When that one does not: nothing is taken from a process that could still write. The text says what a
    /// person can do.
    pub async fn take_over(&self) -> Result<(), String> {
        let Some(leader) = self.other_leader().await else { return Ok(()) };
        let silent = |how: &str| {
            format!(
                "{} {how}. While it lives it could still write, so nothing was taken from it: {}, and this process takes \
                 over by itself within 6 s",
                leader.who,
                leader.end_it()
            )
        };
        match self.write(|writer| writer.request_lead()).await {
            Ok(Some(Ok(true))) => {}
            Ok(None | Some(Ok(false))) => return Err(silent("cannot be asked to hand over")),
            Ok(Some(Err(cause))) => return Err(silent(&format!("cannot be asked to hand over ({cause})"))),
            Err(cause) => return Err(silent(&format!("cannot be asked to hand over ({cause})"))),
        }
        let give_up = Instant::now() + HANDED_OVER;
        while Instant::now() < give_up {
            time::sleep(TRY_AGAIN).await;
            match self.other_leader().await {
                None => return Ok(()),
                Some(other) if other.who != leader.who => {
                    return Err(format!("{} was faster, and leads now", other.who));
                }
                Some(_) => {}
            }
        }
        Err(silent("does not answer: it may be stopped, or hang"))
    }

    /// Takes the lock if it is free; the process that leads if it is not.
    async fn other_leader(&self) -> Option<Leader> {
        match self.lead().await {
            Lead::Another(leader) => Some(leader),
            Lead::Here | Lead::Unlocked(_) => {
                self.led.notify_one();
                None
            }
        }
    }

    /// Returns when [`Files::take_over`] has made this process lead.
    pub async fn has_taken_over(&self) {
        self.led.notified().await;
    }

    /// The requests of other processes for the lead. None if there can be none.
    pub(crate) async fn requests(&self) -> Option<Requests> {
        let opened = self.write(|writer| writer.requests()).await.ok().flatten().flatten()?;
        opened.inspect_err(|cause| tracing::info!("no other process can ask for the inbox: {cause}")).ok()
    }

    /// Gives the lock back, once each change that has begun is made; from here on nothing but the secret is changed
    /// until [`Files::lead`].
    pub async fn resign(&self) {
        let _no_file_of_the_user_changes = self.uploads.write().await;
        // It can only fail with a defect, and then the process goes on leading.
        let _ = self.write(Writer::resign).await;
        self.now_leads(None);
    }

    /// The process that leads, if another one does.
    pub async fn leader(&self) -> Option<Leader> {
        let leader = self.write(|writer| writer.leader()).await.ok().flatten().flatten();
        if let Some(leader) = &leader {
            self.now_leads(Some(Lead::Another(leader.clone())));
        }
        leader
    }

    /// Writes down for other processes that the client of this one calls a tool.
    pub async fn note_call(&self) {
        let _ = self.write(|writer| writer.note_call()).await;
    }

    /// What changes the files that users have sent holds this for reading.
    pub(crate) fn uploads(&self) -> Uploads {
        Arc::clone(&self.uploads)
    }

    /// Whether nobody else can have changed the files since [`Files::lead`]; if not, that has to be called
    /// again, and everything read again.
    pub async fn still_leads(&self) -> bool {
        matches!(self.write(Writer::still_leads).await, Ok(None | Some(true)))
    }

    /// Returns when a change has found that the lock may be another process's by now.
    pub async fn lock_in_doubt(&self) {
        self.doubt.notified().await;
    }

    /// The id in the cursor file; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_cursor(&self) -> Option<String> {
        self.paths.as_ref()?.read_cursor()
    }

    /// The secret on disk; none if there is no such file, or anything else in it.
    #[must_use]
    pub fn read_secret(&self) -> Option<String> {
        if let Some(own) = &self.own {
            return own.secret();
        }
        let path = &self.paths.as_ref()?.secret;
        let file = read(path, SECRET_BYTES)?;
        if file.exposure() != Exposure::Private {
            let shown = path.display();
            tracing::warn!(
                "{shown} is open to other users (mode {:04o}): run chmod 600 {shown}",
                file.mode()
            );
        }
        let secret = word(&file)?;
        hidden::hide(&secret);
        Some(secret)
    }

    /// Does it in its turn, and to its end; none if there are no files.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> T + Send + 'static,
    ) -> Result<Option<T>, JoinError> {
        let Some(writer) = &self.writer else {
            return Ok(None);
        };
        let mut writer = Arc::clone(writer).lock_owned().await;
        let span = Span::current();
        match task::spawn_blocking(move || span.in_scope(|| work(&mut writer))).await {
            Ok(done) => Ok(Some(done)),
            // It was never begun, because the runtime ends: that says nothing of the disk.
            Err(cancelled) if cancelled.is_cancelled() => future::pending().await,
            Err(panicked) => Err(panicked),
        }
    }
}

/// Why nothing is kept.
fn nowhere() -> String {
    format!("no directory for state can be written: set {} to one", names().state)
}

#[cfg(test)]
#[path = "files_rig.rs"]
mod rig;

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "files_journal_tests.rs"]
mod journal_tests;

#[cfg(test)]
#[path = "files_lead_tests.rs"]
mod lead_tests;
