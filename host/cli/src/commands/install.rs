//! `molecule-mcp install`.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal as _},
    path::{self, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, builder::PossibleValuesParser};
use dialoguer::Confirm;

use super::{Context, DONE, FAILED, MISCONFIGURED, print};
use crate::{
    clients::{self, Change, Client, Homes, SERVER, Server, backup_of},
    env as variables, log,
    settings::{self, Settings},
};

/// The client that is none: prints what most of them read.
const PLAIN: &str = "json";
/// Characters of an id that tell a workspace from others.
const ID_IN_NAME: usize = 8;

/// Which clients, and how much is asked.
#[derive(Debug, Args)]
pub struct Install {
    /// Clients to install into; without any, all that are found here
    #[arg(value_parser = PossibleValuesParser::new(names()), hide_possible_values = false)]
    clients: Vec<String>,
    /// Write without asking
    #[arg(long, short)]
    yes: bool,
    /// Let the tools run without a question each, where the client asks for that
    #[arg(long)]
    allow_tools: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print what belongs into the clients' files, to add it by hand
    #[arg(long, conflicts_with = "dry_run")]
    print: bool,
    /// Act for this one of several workspaces, as a server of its own
    #[arg(long, value_name = "ID")]
    workspace_id: Option<String>,
    /// End of the server's name after "molecule-"; the beginning of the id, if a workspace is named
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consent {
    /// Everything.
    Ask,
    /// Nothing: it is meant.
    Given,
    /// Nothing: nothing is written.
    Refused,
}

pub(super) fn names() -> Vec<&'static str> {
    clients::ALL.iter().map(|client| client.id).chain([PLAIN]).collect()
}

impl Install {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<i32> {
        let Some(homes) = homes(context) else { return Ok(MISCONFIGURED) };
        let server = match self.server(context, &homes) {
            Ok(server) => server,
            Err(why) => {
                log::say(&format!("molecule-mcp install: {why:#}"));
                return Ok(MISCONFIGURED);
            }
        };
        if self.clients.iter().any(|id| id == PLAIN) {
            print(&server.plain());
        }
        let chosen = chosen(&self.clients, |client| client.is_there(&homes));
        if chosen.is_empty() && self.clients.is_empty() {
            log::say(&format!("no MCP client is found here: name one of {}", names().join(", ")));
            return Ok(FAILED);
        }
        if self.print {
            return self.show(&chosen, &server);
        }
        let Some(consent) = consent(self.yes, self.dry_run, "install") else { return Ok(MISCONFIGURED) };
        let permit = if self.allow_tools { Consent::Given } else { consent };
        let failed = chosen
            .iter()
            .filter(|client| !into_one(client, &homes, &server, consent, permit, self.allow_tools));
        Ok(if failed.count() > 0 { FAILED } else { DONE })
    }

    fn server(&self, context: &Context, homes: &Homes) -> anyhow::Result<Server> {
        let workspace = self.workspace_id.as_deref().map(settings::workspace_id).transpose();
        let workspace = workspace.map_err(|why| anyhow::anyhow!("--workspace-id {why}"))?;
        let server = server(context, homes, workspace, self.name.as_deref())?;
        is_enough(context, &server)?;
        Ok(server)
    }

    fn show(&self, chosen: &[&Client], server: &Server) -> anyhow::Result<i32> {
        for client in chosen {
            print(&format!("# {}\n{}\n", client.title, client.snippet(server, self.allow_tools)));
        }
        Ok(DONE)
    }
}

/// The clients of these names, or else all that are there.
pub(super) fn chosen(ids: &[String], is_there: impl Fn(&Client) -> bool) -> Vec<&'static Client> {
    if ids.is_empty() {
        return clients::ALL.iter().copied().filter(|client| is_there(client)).collect();
    }
    ids.iter().filter_map(|id| Client::named(id)).collect()
}

pub(super) fn homes(context: &Context) -> Option<Homes> {
    let Some(home) = context.home.clone().filter(|home| home.is_absolute()) else {
        log::say("molecule-mcp: HOME is not set, so the files of the clients cannot be found");
        return None;
    };
    Some(Homes { home, variable: context.variable })
}

/// Without a terminal somebody has to have said what is meant.
pub(super) fn consent(yes: bool, dry_run: bool, command: &str) -> Option<Consent> {
    match (dry_run, yes, io::stdin().is_terminal() && io::stderr().is_terminal()) {
        (true, _, _) => Some(Consent::Refused),
        (false, true, _) => Some(Consent::Given),
        (false, false, true) => Some(Consent::Ask),
        (false, false, false) => {
            log::say(&format!(
                "molecule-mcp {command}: there is no terminal to ask at: add --yes or --dry-run"
            ));
            None
        }
    }
}

/// After a setup: asks whether to go on.
pub(super) fn offer(context: &Context) -> anyhow::Result<i32> {
    let Some(homes) = homes(context) else { return Ok(DONE) };
    let found = chosen(&[], |client| client.is_there(&homes));
    let titles: Vec<_> = found.iter().map(|client| client.title).collect();
    if titles.is_empty() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        print("Next: molecule-mcp install\n");
        return Ok(DONE);
    }
    if !ask(&format!("Install it into {}?", titles.join(", ")), true) {
        print("Later: molecule-mcp install\n");
        return Ok(DONE);
    }
    let server = server(context, &homes, None, None)?;
    let failed =
        found.iter().filter(|client| !into_one(client, &homes, &server, Consent::Ask, Consent::Ask, false));
    Ok(if failed.count() > 0 { FAILED } else { DONE })
}

/// Whether it went well; that a person says no is well.
fn into_one(
    client: &Client,
    homes: &Homes,
    server: &Server,
    consent: Consent,
    permit: Consent,
    allow_tools: bool,
) -> bool {
    print(&format!("\n{} ({})\n", client.title, server.name));
    let permit = match client.permission() {
        None => false,
        Some(_) if allow_tools => true,
        Some(permission) if permit == Consent::Ask => {
            ask(&format!("Allow its tools? With that, {}.", permission.meaning), false)
        }
        Some(permission) => {
            print(&format!("With --allow-tools, {}.\n", permission.meaning));
            false
        }
    };
    let changes = match client.install(homes, server, permit) {
        Ok(changes) => changes,
        Err(why) => {
            log::say(&format!("{}: {why}", client.title));
            return false;
        }
    };
    let done = carry_out(client, &changes, consent);
    if done == Some(true)
        && let Some(note) = client.note
    {
        print(&format!("{note}\n"));
    }
    done.is_some()
}

/// Shows and writes; whether anything was written, or none if that failed.
pub(super) fn carry_out(client: &Client, changes: &[Change], consent: Consent) -> Option<bool> {
    if changes.is_empty() {
        print("nothing to change\n");
        return Some(false);
    }
    for change in changes {
        print(&change.diff());
    }
    if consent == Consent::Refused || consent == Consent::Ask && !ask("Write this?", true) {
        return Some(false);
    }
    for change in changes {
        if let Err(cause) = change.write() {
            log::say(&format!("{}: {}: {cause}", client.title, change.path.display()));
            return None;
        }
        let backup = backup_of(&change.path);
        let kept =
            if backup.exists() { format!("; what it was: {}", backup.display()) } else { String::new() };
        print(&format!("written: {}{kept}\n", change.path.display()));
    }
    Some(true)
}

/// A question that is not answered is a no. Who types y and Enter answers one question with that, and not the next one, too.
fn ask(question: &str, default: bool) -> bool {
    Confirm::new().with_prompt(question).default(default).wait_for_newline(true).interact().unwrap_or(false)
}

fn server(
    context: &Context,
    homes: &Homes,
    workspace: Option<String>,
    name: Option<&str>,
) -> anyhow::Result<Server> {
    let end = match (name, &workspace) {
        (Some(name), _) => Some(slug(name)?),
        (None, Some(id)) => Some(id.chars().take(ID_IN_NAME).collect()),
        (None, None) => None,
    };
    let name = end.map_or_else(|| SERVER.to_owned(), |end| format!("{SERVER}-{end}"));
    let command = program(homes)?.into_os_string().into_string();
    let command =
        command.map_err(|path| anyhow::anyhow!("the path of this program is no text: {}", path.display()))?;
    let mut needed = Vec::new();
    for variable in [&variables::CONFIG, &variables::CONFIGS_DIR] {
        if let Some(value) = (context.variable)(variable.name).filter(|value| !value.is_empty()) {
            let value = PathBuf::from(value);
            let value = value.strip_prefix("~").map_or_else(|_| value.clone(), |rest| homes.home.join(rest));
            needed.push((variable.name, path::absolute(value)?.to_string_lossy().into_owned()));
        }
    }
    needed.extend(workspace.map(|id| (variables::WORKSPACE_ID.name, id)));
    Ok(Server { name, command, variables: needed })
}

/// As it is on PATH, if that is this program: what lies behind a link changes with each update.
fn program(homes: &Homes) -> anyhow::Result<PathBuf> {
    let this = env::current_exe().context("the path of this program is not known")?;
    let on_path =
        homes.find("molecule-mcp").filter(|found| found.canonicalize().ok() == this.canonicalize().ok());
    Ok(on_path.unwrap_or(this))
}

/// Clients make names of tools from it, for which models take no other characters.
fn slug(name: &str) -> anyhow::Result<String> {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    if name.is_empty() || name.len() > 24 || !name.chars().all(is_plain) {
        anyhow::bail!("--name takes 1 to 24 small letters, digits and -");
    }
    Ok(name.to_owned())
}

/// A client starts the server without the variables of this shell: the file has to be enough.
fn is_enough(context: &Context, server: &Server) -> anyhow::Result<()> {
    let own = |name: &str| -> Option<OsString> {
        if name == variables::HOME.name {
            return context.home.clone().map(PathBuf::into_os_string);
        }
        server.variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
    };
    match Settings::from_env(own) {
        Ok(_) => Ok(()),
        Err(problems) => Err(anyhow::anyhow!(
            "clients start it without the variables of this shell, and without them it would not start. molecule-mcp setup \
             writes down what it needs.\n\n{problems}"
        )),
    }
}
