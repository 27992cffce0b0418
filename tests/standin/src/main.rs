//! The stand-in as a server on the loopback interface, for demonstrations and real clients.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use standin::shell::{self, Shell};
use standin::{HOOKS, Level, Platform, SWITCHES, Script, SwitchError, Switches};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for the platform. Prints the environment of an agent, then serves until it is told to end.
#[derive(Parser)]
#[command(after_help = format!("{}\n{}", switches_help(), hooks_help()))]
struct Arguments {
    /// Also make a peer that answers every message, and one that never says a word
    #[arg(long)]
    demo: bool,
    /// How long requests in flight may take after the signal to end, in seconds
    #[arg(long, default_value_t = 2)]
    drain: u64,
    /// Make no workspace: a server that was never used
    #[arg(long, conflicts_with = "demo")]
    empty: bool,
    /// The version of the platform: baseline, later or newest
    #[arg(long, default_value = "later")]
    level: Level,
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The seed of everything random; by default another one each time
    #[arg(long)]
    seed: Option<u64>,
    /// Make so many further workspaces for one agent, and print all as MOLECULE_WORKSPACES
    #[arg(long, default_value_t = 0, conflicts_with = "empty")]
    further: u32,
    /// Set a switch; may be given several times
    #[arg(long = "set", value_name = "SWITCH=VALUE")]
    settings: Vec<String>,
}

fn switches_help() -> String {
    let lines = SWITCHES.iter().map(|(usage, meaning)| format!("  {usage:<27} {meaning}\n"));
    format!("Switches:\n{}", lines.collect::<String>())
}

fn hooks_help() -> String {
    let lines = HOOKS.iter().map(|(usage, meaning)| format!("  {usage:<30} {meaning}\n"));
    format!("Hooks, below /_test/, with the named fields as JSON:\n{}", lines.collect::<String>())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    if !arguments.listen.ip().is_loopback() {
        return Err(io::Error::other("the stand-in listens on the loopback interface only"));
    }
    let switches = switches(&arguments).map_err(io::Error::other)?;
    let listener = TcpListener::bind(arguments.listen).await?;
    let address = listener.local_addr()?;
    let seed = arguments.seed.unwrap_or_else(rand_seed);
    let platform = Platform::new(arguments.level, switches, seed, shell::now());
    let shell = Shell::new(platform).map_err(io::Error::other)?;
    print_environment(&environment(&shell, &arguments, address))?;
    shell.serve(listener, told_to_end()?, Duration::from_secs(arguments.drain)).await;
    Ok(())
}

fn switches(arguments: &Arguments) -> Result<Switches, SwitchError> {
    let mut switches = Switches::new(arguments.level);
    arguments.settings.iter().try_for_each(|setting| switches.set(setting))?;
    Ok(switches)
}

fn environment(shell: &Shell, arguments: &Arguments, address: SocketAddr) -> Vec<(&'static str, String)> {
    let mut environment = vec![("PLATFORM_URL", format!("http://{address}"))];
    if arguments.empty {
        return environment;
    }
    let own = shell.with(|platform, _| platform.external_workspace("standin-agent"));
    environment.push(("WORKSPACE_ID", own.id.to_string()));
    environment.push(("MOLECULE_WORKSPACE_TOKEN", own.token.clone()));
    if arguments.further > 0 {
        let further = (0..arguments.further).map(|number| {
            shell.with(|platform, _| platform.external_workspace(&format!("standin-agent-{number}")))
        });
        let all = std::iter::once(own).chain(further);
        let entries = all.map(|one| json!({ "id": one.id.to_string(), "token": one.token }));
        environment.push(("MOLECULE_WORKSPACES", format!("'{}'", entries.collect::<Value>())));
    }
    if arguments.demo {
        let echo = shell.with(|platform, _| platform.push_peer("echo", Script::Echo));
        let silent = shell.with(|platform, _| platform.poll_peer("silent"));
        environment.push(("ECHO_PEER_ID", echo.id.to_string()));
        environment.push(("POLL_PEER_ID", silent.id.to_string()));
    }
    environment
}

#[expect(clippy::print_stdout, reason = "the environment is what the program is asked for")]
fn print_environment(environment: &[(&'static str, String)]) -> io::Result<()> {
    for (name, value) in environment {
        println!("export {name}={value}");
    }
    io::stdout().flush()
}

fn rand_seed() -> u64 {
    fastrand::u64(..)
}

fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
