//! The inbox in a world where everything breaks: one seed, one life, one judgement.
//!
//! The guest's own logic, the stand-in and the host's journal run natively on a simulated disk and a simulated
//! clock, without threads; all chance comes from the seed. So a life can be lived again, exactly.
//!
//! | Module | Is |
//! |---|---|
//! | `world` | the clock, and everything that happens in its order |
//! | `turns` | how turns of the guest are carried out |
//! | `breakage` | what breaks, and what a crash leaves |
//! | `plan` | what a seed's world is like |
//! | `platform` | the stand-in behind a bad line, and the people who write |
//! | `process` | a process of the program |
//! | `files`, `disk`, `medium` | what it keeps, and what it keeps that on |
//! | `agent` | who calls the tools |
//! | `another` | another implementation, which takes turns with ours on one directory |
//! | `harm` | what can happen to the bytes of a file |
//! | `history`, `records`, `rings` | what happened, and whether it may |
//! | `chance` | where all chance comes from |

mod agent;
mod another;
mod breakage;
mod chance;
mod disk;
mod files;
mod harm;
mod history;
mod medium;
mod plan;
mod platform;
mod process;
mod records;
mod rings;
mod turns;
mod wire;
mod world;

use std::{
    num::NonZero,
    ops::Range,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use molecule_logic::planted::plant;
pub use molecule_logic::planted::{BUGS, Bug};

use self::{harm::HARMS, history::History, plan::Kind, world::World};
pub use self::{
    history::Tally,
    medium::{SURVIVORS, Survivors},
};

/// What a life has shown.
#[derive(Debug, Clone)]
pub struct Life {
    /// What must not happen, and did.
    pub violations: Vec<String>,
    /// What was counted.
    pub tally: Tally,
}

impl Life {
    fn of(history: &History) -> Self {
        Self { violations: history.violations().to_vec(), tally: history.tally }
    }
}

/// Lives the life of a seed; `trace` is told everything that happens.
#[must_use]
pub fn live(seed: u64, trace: Option<&mut dyn FnMut(&str)>) -> Life {
    Life::of(&World::new(seed, trace).live())
}

/// A life with something that must not happen.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Whose life it is.
    pub seed: u64,
    /// What happened.
    pub violations: Vec<String>,
}

/// A life in which nothing breaks but the power, in the file operation of this number, and with what survives
/// of it; none if its first process ends before that. `trace` is told everything that happens.
#[must_use]
pub fn cut(operation: u64, survivors: Survivors, trace: Option<&mut dyn FnMut(&str)>) -> Option<Life> {
    let life = Life::of(&World::quiet(trace).cut(operation, survivors).live());
    // Every life ends with a kill.
    (life.tally.crashes > 1 || !life.violations.is_empty()).then_some(life)
}

/// Cuts the power in every file operation of a life, and with all that can survive; what must not happen, and
/// the number of operations.
#[must_use]
pub fn cuts() -> (Vec<String>, u64) {
    let (mut failures, mut operation) = (Vec::new(), 0);
    loop {
        for survivors in SURVIVORS {
            let Some(life) = cut(operation, survivors, None) else { return (failures, operation) };
            failures.extend(life.violations.into_iter().map(|violation| {
                format!("cut in operation {operation}, {survivors:?} survives: {violation}")
            }));
        }
        operation += 1;
    }
}

/// Harms the journal of a life in which nothing else breaks, at every byte that is a multiple of `step` and in
/// every way; what must not happen, and the number of lives.
#[must_use]
pub fn harms(step: usize) -> (Vec<String>, usize) {
    let (mut failures, mut lives) = (Vec::new(), 0);
    for harm in HARMS {
        let mut at = 0;
        loop {
            let history = World::quiet(None).harmed(harm, at).live();
            lives += 1;
            let violations = history.violations().iter();
            failures.extend(violations.map(|violation| format!("{harm:?} at {at}: {violation}")));
            at += step;
            if at >= history.harmed_bytes {
                break;
            }
        }
    }
    (failures, lives)
}

/// As [`live`], in a world in which another implementation takes turns with ours, and nothing else breaks.
#[must_use]
pub fn live_of_two(seed: u64, trace: Option<&mut dyn FnMut(&str)>) -> Life {
    Life::of(&World::of_two(seed, trace).live())
}

/// Lives in which another implementation takes turns with ours, and nothing else breaks; what must not happen, and the
/// number of turns.
#[must_use]
pub fn turns_of_two(seeds: Range<u64>) -> (Vec<String>, u64) {
    let (mut failures, mut turns) = (Vec::new(), 0);
    for seed in seeds {
        let life = live_of_two(seed, None);
        turns += life.tally.turns_of_another;
        failures.extend(life.violations.iter().map(|violation| format!("seed {seed}: {violation}")));
    }
    (failures, turns)
}

/// As [`live`], in a world in which the agent mostly sleeps.
#[must_use]
pub fn live_of_sleeper(seed: u64, trace: Option<&mut dyn FnMut(&str)>) -> Life {
    Life::of(&World::of_sleeper(seed, trace).live())
}

/// Lives in which the agent mostly sleeps; what must not happen, and the number of rings.
#[must_use]
pub fn nights(seeds: Range<u64>) -> (Vec<String>, u64) {
    let (mut failures, mut rings) = (Vec::new(), 0);
    for seed in seeds {
        let life = live_of_sleeper(seed, None);
        rings += life.tally.rings;
        failures.extend(life.violations.iter().map(|violation| format!("seed {seed}: {violation}")));
    }
    (failures, rings)
}

/// What many lives have shown.
#[derive(Debug, Default, Clone)]
pub struct Report {
    /// Those that failed, by their seeds.
    pub failures: Vec<Failure>,
    /// What was counted in all of them.
    pub tally: Tally,
}

/// Lives many lives, on all processors; `progress` is told now and then how many are over.
pub fn many(seeds: Range<u64>, progress: &mut dyn FnMut(u64)) -> Report {
    let mut report = Report::default();
    let mut done = 0;
    lives(seeds, &|seed| live(seed, None), &mut |seed, life| {
        report.tally.add(&life.tally);
        if !life.violations.is_empty() {
            report.failures.push(Failure { seed, violations: life.violations });
        }
        done += 1;
        progress(done);
        true
    });
    report.failures.sort_by_key(|failure| failure.seed);
    report
}

/// The first life, about, in which a bug is noticed that was planted in the guest. In all of them something happens
/// that gives this bug a chance.
pub fn find(bug: Bug, seeds: Range<u64>) -> Option<Failure> {
    let sleeps = matches!(bug, Bug::NoRingLimit | Bug::RingMissesNewer | Bug::RingsForHandled);
    let live = |seed| {
        let world = if sleeps { World::of_sleeper(seed, None) } else { World::inviting(seed, shown_by(bug)) };
        Life::of(&world.live())
    };
    let mut found = None;
    let planted = |seed| {
        plant(Some(bug));
        live(seed)
    };
    lives(seeds, &planted, &mut |seed, life| {
        // A life that fails without the bug has noticed something else.
        if !life.violations.is_empty() && live(seed).violations.is_empty() {
            found = Some(Failure { seed, violations: life.violations });
        }
        found.is_none()
    });
    found
}

/// What has to happen for a bug to do harm.
const fn shown_by(bug: Bug) -> Option<Kind> {
    match bug {
        Bug::AckNotSynced | Bug::FileNameChanges => Some(Kind::Cut),
        Bug::AckNotWritten | Bug::FloorBeforeStage | Bug::NoRedeliveredFlag => Some(Kind::Kill),
        Bug::ClockBelieved => Some(Kind::Clock),
        Bug::DamageIgnored => Some(Kind::Damage),
        Bug::FailureNotTold => Some(Kind::Disk),
        Bug::HandoverLooksFurtherBack => Some(Kind::Another),
        Bug::CursorPastWaiting
        | Bug::DropsOldest
        | Bug::FileAckedUnhandled
        | Bug::HighFloorFirst
        | Bug::NoRingLimit
        | Bug::NoSweep
        | Bug::RingMissesNewer
        | Bug::RingsForHandled
        | Bug::WindowNotPagedBack => None,
    }
}

/// Lives them on all processors, for as long as `judge` wants more of them.
fn lives(seeds: Range<u64>, live: &(dyn Fn(u64) -> Life + Sync), judge: &mut dyn FnMut(u64, Life) -> bool) {
    let next = AtomicU64::new(seeds.start);
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let (sender, lives) = mpsc::channel();
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send((seed, live(seed))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (seed, life) in lives {
            if !judge(seed, life) {
                break;
            }
        }
    });
}
