//! Who may change the files of a directory: WASI has no locks, so the exclusive creation of a file is one.
//!
//! ```text
//! no file ──created──► held ──stamped every 2 s──► held ──removed──► no file
//!    ▲                   └── no stamp for 10 s ──► stale ── renamed away ──┐
//!    └──────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A holder that was stopped for long may have lost it: before each change of a file it looks whether the lock is still its
//! own. A clock that jumps can cost a holder its lock, which fails its next change, but never gives it to two.

use std::{cell::Cell, io, rc::Rc};

use crate::directory::Directory;

/// How often the holder says that it is there.
pub(crate) const STAMP_MS: u64 = 2_000;

/// After how long without that the lock is anybody's.
const STALE_MS: u64 = 10_000;

/// Digits of a stamp, so that all have one length.
const DIGITS: usize = 20;

/// A lock that was taken. Dropped, it is given back.
pub(crate) struct Lock {
    directory: Rc<dyn Directory>,
    name: String,
    id: String,
    lost: Cell<bool>,
}

/// Somebody else's lock, as it was seen first.
pub(crate) struct Seen {
    content: Vec<u8>,
    since: u64,
}

/// What came of a try.
pub(crate) enum Tried {
    Taken(Lock),
    /// Somebody has it: to be given to the next try.
    Held(Seen),
}

impl Lock {
    /// Takes the lock `name` of a directory if it is free or stale. `id` tells this try from all others, `seen` is what the
    /// one before saw.
    pub(crate) fn take(
        directory: &Rc<dyn Directory>,
        (name, id): (&str, &str),
        seen: Option<Seen>,
        now: u64,
    ) -> io::Result<Tried> {
        if directory.create(name, &content(id, now))? {
            return Ok(Tried::Taken(Self::new(directory, name, id)));
        }
        let Some(held) = directory.read(name, 256)? else {
            // Given back in between: the next try may have it.
            return Ok(Tried::Held(Seen { content: Vec::new(), since: now }));
        };
        let seen = match seen {
            Some(seen) if seen.content == held && seen.since <= now => seen,
            Some(_) | None => Seen { content: held, since: now },
        };
        if !is_stale(&seen, now) {
            return Ok(Tried::Held(seen));
        }
        clear_away(&**directory, name, id, &seen)?;
        let taken = directory.create(name, &content(id, now))?;
        Ok(if taken {
            Tried::Taken(Self::new(directory, name, id))
        } else {
            Tried::Held(Seen { since: now, ..seen })
        })
    }

    fn new(directory: &Rc<dyn Directory>, name: &str, id: &str) -> Self {
        Self {
            directory: Rc::clone(directory),
            name: name.to_owned(),
            id: id.to_owned(),
            lost: Cell::new(false),
        }
    }

    /// Says that the holder is there; false if it is not the holder any more.
    pub(crate) fn stamp(&self, now: u64) -> bool {
        if !self.is_held() {
            return false;
        }
        // One that cannot be stamped becomes stale, which the next look notices.
        let _ = self.directory.overwrite(&self.name, &content(&self.id, now));
        true
    }

    /// Whether nobody else has taken it.
    pub(crate) fn is_held(&self) -> bool {
        if !self.lost.get() {
            let held = self.directory.read(&self.name, 256).ok().flatten();
            self.lost.set(held.is_none_or(|held| owner(&held) != Some(self.id.as_bytes())));
        }
        !self.lost.get()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_held() {
            // What cannot be removed becomes stale.
            let _ = self.directory.remove(&self.name);
        }
    }
}

/// Takes a stale lock out of the way. Of several who try one succeeds; whoever finds that it has taken a fresh one puts that
/// back, and if it cannot, the holder of that one notices before its next change.
fn clear_away(directory: &dyn Directory, name: &str, id: &str, stale: &Seen) -> io::Result<()> {
    if directory.read(name, 256)?.is_none_or(|held| held != stale.content) {
        return Ok(());
    }
    let aside = format!("{name}.{id}");
    if !directory.rename(name, &aside)? {
        return Ok(());
    }
    let taken = directory.read(&aside, 256)?.unwrap_or_default();
    if taken != stale.content {
        directory.create(name, &taken)?;
    }
    directory.remove(&aside)
}

fn content(id: &str, now: u64) -> Vec<u8> {
    format!("{id} {now:0DIGITS$}\n").into_bytes()
}

fn owner(content: &[u8]) -> Option<&[u8]> {
    content.split(|byte| *byte == b' ').next().filter(|id| !id.is_empty())
}

/// Whether the holder of a lock has not been there for long: by its stamp, or because that has not changed while this side
/// looked, which helps where a clock was set back.
fn is_stale(seen: &Seen, now: u64) -> bool {
    let stamp =
        str::from_utf8(&seen.content).ok().and_then(|text| text.trim_end().rsplit(' ').next()?.parse().ok());
    let silent = stamp.map_or(0, |stamp: u64| now.saturating_sub(stamp));
    silent >= STALE_MS || now.saturating_sub(seen.since) >= STALE_MS
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{cell::RefCell, collections::BTreeMap};

    use super::*;

    const NAME: &str = "lock";

    /// A directory in memory.
    #[derive(Default)]
    pub(crate) struct Memory {
        pub(crate) files: RefCell<BTreeMap<String, Vec<u8>>>,
        pub(crate) is_full: Cell<bool>,
    }

    impl Memory {
        fn write(&self, name: &str, with: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
            if self.is_full.get() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            with(self.files.borrow_mut().get_mut(name).ok_or(io::ErrorKind::NotFound)?);
            Ok(())
        }
    }

    impl Directory for Memory {
        fn read(&self, name: &str, _: u64) -> io::Result<Option<Vec<u8>>> {
            Ok(self.files.borrow().get(name).cloned())
        }

        fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
            if self.files.borrow().contains_key(name) {
                return Ok(false);
            }
            self.replace(name, bytes).map(|()| true)
        }

        fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.write(name, |file| {
                let rest = file.get(bytes.len()..).unwrap_or_default().to_vec();
                *file = [bytes, &rest].concat();
            })
        }

        fn append(&self, name: &str, end: u64, bytes: &[u8]) -> io::Result<()> {
            if self.files.borrow().get(name).is_some_and(|file| file.len() as u64 != end) {
                return Err(io::Error::other("another program has changed it"));
            }
            self.write(name, |file| file.extend_from_slice(bytes))
        }

        fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
            self.write(name, |file| file.truncate(usize::try_from(length).unwrap()))
        }

        fn sync(&self, _: &str) -> io::Result<()> {
            Ok(())
        }

        fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            if self.is_full.get() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.files.borrow_mut().insert(name.to_owned(), bytes.to_vec());
            Ok(())
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
            let Some(file) = self.files.borrow_mut().remove(from) else { return Ok(false) };
            self.files.borrow_mut().insert(to.to_owned(), file);
            Ok(true)
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.files.borrow_mut().remove(name);
            Ok(())
        }
    }

    #[test]
    fn one_has_it_until_it_is_given_back() {
        let directory = directory();
        let first = taken(try_it(&directory, "a", None, 0)).unwrap();
        assert!(taken(try_it(&directory, "b", None, 100)).is_none());

        drop(first);

        assert!(taken(try_it(&directory, "b", None, 200)).is_some());
        assert!(directory.read(NAME, 256).unwrap().is_none());
    }

    #[test]
    fn a_holder_that_says_that_it_is_there_keeps_it() {
        let directory = directory();
        let first = taken(try_it(&directory, "a", None, 0)).unwrap();
        let mut seen = None;
        for now in (0..60_000).step_by(500) {
            if now % STAMP_MS == 0 {
                assert!(first.stamp(now));
            }
            match try_it(&directory, "b", seen.take(), now) {
                Tried::Taken(_) => panic!("taken at {now}"),
                Tried::Held(held) => seen = Some(held),
            }
        }
    }

    #[test]
    fn what_a_killed_holder_left_behind_is_taken_over_once() {
        let directory = directory();
        std::mem::forget(taken(try_it(&directory, "killed", None, 0)).unwrap());

        assert!(taken(try_it(&directory, "a", None, STALE_MS - 1)).is_none());
        let second = taken(try_it(&directory, "a", None, STALE_MS)).unwrap();

        assert!(second.is_held());
        assert!(taken(try_it(&directory, "b", None, STALE_MS)).is_none());
    }

    #[test]
    fn a_holder_that_was_asleep_knows_that_it_has_lost_it_and_leaves_the_other_alone() {
        let directory = directory();
        let asleep = taken(try_it(&directory, "asleep", None, 0)).unwrap();
        let other = taken(try_it(&directory, "b", None, STALE_MS)).unwrap();

        assert!(!asleep.is_held() && !asleep.stamp(STALE_MS + 1));
        drop(asleep);

        assert!(other.is_held());
    }

    #[test]
    fn a_stamp_from_the_future_or_none_at_all_ends_the_wait_after_the_same_time() {
        for content in [content("x", 9_000_000), Vec::new(), b"garbage".to_vec()] {
            let directory = directory();
            directory.create(NAME, &content).unwrap();

            let Tried::Held(seen) = try_it(&directory, "a", None, 5_000) else { panic!() };
            let Tried::Held(seen) = try_it(&directory, "a", Some(seen), 5_000 + STALE_MS - 1) else {
                panic!()
            };

            assert!(taken(try_it(&directory, "a", Some(seen), 5_000 + STALE_MS)).is_some());
        }
    }

    #[test]
    fn a_fresh_lock_that_was_taken_for_a_stale_one_is_put_back() {
        let directory = directory();
        let holder = taken(try_it(&directory, "fresh", None, 50_000)).unwrap();
        let stale = Seen { content: content("killed", 0), since: 0 };

        directory.rename(NAME, "other").unwrap();
        directory.create(NAME, &stale.content).unwrap();
        clear_away(&Swapping { inner: &*directory, at: Cell::new(0) }, NAME, "b", &stale).unwrap();

        assert!(holder.is_held());
    }

    /// Many instances that begin, hold, are killed, fall asleep, and look at clocks that jump: never do two believe that
    /// they hold the lock at the moment of a change.
    #[test]
    fn two_never_change_files_at_once_whatever_the_clocks_do() {
        for seed in 0..2_000 {
            let mut chance = fastrand::Rng::with_seed(seed);
            let directory = directory();
            let mut seen: [Option<Seen>; 4] = [const { None }; 4];
            let mut held: [Option<Lock>; 4] = [const { None }; 4];
            let mut clocks = [1_000_000_u64; 4];
            for step in 0..300 {
                let who = chance.usize(0..4);
                clocks.iter_mut().for_each(|clock| *clock += chance.u64(0..1_500));
                if chance.u8(0..40) == 0 {
                    clocks[who] = clocks[who].saturating_add(20_000).saturating_sub(chance.u64(0..40_000));
                }
                let now = clocks[who];
                match held[who].take() {
                    None => match try_it(&directory, &format!("{who}-{step}"), seen[who].take(), now) {
                        Tried::Taken(lock) => held[who] = Some(lock),
                        Tried::Held(other) => seen[who] = Some(other),
                    },
                    Some(lock) => match chance.u8(0..8) {
                        0 => drop(lock),
                        1 => std::mem::forget(lock),
                        2..=5 => {
                            lock.stamp(now);
                            held[who] = Some(lock);
                        }
                        _ => held[who] = Some(lock),
                    },
                }
                let holders = held.iter().flatten().filter(|lock| lock.is_held()).count();
                assert!(holders <= 1, "seed {seed}, step {step}");
            }
        }
    }

    /// Gives the lock to somebody else between the look at it and its removal.
    struct Swapping<'a> {
        inner: &'a dyn Directory,
        at: Cell<u32>,
    }

    impl Directory for Swapping<'_> {
        fn read(&self, name: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
            self.inner.read(name, limit)
        }
        fn create(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
            self.inner.create(name, bytes)
        }
        fn overwrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.inner.overwrite(name, bytes)
        }
        fn append(&self, name: &str, end: u64, bytes: &[u8]) -> io::Result<()> {
            self.inner.append(name, end, bytes)
        }
        fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
            self.inner.truncate(name, length)
        }
        fn sync(&self, name: &str) -> io::Result<()> {
            self.inner.sync(name)
        }
        fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
            self.inner.replace(name, bytes)
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<bool> {
            if self.at.replace(1) == 0 {
                self.inner.rename("other", from)?;
            }
            self.inner.rename(from, to)
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.inner.remove(name)
        }
    }

    fn directory() -> Rc<dyn Directory> {
        Rc::new(Memory::default())
    }

    fn try_it(directory: &Rc<dyn Directory>, id: &str, seen: Option<Seen>, now: u64) -> Tried {
        Lock::take(directory, (NAME, id), seen, now).unwrap()
    }

    fn taken(tried: Tried) -> Option<Lock> {
        match tried {
            Tried::Taken(lock) => Some(lock),
            Tried::Held(_) => None,
        }
    }
}
