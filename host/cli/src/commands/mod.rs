//! What the command line asks for: one file a command, and a row in the table of [`Command`].
//!
//! ```text
//! arguments ──► parse ──► Request: serve, run a command, print a text
//! ```

mod completions;
mod doctor;
mod hook;
mod inbox;
mod install;
mod logs;
mod man;
mod schema;
mod serve;
mod setup;
mod status;
mod uninstall;
mod wake;
mod watch;

use std::{
    ffi::{OsStr, OsString},
    fmt::Write as _,
    io,
    path::PathBuf,
};

use clap::{CommandFactory as _, Parser, Subcommand};

use self::serve::Refused;
pub use self::serve::serve;
use crate::{env as variables, failures, log, settings, stdio::patient, system};

/// All went well; of the server: the client has ended, or a signal came.
pub const DONE: i32 = 0;
/// Something went wrong that is nobody's setting.
pub const FAILED: i32 = 1;
/// Settings are missing or cannot be used, or the command line makes no sense.
pub const MISCONFIGURED: i32 = 2;
/// The platform does not take the token.
pub const REJECTED: i32 = 3;
/// The system gives too few threads or descriptors, too little memory, or no memory to execute.
pub const EXHAUSTED: i32 = 4;

const USAGE: &str = "molecule-mcp            serve the MCP client that starts it, until that ends
       molecule-mcp <COMMAND>";

/// What the process was started with, beside its arguments.
#[derive(Debug, Clone)]
pub struct Context {
    /// Looks up a variable of the environment.
    pub variable: fn(&str) -> Option<OsString>,
    /// The home directory of the user.
    pub home: Option<PathBuf>,
    /// The names of the variables of the environment, as far as they are text.
    pub names: Vec<String>,
}

/// Connects an AI agent to its platform workspace, as an MCP server on stdio
#[derive(Debug, Parser)]
#[command(
    name = "molecule-mcp",
    bin_name = "molecule-mcp",
    version,
    override_usage = USAGE,
    after_help = after_help()
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

/// A new command is a file beside this one, with its `mod` above, and a row in the table below, whose comment is its help.
macro_rules! commands {
    ($($(#[$attribute:meta])* $module:ident::$name:ident),+ $(,)?) => {
        /// A command for people and scripts.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$attribute])* $name($module::$name)),+
        }

        impl Command {
            /// Runs it, and says how that ended.
            ///
            /// # Errors
            /// When it fails for a reason that is no setting.
            pub fn run(self, context: &Context) -> anyhow::Result<i32> {
                match self {
                    $(Self::$name(command) => command.run(context)),+
                }
            }
        }
    };
}

commands! {
    /// Ask for platform, workspace and token, check them, and write them down once for all clients
    setup::Setup,
    /// Write the server into the configuration of MCP clients
    install::Install,
    /// Remove it from there again
    uninstall::Uninstall,
    /// Say what is wrong and what to do; exit code 1 if something is wrong, 2 if the doctor could not run
    doctor::Doctor,
    /// Print which messages wait, and where they are kept; changes nothing
    inbox::Inbox,
    /// Wait for messages where no client is open, and print them or run a command for them
    watch::Watch,
    /// Tell a client's hook that messages wait, from the files on disk alone
    hook::Hook,
    /// Switch on or off, or mute for a while, that an idle agent is told of messages
    wake::Wake,
    /// Print what running processes do, for each workspace; exit code 1 if none runs or one does not answer
    status::Status,
    /// Print the last lines that each process has logged
    logs::Logs,
    /// Print a script that completes the command line, for a shell to read
    completions::Completions,
    /// Print the manual page, for man -l -
    man::Man,
    /// Print the JSON Schema of config.toml, for editors
    schema::Schema,
}

/// What to do.
#[derive(Debug)]
pub enum Request {
    /// Print this to standard output.
    Print(String),
    /// Say this on standard error, and end with [`MISCONFIGURED`].
    Refuse(String),
    /// Run a command.
    Run(Command),
    /// Serve; `ignored` arguments mean nothing.
    Serve {
        /// How many there are.
        ignored: usize,
    },
}

/// Understands the arguments after the name of the program. Clients pass stray ones to the server, so only a command can
/// refuse any.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Request {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let Some(first) = arguments.first() else { return Request::Serve { ignored: 0 } };
    let line = CommandLine::command();
    if arguments.len() == 1 && first == "help" {
        return Request::Print(help());
    }
    if first == "help" || line.find_subcommand(first).is_some() {
        return in_full(&arguments);
    }
    let options = || arguments.iter().take_while(|argument| *argument != "--");
    if options().any(|option| is(option, "--help", b'h')) {
        return Request::Print(help());
    }
    if options().any(|option| is(option, "--version", b'V')) {
        return Request::Print(version());
    }
    Request::Serve { ignored: arguments.len() }
}

fn in_full(arguments: &[OsString]) -> Request {
    let name = OsStr::new("molecule-mcp");
    match CommandLine::try_parse_from([name].into_iter().chain(arguments.iter().map(OsString::as_os_str))) {
        Ok(CommandLine { command: Some(command) }) => Request::Run(command),
        Ok(CommandLine { command: None }) => Request::Serve { ignored: arguments.len() },
        Err(said) if said.use_stderr() => Request::Refuse(said.render().to_string()),
        Err(said) => Request::Print(said.render().to_string()),
    }
}

/// Whether `argument` is an option by its long name, or a group of short ones that has it.
fn is(argument: &OsStr, long: &str, short: u8) -> bool {
    match argument.as_encoded_bytes() {
        [b'-', b'-', ..] => argument == long,
        [b'-', letters @ ..] => letters.contains(&short),
        _ => false,
    }
}

/// Prints to standard output. A reader that has seen enough is no failure.
fn print(text: &str) -> i32 {
    let _ = patient::write_all(io::stdout(), text.as_bytes());
    DONE
}

/// Does what was asked for, and returns the exit code.
#[must_use]
pub fn act(request: Request, context: &Context) -> i32 {
    let ended = match request {
        Request::Print(text) => Ok(print(&text)),
        Request::Refuse(why) => {
            log::say(why.trim_end());
            Ok(MISCONFIGURED)
        }
        Request::Run(command) => {
            log::start(&log::Choice::default());
            command.run(context)
        }
        Request::Serve { ignored } => {
            log::catch_panics();
            let ended = serve(context, ignored);
            remember(context, &ended);
            ended
        }
    };
    let code = ended.unwrap_or_else(|cause| failed(&cause));
    log::flush();
    code
}

fn failed(cause: &anyhow::Error) -> i32 {
    let (code, words) = explained(cause);
    log::say(&words);
    code
}

/// The exit code, and what a person is told.
fn explained(cause: &anyhow::Error) -> (i32, String) {
    if let Some(problems) = cause.downcast_ref::<settings::Problems>() {
        return (MISCONFIGURED, problems.to_string().trim_end().to_owned());
    }
    if let Some(Refused(all)) = cause.downcast_ref() {
        let lines: Vec<_> = all.iter().map(|rejected| format!("molecule-mcp: {rejected}")).collect();
        return (REJECTED, lines.join("\n"));
    }
    if system::gives_too_little(cause) {
        return (EXHAUSTED, system::too_little(cause));
    }
    (FAILED, format!("molecule-mcp: {cause:#}"))
}

/// Keeps what a start that failed says, because clients hide it.
fn remember(context: &Context, ended: &anyhow::Result<i32>) {
    let Err(cause) = ended else { return };
    let (code, words) = explained(cause);
    if let Ok(Some(directory)) = settings::state_directory(context.variable) {
        failures::keep(&directory, code, &words);
    }
}

/// Name and version.
#[must_use]
pub fn version() -> String {
    CommandLine::command().render_version()
}

/// How to use the program, with every setting.
#[must_use]
pub fn help() -> String {
    CommandLine::command().render_help().to_string()
}

fn after_help() -> String {
    let mut text = format!(
        "\
Needed are {platform}, {workspace} and {token} (or {file}).

Settings, as variables of the environment, or by their plain names in the file {config}, which is config.toml in
the configs directory unless that says otherwise. Variables win over the file; blank counts as not set:
",
        platform = variables::PLATFORM_URL.name,
        workspace = variables::WORKSPACE_ID.name,
        token = variables::WORKSPACE_TOKEN.name,
        file = variables::WORKSPACE_TOKEN_FILE.name,
        config = variables::CONFIG.name,
    );
    for variables::Variable { name, key, default, meaning } in variables::ALL {
        let key = key.map(|key| format!("; file: {}", key.name)).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n  {name}  (default: {default}{key})\n      {meaning}");
    }
    text.push_str(
        "
Exit codes:
  0  the client closed its end, or a signal came; a command did what it was asked for
  1  it could not start for another reason, which is on stderr
  2  settings are missing or cannot be used, or a command does not know an argument; all of that is on stderr
  3  the platform refused the token
  4  the system gives too little: threads, descriptors, memory, or memory to execute",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_means_serve() {
        assert_eq!(ignored(&[]), Some(0));
    }

    #[test]
    fn help_and_version_are_found_among_strays() {
        for arguments in [&["help"][..], &["--help"], &["-h"], &["stray", "--help"], &["-xh"]] {
            assert_eq!(printed(arguments), help(), "{arguments:?}");
        }
        for arguments in [&["--version"][..], &["-V"], &["--stray", "-V"]] {
            assert_eq!(printed(arguments), version(), "{arguments:?}");
        }
    }

    #[test]
    fn a_command_has_a_help_of_its_own() {
        for arguments in [&["inbox", "--help"][..], &["help", "inbox"]] {
            let help = printed(arguments);

            assert!(help.contains("molecule-mcp inbox") && help.contains("--json"), "{help}");
        }
    }

    #[test]
    fn a_command_refuses_what_it_does_not_know_and_names_what_may_be_meant() {
        let Request::Refuse(why) = parsed(&["inbox", "--jsn"]) else { panic!("not refused") };

        assert!(why.contains("--jsn") && why.contains("'--json'"), "{why}");
    }

    #[test]
    fn strays_of_the_server_are_counted_and_ignored() {
        for (arguments, count) in [
            (&["stray"][..], 1),
            (&["--stdio", "serve", "help"], 3),
            (&["--token=x"], 1),
            (&["--", "--help"], 2),
            (&["stray", "inbox"], 2),
        ] {
            assert_eq!(ignored(arguments), Some(count), "{arguments:?}");
        }
    }

    #[test]
    fn the_help_names_every_setting_and_fits_the_screen() {
        let help = help();

        for variables::Variable { name, .. } in variables::ALL {
            assert!(help.contains(&format!("\n  {name}  (default: ")), "{name}");
        }
        for line in help.lines() {
            assert!(line.len() <= 120, "{line}");
        }
    }

    #[test]
    fn the_command_line_makes_sense() {
        CommandLine::command().debug_assert();
    }

    fn parsed(arguments: &[&str]) -> Request {
        parse(arguments.iter().map(OsString::from))
    }

    fn printed(arguments: &[&str]) -> String {
        let Request::Print(text) = parsed(arguments) else { panic!("{arguments:?} prints nothing") };
        text
    }

    fn ignored(arguments: &[&str]) -> Option<usize> {
        let Request::Serve { ignored } = parsed(arguments) else { return None };
        Some(ignored)
    }
}
