//! The program `molecule-mcp`.
//!
//! ```text
//! arguments ──► settings ──► run ──► exit code
//! ```

use std::{env, future::Future, io, process, thread, time::Duration};

use anyhow::Context;
use molecule_mcp::{
    Exit,
    commands::{self, Command},
    inspect, log, name_settings, serve,
    settings::{self, Settings},
    stdio::{Reader, Stdio, patient},
    system,
};
use molecule_runtime::inspect::Place;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Clients kill 400 ms after they have asked.
const AT_THE_LATEST: Duration = Duration::from_millis(200);

/// So many need no more descriptors than a program has anyway.
const FEW_WORKSPACES: usize = 50;

fn main() {
    system::take_a_full_disk_for_an_error();
    name_settings();
    let code = match commands::parse(env::args_os().skip(1)) {
        Command::Help => print(&commands::help()),
        Command::Inbox { json, ignored } => inbox(json, ignored),
        Command::Serve { ignored } => act(ignored),
        Command::Version => print(&commands::version()),
    };
    // Without waiting for anything: a read of standard input cannot be interrupted.
    process::exit(code)
}

fn print(text: &str) -> i32 {
    // A reader that has seen enough is no failure.
    let _ = patient::write_all(io::stdout(), text.as_bytes());
    commands::DONE
}

fn inbox(json: bool, ignored: usize) -> i32 {
    log::start(false);
    warn_of(ignored);
    let code = match settings::places(|name| env::var_os(name)) {
        Ok(places) => match show(&places, json) {
            Ok(code) => code,
            Err(cause) => failed(&cause),
        },
        Err(problems) => {
            log::say(problems.to_string().trim_end());
            commands::MISCONFIGURED
        }
    };
    log::flush();
    code
}

fn show(places: &[Place], json: bool) -> anyhow::Result<i32> {
    let runtime = system::small_runtime()?;
    let mut shown = Vec::new();
    for place in places {
        let seen = runtime.block_on(inspect::at(place))?;
        shown.push(if json { seen.json() } else { seen.table() });
    }
    Ok(print(&shown.join(if json { "" } else { "\n" })))
}

fn warn_of(ignored: usize) {
    if ignored > 0 {
        tracing::warn!("{ignored} command line arguments are ignored, see molecule-mcp --help");
    }
}

fn act(ignored: usize) -> i32 {
    log::catch_panics();
    let code = start(ignored).unwrap_or_else(|cause| failed(&cause));
    log::flush();
    code
}

fn failed(cause: &anyhow::Error) -> i32 {
    if system::gives_too_little(cause) {
        log::say(&system::too_little(cause));
        return commands::EXHAUSTED;
    }
    log::say(&format!("molecule-mcp: {cause:#}"));
    commands::FAILED
}

fn start(ignored: usize) -> anyhow::Result<i32> {
    let stdio = Stdio::claim().context("standard input and output cannot be used")?;
    // A core file would hold the token. Where the limit cannot be set, none of ours is written either.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let settings = match Settings::from_env(|name| env::var_os(name)) {
        Ok(settings) => settings,
        Err(problems) => {
            log::say(problems.to_string().trim_end());
            return Ok(commands::MISCONFIGURED);
        }
    };
    log::start(settings.verbose);
    warn_of(ignored);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let config = settings.config(env::home_dir());
    make_room_for(config.accounts.len());
    if stdio.is_terminal() {
        log::say(&commands::by_hand());
    }
    let runtime = system::runtime()?;
    let exit = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_at_signal(stop.clone())?);
        let (input, output, reader) = stdio.open().context("standard input and output cannot be used")?;
        tokio::spawn(stop_without_reader(reader, stop.clone()));
        serve(&config, input, output, stop).await
    });
    log::ignore_the_rest();
    runtime.shutdown_background();
    Ok(match exit? {
        Exit::Ended => commands::DONE,
        Exit::Rejected(all) => {
            for rejected in all {
                log::say(&format!("molecule-mcp: {rejected}"));
            }
            commands::REJECTED
        }
    })
}

/// Descriptors for many workspaces, each of which has an event stream, a connection and files of its own. Systems
/// allow 1,024 unless they are asked for more.
fn make_room_for(workspaces: usize) {
    if workspaces > FEW_WORKSPACES {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // With fewer of them everything is slower, and said where it happens.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Cancels `stop` when nobody can read the output any more.
async fn stop_without_reader(reader: Reader, stop: CancellationToken) {
    reader.gone().await;
    tracing::info!("the client does not read any more, and the program ends");
    stop.cancel();
}

/// Cancels `stop` at the first signal that asks for the end, and ends the process at the second, or if
/// the end takes too long.
fn stop_at_signal(stop: CancellationToken) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        let mut asked = async || {
            tokio::select! {
                _ = hang_up.recv() => {}
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        asked().await;
        stop.cancel();
        // On a thread, because the runtime may be what takes long.
        let end = thread::Builder::new().spawn(|| {
            thread::sleep(AT_THE_LATEST);
            process::exit(commands::DONE)
        });
        if end.is_err() {
            process::exit(commands::DONE)
        }
        asked().await;
        process::exit(commands::DONE)
    })
}
