//! Lives the lives of many seeds, or tells that of one.
//!
//! ```text
//! simulate --seed N                 everything that happens in that life
//! simulate --two N                  the same where another implementation takes turns with ours, and nothing else breaks
//! simulate --seeds FROM..TO         all of them, on all processors
//! simulate --count N                as --seeds 0..N
//! simulate --cuts                   cuts the power in every file operation of a life, whatever survives
//! simulate --cut N                  everything that happens in the four lives that are cut in operation N
//! simulate --harms STEP             harms the journal at every byte that is a multiple of STEP, in every way
//! simulate --planted                plants bugs, and says in which life each of them is noticed
//! ```
//!
//! Ends with 0 if nothing happened that must not happen.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this program is for")]

use std::{
    env,
    io::{self, BufWriter, Write as _},
    ops::Range,
    process::ExitCode,
    time::Instant,
};

use molecule_tests::simulation::{self, BUGS, Failure, Life, SURVIVORS, many};

const USAGE: &str = "usage: simulate --seed N | --two N | --night N | --seeds FROM..TO | --count N | --cuts | --cut N | --harms STEP | --planted";

/// Seconds between two lines that say how far it is.
const PROGRESS_SECS: u64 = 5;

/// In so many lives each bug has to be noticed.
const PLANTED_SEEDS: u64 = 500;

enum Wanted {
    Cut(u64),
    Cuts,
    Harms(usize),
    Many(Range<u64>),
    Night(u64),
    One(u64),
    Planted,
    Two(u64),
}

fn main() -> ExitCode {
    match wanted(&env::args().skip(1).collect::<Vec<_>>()) {
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Some(Wanted::Cut(operation)) => tell_cut(operation),
        Some(Wanted::Cuts) => cut(),
        Some(Wanted::Harms(step)) => harm(step),
        Some(Wanted::One(seed)) => tell(|trace| simulation::live(seed, Some(trace))),
        Some(Wanted::Night(seed)) => tell(|trace| simulation::live_of_sleeper(seed, Some(trace))),
        Some(Wanted::Two(seed)) => tell(|trace| simulation::live_of_two(seed, Some(trace))),
        Some(Wanted::Many(seeds)) => judge(seeds),
        Some(Wanted::Planted) => find_planted(),
    }
}

fn wanted(arguments: &[String]) -> Option<Wanted> {
    let (option, value) = match arguments {
        [option] if option == "--cuts" => return Some(Wanted::Cuts),
        [option] if option == "--planted" => return Some(Wanted::Planted),
        [option, value] => (option, value),
        _ => return None,
    };
    match option.as_str() {
        "--seed" => Some(Wanted::One(value.parse().ok()?)),
        "--night" => Some(Wanted::Night(value.parse().ok()?)),
        "--two" => Some(Wanted::Two(value.parse().ok()?)),
        "--cut" => Some(Wanted::Cut(value.parse().ok()?)),
        "--harms" => Some(Wanted::Harms(value.parse().ok().filter(|step| *step > 0)?)),
        "--count" => Some(Wanted::Many(0..value.parse().ok()?)),
        "--seeds" => {
            let (from, to) = value.split_once("..")?;
            Some(Wanted::Many(from.parse().ok()?..to.parse().ok()?))
        }
        _ => None,
    }
}

fn tell(live: impl FnOnce(&mut dyn FnMut(&str)) -> Life) -> ExitCode {
    let mut output = BufWriter::new(io::stdout().lock());
    // Whoever closes the pipe has seen enough.
    let mut trace = |line: &str| drop(writeln!(output, "{line}"));
    let life = live(&mut trace);
    drop(writeln!(output, "{:?}", life.tally));
    drop(output.flush());
    if life.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell_cut(operation: u64) -> ExitCode {
    let mut violated = false;
    for survivors in SURVIVORS {
        println!("operation {operation}, {survivors:?} survives");
        let mut trace = |line: &str| println!("{line}");
        let life = simulation::cut(operation, survivors, Some(&mut trace));
        violated |= life.is_some_and(|life| !life.violations.is_empty());
    }
    if violated { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn cut() -> ExitCode {
    let (failures, operations) = simulation::cuts();
    failures.iter().for_each(|failure| println!("{failure}"));
    println!("{operations} operations, each of them the last one 4 times: {} failures", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn harm(step: usize) -> ExitCode {
    let (failures, lives) = simulation::harms(step);
    failures.iter().for_each(|failure| println!("{failure}"));
    println!("{lives} journals were harmed: {} failures", failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find_planted() -> ExitCode {
    let mut all = true;
    for bug in BUGS {
        let start = Instant::now();
        let found = simulation::find(bug, 0..PLANTED_SEEDS);
        let seconds = start.elapsed().as_secs_f64();
        match &found {
            Some(Failure { seed, violations }) => {
                println!(
                    "{bug:?} is noticed in life {seed}, after {seconds:.1} s: {}",
                    violations.join("; ")
                );
            }
            None => println!("{bug:?} is not noticed in {PLANTED_SEEDS} lives"),
        }
        all &= found.is_some();
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(seeds: Range<u64>) -> ExitCode {
    let start = Instant::now();
    let count = seeds.end.saturating_sub(seeds.start);
    let mut said = 0;
    let report = many(seeds, &mut |done| {
        let seconds = start.elapsed().as_secs();
        if seconds >= said + PROGRESS_SECS {
            said = seconds;
            eprintln!("{done} of {count} lives after {seconds} s");
        }
    });
    for Failure { seed, violations } in &report.failures {
        println!("seed {seed} fails: {}", violations.join("; "));
        println!("  replay it: make simulate SEED={seed}");
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{count} lives in {seconds:.1} s, {} failed: {:?}", report.failures.len(), report.tally);
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
