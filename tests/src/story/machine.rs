//! What outlives the process: the platform, the disk, and time.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use molecule_journal::cursor::Wanted;
use molecule_runtime::{
    guest::wire::{CursorChange, FileChange, Outcome, Saved},
    sys::clock::Clock,
};
use standin::{Level, Now, Platform, Switches, world::Credentials};
use tokio::{sync::watch, time::Instant};

use super::locked;

/// The platform's clock at the start: 2026-05-20T12:00:00Z.
const EPOCH_MICROS: i64 = 1_779_278_400_000_000;

/// Where the platform is.
pub(super) const HOST: &str = "platform.test";

pub(super) struct Machine {
    start: Instant,
    pub(super) me: Credentials,
    platform: Mutex<Platform>,
    /// Changes whenever the platform may have.
    changed: watch::Sender<()>,
    /// Whether an event stream can be opened.
    events: AtomicBool,
    files: Mutex<Files>,
    /// What the agent may attach to messages, by path.
    pub(super) attachments: BTreeMap<String, Bytes>,
}

/// What is on disk.
#[derive(Default)]
pub(super) struct Files {
    pub(super) cursor: Option<String>,
    pub(super) wanted: Wanted,
    pub(super) journal: Vec<String>,
    /// How many records stand before the first damage, if there is any.
    pub(super) damaged_after: Option<u32>,
    /// What damaged or foreign journals were, oldest first.
    pub(super) copies: Vec<Vec<String>>,
    pub(super) secret: Option<String>,
    /// What the user has sent, by path.
    pub(super) uploads: BTreeMap<String, Bytes>,
    pub(super) writes: usize,
    /// Why nothing can be written, while that is so.
    pub(super) trouble: Option<String>,
}

/// The platform, held by one at a time. Whoever lets go of it may have changed it.
pub struct Held<'a> {
    platform: MutexGuard<'a, Platform>,
    changed: &'a watch::Sender<()>,
}

impl Deref for Held<'_> {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        &self.platform
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Platform {
        &mut self.platform
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.changed.send_replace(());
    }
}

impl Files {
    /// Carries out a change as the host does.
    pub(super) fn change(&mut self, change: FileChange) -> Outcome {
        if let Some(why) = &self.trouble {
            return Outcome::StoreFailed(why.clone());
        }
        match change {
            FileChange::Append(append) => self.journal.extend(append.records),
            FileChange::Cursor(CursorChange { known, id }) => {
                if !self.wanted.may_become(&self.cursor, &known, &id) {
                    return Outcome::Refused("the cursor file holds something else".to_owned());
                }
                self.cursor = id;
            }
            FileChange::InboundSecret(secret) => self.secret = Some(secret),
            FileChange::Rewrite(rewrite) => {
                let old = std::mem::replace(&mut self.journal, rewrite.records);
                self.damaged_after = None;
                if rewrite.keep_copy {
                    self.copies.push(old);
                }
            }
        }
        self.writes += 1;
        Outcome::Stored
    }

    /// What the guest is told at its start.
    pub(super) fn saved(&self) -> Saved {
        Saved {
            cursor: self.cursor.clone(),
            journal: self.journal.clone(),
            damaged_after: self.damaged_after,
        }
    }
}

impl Machine {
    pub(super) fn new(
        level: Level,
        switches: Switches,
        events: bool,
        attachments: BTreeMap<String, Bytes>,
    ) -> Self {
        let mut platform = Platform::new(level, switches, 7, Now::from_micros(EPOCH_MICROS));
        let me = platform.external_workspace("agent");
        Self {
            start: Instant::now(),
            me,
            platform: Mutex::new(platform),
            changed: watch::Sender::new(()),
            events: AtomicBool::new(events),
            files: Mutex::default(),
            attachments,
        }
    }

    /// The platform as it is at this moment.
    pub(super) fn platform(&self) -> Held<'_> {
        Held { platform: self.look(), changed: &self.changed }
    }

    /// The same, for those who change nothing that others wait for.
    pub(super) fn look(&self) -> MutexGuard<'_, Platform> {
        let mut platform = locked(&self.platform);
        platform.tick(self.platform_time());
        platform
    }

    /// Tells of every change of the platform that somebody makes.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether an event stream can be opened.
    pub(super) fn brings_events(&self) -> bool {
        self.events.load(Ordering::Relaxed)
    }

    /// Opens the way for event streams, or closes it and all of them.
    pub(super) fn bring_events(&self, on: bool) {
        self.events.store(on, Ordering::Relaxed);
        if !on {
            self.platform().close_streams();
        }
    }

    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        locked(&self.files)
    }

    /// The clock of every process.
    pub(super) fn clock(&self) -> Clock {
        Clock::tokio_since(self.start)
    }

    pub(super) fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds from the beginning to `at`.
    pub(super) fn ms_of(&self, at: Now) -> u64 {
        u64::try_from(at.since(Now::from_micros(EPOCH_MICROS)).as_millis()).unwrap_or(u64::MAX)
    }

    /// The instant so many milliseconds after the beginning.
    pub(super) fn instant(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    pub(super) fn platform_time(&self) -> Now {
        Now::from_micros(EPOCH_MICROS).plus(self.start.elapsed())
    }
}
