//! What the command line asks for.

use std::{ffi::OsString, fmt::Write as _};

use lexopt::{
    Arg::{Long, Short, Value},
    Parser,
};

use crate::env::{self, Variable};

/// The client has ended, or a signal came.
pub const DONE: i32 = 0;
/// Something went wrong that is nobody's setting.
pub const FAILED: i32 = 1;
/// Settings are missing or cannot be used.
pub const MISCONFIGURED: i32 = 2;
/// The platform does not take the token.
pub const REJECTED: i32 = 3;
/// The system gives too few threads or descriptors, too little memory, or no memory to execute.
pub const EXHAUSTED: i32 = 4;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Print [`help`].
    Help,
    /// Show what is in the inbox; `ignored` arguments mean nothing.
    Inbox {
        /// For programs.
        json: bool,
        /// How many there are.
        ignored: usize,
    },
    /// Serve; `ignored` arguments mean nothing.
    Serve {
        /// How many there are.
        ignored: usize,
    },
    /// Print [`version`].
    Version,
}

/// Understands the arguments after the name of the program. Clients pass stray ones, so none is an error.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Command {
    let mut parser = Parser::from_args(arguments);
    let mut seen = 0;
    loop {
        match parser.next() {
            Ok(None) => return Command::Serve { ignored: seen },
            Ok(Some(Short('h') | Long("help"))) => return Command::Help,
            Ok(Some(Short('V') | Long("version"))) => return Command::Version,
            Ok(Some(Value(word))) if seen == 0 && word == "help" => return Command::Help,
            Ok(Some(Value(word))) if seen == 0 && word == "inbox" => return inbox(parser),
            Ok(Some(Short(_) | Long(_) | Value(_))) | Err(_) => seen += 1,
        }
    }
}

fn inbox(mut parser: Parser) -> Command {
    let (mut json, mut ignored) = (false, 0);
    loop {
        match parser.next() {
            Ok(None) => return Command::Inbox { json, ignored },
            Ok(Some(Short('h') | Long("help"))) => return Command::Help,
            Ok(Some(Long("json"))) => json = true,
            Ok(Some(Short(_) | Long(_) | Value(_))) | Err(_) => ignored += 1,
        }
    }
}

/// Name and version.
#[must_use]
pub fn version() -> String {
    format!("molecule-mcp {}\n", env!("CARGO_PKG_VERSION"))
}

/// What a person reads who starts the server at a terminal.
#[must_use]
pub fn by_hand() -> String {
    format!(
        "molecule-mcp {} is an MCP server: an MCP client, such as Claude Code, starts it and speaks JSON to it.\n\
         It waits for such messages here, one a line; Ctrl-D ends it, and molecule-mcp --help says how to use it.\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// How to use the program, with every setting.
#[must_use]
pub fn help() -> String {
    let mut text = format!(
        "\
molecule-mcp {version}: connects an AI agent to its platform workspace, as an MCP server on stdio.

Usage:
  molecule-mcp                 serve the MCP client that starts it, until that ends
  molecule-mcp inbox [--json]  print which messages wait, and where they are kept; changes nothing
  molecule-mcp --help          print this text
  molecule-mcp --version       print the version

It is configured by its environment alone. Needed are {platform}, {workspace}
and {token} (or {file}).

Settings; blank counts as not set:
",
        version = env!("CARGO_PKG_VERSION"),
        platform = env::PLATFORM_URL.name,
        workspace = env::WORKSPACE_ID.name,
        token = env::WORKSPACE_TOKEN.name,
        file = env::WORKSPACE_TOKEN_FILE.name,
    );
    for Variable { name, default, meaning } in env::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n  {name}  (default: {default})\n      {meaning}");
    }
    text.push_str(
        "
Exit codes:
  0  the client closed its end, or a signal came
  1  it could not start for another reason, which is on stderr
  2  settings are missing or cannot be used; all of that is on stderr
  3  the platform refused the token
  4  the system gives too little: threads, descriptors, memory, or memory to execute
",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_means_serve() {
        assert_eq!(parsed(&[]), Command::Serve { ignored: 0 });
    }

    #[test]
    fn help_and_version_are_found_among_strays() {
        for arguments in [&["help"][..], &["--help"], &["-h"], &["stray", "--help"], &["-xh"]] {
            assert_eq!(parsed(arguments), Command::Help, "{arguments:?}");
        }
        for arguments in [&["--version"][..], &["-V"], &["--stray", "-V"]] {
            assert_eq!(parsed(arguments), Command::Version, "{arguments:?}");
        }
    }

    #[test]
    fn the_inbox_is_shown_to_people_and_to_programs() {
        for (arguments, json, ignored) in [
            (&["inbox"][..], false, 0),
            (&["inbox", "--json"], true, 0),
            (&["inbox", "--jsn", "x"], false, 2),
        ] {
            assert_eq!(parsed(arguments), Command::Inbox { json, ignored }, "{arguments:?}");
        }
        assert_eq!(parsed(&["inbox", "--help"]), Command::Help);
        assert_eq!(parsed(&["stray", "inbox"]), Command::Serve { ignored: 2 });
    }

    #[test]
    fn strays_are_counted_and_ignored() {
        for (arguments, ignored) in [
            (&["stray"][..], 1),
            (&["--stdio", "serve", "help"], 3),
            (&["--token=x"], 2),
            (&["--", "--help"], 1),
        ] {
            assert_eq!(parsed(arguments), Command::Serve { ignored }, "{arguments:?}");
        }
    }

    #[test]
    fn the_help_names_every_setting_and_fits_the_screen() {
        let help = help();

        for Variable { name, .. } in env::ALL {
            assert!(help.contains(&format!("\n  {name}  (default: ")), "{name}");
        }
        assert!(help.lines().all(|line| line.len() <= 120));
    }

    fn parsed(arguments: &[&str]) -> Command {
        parse(arguments.iter().map(OsString::from))
    }
}
