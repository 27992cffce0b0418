//! The MCP clients, and how a server is written into their configuration: one file a client, and a row in [`ALL`].
//!
//! ```text
//! client ── where its file is ──► text ──► formats: the same text with, or without, our entry ──► Change
//! ```
//!
//! Nothing here writes: a [`Change`] says what would become of a file.

mod change;
mod claude_code;
mod claude_desktop;
mod codex;
mod cursor;
mod formats;
mod gemini;
mod goose;
mod opencode;
mod qwen;
#[cfg(test)]
mod tests;
mod vs_code;
mod windsurf;
mod zed;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

pub use self::change::{Change, backup_of};
use self::formats::Format;

/// All of them, in the order in which they are shown.
pub const ALL: &[&Client] = &[
    &claude_code::CLIENT,
    &claude_desktop::CLIENT,
    &codex::CLIENT,
    &cursor::CLIENT,
    &gemini::CLIENT,
    &goose::CLIENT,
    &opencode::CLIENT,
    &qwen::CLIENT,
    &vs_code::CLIENT,
    &windsurf::CLIENT,
    &zed::CLIENT,
];

/// An MCP client.
#[derive(Debug)]
pub struct Client {
    /// What it is called on the command line.
    pub id: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Its programs, one of which is on PATH where it is installed; none if it has no command.
    programs: &'static [&'static str],
    /// The file in which it looks for servers.
    file: fn(&Homes) -> PathBuf,
    format: Format,
    /// The names below which its servers are.
    at: &'static [&'static str],
    entry: fn(&Server) -> Map<String, Value>,
    permission: Option<Permission>,
    /// What a person should know after it is installed; ends with a full stop.
    pub note: Option<&'static str>,
}

/// What a client needs beyond the server, so that tools run without a question each.
#[derive(Debug)]
pub struct Permission {
    /// What it means, as the end of "This lets …".
    pub meaning: &'static str,
    grant: Grant,
}

#[derive(Debug)]
enum Grant {
    /// A field of the entry.
    Field(&'static str, fn() -> Value),
    /// A text in a list of another file.
    Rule { file: fn(&Homes) -> PathBuf, at: &'static [&'static str], rule: fn(&str) -> String },
}

/// The server as it is written into a client's configuration. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name there: `molecule`, or `molecule-` and what tells it from others.
    pub name: String,
    /// The program, as an absolute path.
    pub command: String,
    /// Variables that it needs.
    pub variables: Vec<(&'static str, String)>,
}

/// Where clients keep their files.
#[derive(Debug, Clone)]
pub struct Homes {
    /// The home directory of the user.
    pub home: PathBuf,
    /// Looks up a variable of the environment.
    pub variable: fn(&str) -> Option<OsString>,
}

impl Client {
    /// The client of this name.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        ALL.iter().copied().find(|client| client.id == id)
    }

    /// Whether it is installed, as far as its files and its program tell.
    #[must_use]
    pub fn is_there(&self, homes: &Homes) -> bool {
        let file = self.file(homes);
        let has_directory =
            file.parent().is_some_and(|directory| directory != homes.home && directory.is_dir());
        file.exists() || has_directory || self.programs.iter().any(|program| homes.finds(program))
    }

    /// The file in which it looks for servers.
    #[must_use]
    pub fn file(&self, homes: &Homes) -> PathBuf {
        (self.file)(homes)
    }

    /// What it needs beyond the server.
    #[must_use]
    pub const fn permission(&self) -> Option<&Permission> {
        self.permission.as_ref()
    }

    /// What its file holds, if it holds nothing but `server`.
    #[must_use]
    pub fn snippet(&self, server: &Server, permit: bool) -> String {
        self.format.with("", self.at, &server.name, &self.entry_of(server, permit)).unwrap_or_default()
    }

    fn entry_of(&self, server: &Server, permit: bool) -> Map<String, Value> {
        let mut entry = (self.entry)(server);
        if let Some(Permission { grant: Grant::Field(name, value), .. }) =
            self.permission.as_ref().filter(|_| permit)
        {
            entry.insert((*name).to_owned(), value());
        }
        entry
    }

    /// What becomes of its files, if `server` is written there; `permit` says whether its tools may run without questions.
    ///
    /// # Errors
    /// When a file cannot be read or understood; the text begins with its path.
    pub fn install(&self, homes: &Homes, server: &Server, permit: bool) -> Result<Vec<Change>, String> {
        let entry = self.entry_of(server, permit);
        let with = |text: &str| self.format.with(text, self.at, &server.name, &entry);
        let mut changes = vec![Change::of(self.file(homes), with)?];
        if let Some(Permission { grant: Grant::Rule { file, at, rule }, .. }) =
            self.permission.as_ref().filter(|_| permit)
        {
            let rule = rule(&server.name);
            changes.push(Change::of(file(homes), |text| formats::json::with_item(text, at, &rule))?);
        }
        Ok(changes.into_iter().filter(Change::is_one).collect())
    }

    /// What becomes of its files, if the server `name` is taken out again.
    ///
    /// # Errors
    /// As for [`Self::install`].
    pub fn uninstall(&self, homes: &Homes, name: &str) -> Result<Vec<Change>, String> {
        let mut changes = Vec::new();
        let own = self.file(homes);
        let again = |before: &str, now: &str| {
            let entry = self.format.entry(now, self.at, name)?;
            self.format.with(before, self.at, name, &entry).ok()
        };
        changes.push(Change::back(own, again, |text| self.format.without(text, self.at, name))?);
        if let Some(Permission { grant: Grant::Rule { file, at, rule }, .. }) = &self.permission {
            let rule = rule(name);
            let again = |before: &str, _: &str| formats::json::with_item(before, at, &rule).ok();
            let change = Change::back_if_ours(file(homes), again, |before, text| {
                if formats::json::has_item(before, at, &rule) {
                    return Ok(text.to_owned());
                }
                formats::json::without_item(text, at, &rule)
            })?;
            changes.extend(change);
        }
        Ok(changes.into_iter().filter(Change::is_one).collect())
    }

    /// The names of our servers in its file: `molecule`, and those that begin with `molecule-` and start this program.
    #[must_use]
    pub fn installed(&self, homes: &Homes) -> Vec<String> {
        let text = std::fs::read_to_string(self.file(homes)).unwrap_or_default();
        let names = self.format.names(&text, self.at).into_iter();
        names
            .filter(|name| name == SERVER || name.starts_with("molecule-") && self.starts_us(&text, name))
            .collect()
    }

    fn starts_us(&self, text: &str, name: &str) -> bool {
        let entry = self.format.entry(text, self.at, name).unwrap_or_default();
        let command = entry.get("command").or(entry.get("cmd"));
        let command = command.and_then(|command| command.as_str().or_else(|| command.get(0)?.as_str()));
        command.is_some_and(|command| command.ends_with("molecule-mcp"))
    }
}

/// The name of the server, where there is one.
pub const SERVER: &str = "molecule";

impl Server {
    /// The configuration that most clients read, for those that are not in the list.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("{:#}\n", json!({ "mcpServers": { &self.name: plain(self) } }))
    }

    fn variables(&self) -> Value {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// The entry that most clients read.
fn plain(server: &Server) -> Map<String, Value> {
    fields(json!({ "command": server.command, "args": [], "env": server.variables() }))
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Number(_) | Value::String(_) => Map::new(),
    }
}

fn yes() -> Value {
    true.into()
}

impl Homes {
    /// A file below the home directory.
    fn below(&self, path: &str) -> PathBuf {
        self.home.join(path)
    }

    /// A file below what `variable` names, or else below `otherwise` in the home directory.
    fn below_variable(&self, variable: &str, otherwise: &str, path: &str) -> PathBuf {
        let named = (self.variable)(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        named.filter(|path| path.is_absolute()).unwrap_or_else(|| self.below(otherwise)).join(path)
    }

    /// A file of a program with windows, below where the system keeps such.
    fn of_desktop(&self, path: &str) -> PathBuf {
        if cfg!(target_os = "macos") {
            return self.below("Library/Application Support").join(path);
        }
        self.below_variable("XDG_CONFIG_HOME", ".config", path)
    }

    /// A file of a program of the terminal that follows XDG on every system.
    fn of_xdg(&self, path: &str) -> PathBuf {
        self.below_variable("XDG_CONFIG_HOME", ".config", path)
    }

    /// Whether `program` is on PATH.
    fn finds(&self, program: &str) -> bool {
        self.find(program).is_some()
    }

    /// Where `program` is on PATH, as it is written there.
    #[must_use]
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        let path = (self.variable)("PATH")?;
        let places = std::env::split_paths(&path).filter(|place| place.is_absolute());
        places.map(|place| place.join(program)).find(|path| is_program(path))
    }
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
