//! Kills the real binary until it should have lost something: `kill9 DIRECTORY [KILLS MESSAGES TAKEOVERS]`, the
//! directory that holds `molecule-mcp`.
//!
//! Ends with 0 if nothing was lost, repeated or out of order.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this program is for")]

use std::{
    env,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use molecule_tests::{
    kill9::{How, repeatedly, takeover},
    launch::Launch,
};

/// Seconds between two lines that say how far it is.
const PROGRESS_SECS: u64 = 5;

struct Wanted {
    binary: PathBuf,
    kills: u64,
    messages: u64,
    takeovers: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(wanted) = wanted(&arguments) else {
        eprintln!("usage: kill9 DIRECTORY [KILLS MESSAGES TAKEOVERS], the directory that holds molecule-mcp");
        return ExitCode::from(2);
    };
    match run(wanted).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            println!("not as it should be: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn wanted(arguments: &[String]) -> Option<Wanted> {
    let number = |place: usize, default| match arguments.get(place) {
        Some(text) => text.parse().ok(),
        None => Some(default),
    };
    Some(Wanted {
        binary: PathBuf::from(arguments.first()?).join("molecule-mcp"),
        kills: number(1, 1_000)?,
        messages: number(2, 10_000)?,
        takeovers: number(3, 50)?,
    })
}

async fn run(wanted: Wanted) -> Result<()> {
    let Wanted { binary, kills, messages, takeovers } = wanted;
    let killed = repeatedly(Launch::of(binary.clone())?, kills, messages, &mut says("kills", kills)).await?;
    println!(
        "{} kills while {} messages flowed, in {:.0} s: none lost, {} shown again, all of them flagged; {} processes died \
         before they showed anything",
        killed.kills,
        killed.messages,
        killed.took.as_secs_f64(),
        killed.redelivered,
        killed.idle
    );
    for how in [How::Killed, How::Asked] {
        take_over(&binary, takeovers, how).await?;
    }
    Ok(())
}

async fn take_over(binary: &Path, takeovers: u64, how: How) -> Result<()> {
    let launch = Launch::of(binary.to_owned())?;
    let taken = takeover(launch, takeovers, how, &mut says("takeovers", takeovers)).await?;
    let way = match how {
        How::Asked => "asked for",
        How::Killed => "after a kill",
    };
    println!(
        "{} takeovers {way} while {} messages flowed, in {:.0} s: none lost, {} shown again, all of them flagged; the longest \
         took {:.1} s",
        taken.takeovers,
        taken.messages,
        taken.took.as_secs_f64(),
        taken.redelivered,
        taken.longest.as_secs_f64()
    );
    Ok(())
}

/// Says how far it is, now and then.
fn says(what: &'static str, of: u64) -> impl FnMut(u64) {
    let (start, mut said) = (Instant::now(), 0);
    move |done| {
        let seconds = start.elapsed().as_secs();
        if seconds >= said + PROGRESS_SECS {
            said = seconds;
            eprintln!("{done} of {of} {what} after {seconds} s");
        }
    }
}
