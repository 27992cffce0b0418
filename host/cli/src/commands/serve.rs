//! Without a command: serves the MCP client that started the program.

use std::{future::Future, io, process, thread, time::Duration};

use anyhow::Context as _;
use molecule_runtime::presence::Rejected;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Context, DONE};
use crate::{
    Exit, log,
    settings::Settings,
    stdio::{Reader, Stdio},
    system,
    wake::Surroundings,
};

/// Clients kill 400 ms after they have asked.
const AT_THE_LATEST: Duration = Duration::from_millis(200);

/// So many need no more descriptors than a program has anyway.
const FEW_WORKSPACES: usize = 50;

/// The platform takes the token of no workspace.
#[derive(Debug, Error)]
#[error("the platform takes no token")]
pub(super) struct Refused(pub(super) Vec<Rejected>);

/// Serves until the client has ended, or a signal came; the exit code. `ignored` arguments
/// meant nothing.
///
/// # Errors
/// When settings are missing or cannot be used, the system gives too little, or the platform takes no token.
pub fn serve(context: &Context, ignored: usize) -> anyhow::Result<i32> {
    let stdio = Stdio::claim().context("standard input and output cannot be used")?;
    // A core file would hold the token. Where the limit cannot be set, none of ours is written either.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let settings = Settings::from_env(context.variable)?;
    log::start(&settings.log);
    if ignored > 0 {
        tracing::warn!("{ignored} command line arguments are ignored, see molecule-mcp --help");
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let wake = settings.wake.clone().map(|wake| (wake, Surroundings::find(context.variable)));
    let config = settings.config(context.home.clone());
    make_room_for(config.accounts.len());
    if stdio.is_terminal() {
        log::say(&by_hand());
    }
    let runtime = system::runtime()?;
    let exit = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_at_signal(stop.clone())?);
        let (input, output, reader) = stdio.open().context("standard input and output cannot be used")?;
        tokio::spawn(stop_without_reader(reader, stop.clone()));
        crate::serve(&config, wake, input, output, stop).await
    });
    log::ignore_the_rest();
    runtime.shutdown_background();
    Ok(match exit? {
        Exit::Ended => DONE,
        Exit::Rejected(all) => return Err(Refused(all).into()),
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
            process::exit(DONE)
        });
        if end.is_err() {
            process::exit(DONE)
        }
        asked().await;
        process::exit(DONE)
    })
}

/// What a person reads who starts the server at a terminal.
fn by_hand() -> String {
    format!(
        "molecule-mcp {} is an MCP server: an MCP client, such as Claude Code, starts it and speaks JSON to it.\n\
         It waits for such messages here, one a line; Ctrl-D ends it, and molecule-mcp --help says how to use it.\n",
        env!("CARGO_PKG_VERSION")
    )
}
