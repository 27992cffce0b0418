//! The configuration file: every setting by its plain name, and the workspaces.
//!
//! ```toml
//! platform_url = "https://acme.example.com"
//! poll_timeout_secs = 10
//!
//! [[workspaces]]
//! id = "6f9c2a31-…"
//! token_file = "tokens/first"
//! ```
//!
//! It is `MOLECULE_CONFIG`, or `config.toml` in the configs directory. A variable of the environment wins over it, and
//! `WORKSPACE_ID` there picks one of its workspaces.

mod edit;
mod schema;
#[cfg(test)]
mod tests;
mod values;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{self, Path, PathBuf},
};

use molecule_runtime::{
    account::{TokenFileProblem, read_secret},
    storage::small_file::Unreadable,
};
use serde_json::{Map, Value};

pub(crate) use self::edit::with_workspace;
pub use self::schema::schema;
use super::{configs_dir, environment::Environment};
use crate::env::{self, Variable};

/// Its name in the configs directory.
pub(crate) const FILE_NAME: &str = "config.toml";
/// Settings and 2,000 workspaces take a tenth of that.
const FILE_BYTES: u64 = 4 << 20;
/// The list of workspaces.
pub(crate) const LIST: &str = "workspaces";
/// Edits that make one key of another that was meant.
const LIKE: f64 = 0.75;

/// What the file says, as values of the variables that it stands for.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    /// An absolute path; none if there is no file.
    pub(super) path: Option<PathBuf>,
    values: BTreeMap<&'static str, OsString>,
    /// The list, not looked into.
    pub(super) workspaces: Option<Value>,
}

impl ConfigFile {
    /// Key and value of what stands for `variable`.
    pub(super) fn spelled(&self, variable: &Variable) -> Option<(String, OsString)> {
        let value = self.values.get(variable.name)?;
        let path = self.path.as_deref()?.to_string_lossy();
        Some((format!("{} ({})", variable.key?.name, path.escape_debug()), value.clone()))
    }

    fn forget(&mut self, variables: &[&Variable]) {
        for variable in variables {
            self.values.remove(variable.name);
        }
    }
}

/// Where the file is or would be: an absolute path; none without a configs directory. Also, whether it was named.
pub(super) fn place(environment: &mut Environment<'_>) -> Option<(PathBuf, bool)> {
    if let Some(named) = environment.path(&env::CONFIG) {
        return Some((path::absolute(&named).unwrap_or(named), true));
    }
    // What is wrong with the directory is told when it is looked for to keep state there.
    let directory = environment.quietly(configs_dir::find).path?;
    Some((directory.join(FILE_NAME), false))
}

/// Where the file is or would be, as an absolute path; none without a configs directory.
pub(crate) fn path(lookup: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    place(&mut Environment::new(&lookup)).map(|(path, _)| path)
}

/// Reads the file, if there is one.
pub(super) fn read(environment: &mut Environment<'_>) {
    let Some((path, was_named)) = place(environment) else { return };
    match load(&path) {
        Ok(None) if was_named => {
            let (name, shown) = (env::CONFIG.name, shown(&path));
            environment.unusable(
                &env::CONFIG,
                format!("{name}: {shown} does not exist: molecule-mcp setup makes it"),
            );
        }
        Ok(None) => {}
        Ok(Some(Loaded { file, problems, warning })) => {
            for why in problems {
                environment.unusable(&env::CONFIG, format!("{}: {why}", shown(&path)));
            }
            environment.warnings.extend(warning);
            environment.file = file;
            give_way(environment);
        }
        Err(why) => environment.unusable(&env::CONFIG, format!("{} {why}", shown(&path))),
    }
}

struct Loaded {
    file: ConfigFile,
    problems: Vec<String>,
    warning: Option<String>,
}

fn load(path: &Path) -> Result<Option<Loaded>, String> {
    let secret = match read_secret(path, FILE_BYTES) {
        Ok(secret) => secret,
        Err(TokenFileProblem::Unreadable(Unreadable::Absent)) => return Ok(None),
        Err(why) => return Err(why.to_string()),
    };
    let fields = parse(&secret.text)?;
    let mut file = ConfigFile { path: Some(path.to_owned()), ..ConfigFile::default() };
    let directory = path.parent().unwrap_or(path);
    let (mut problems, mut holds_a_token) = (Vec::new(), false);
    for (key, value) in fields {
        if key == LIST {
            holds_a_token |= lists_a_token(&value);
            file.workspaces = Some(value);
            continue;
        }
        let Some((variable, shape)) = variable_of(&key) else {
            let known = known_keys();
            problems.push(format!("{key:?} is no setting{}", meant(&key, known)));
            continue;
        };
        holds_a_token |= variable == &env::WORKSPACE_TOKEN;
        match values::read(&value, shape, directory) {
            Ok(text) => file.values.extend(text.map(|text| (variable.name, text))),
            Err(why) => problems.push(format!("{key} {why}")),
        }
    }
    problems.extend(excluded(&file));
    // Who else can read it matters only then.
    let warning = secret.warning.filter(|_| holds_a_token);
    Ok(Some(Loaded { file, problems, warning }))
}

/// What stands beside a list of workspaces, and would be of one of them.
fn excluded(file: &ConfigFile) -> Vec<String> {
    let of_one = [&env::WORKSPACE_ID, &env::WORKSPACE_TOKEN, &env::WORKSPACE_TOKEN_FILE];
    let there = of_one.iter().filter(|one| file.workspaces.is_some() && file.values.contains_key(one.name));
    let keys = there.filter_map(|variable| variable.key);
    keys.map(|key| {
        format!("{} and {LIST} exclude each other: it belongs into an entry of the list", key.name)
    })
    .collect()
}

fn parse(text: &str) -> Result<Map<String, Value>, String> {
    toml::from_str(text).map_err(|cause: toml::de::Error| {
        let before = cause.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        // The line itself may hold a token.
        format!("is not valid TOML (line {line})")
    })
}

fn lists_a_token(list: &Value) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|entry| entry.get("token").is_some()))
}

fn variable_of(key: &str) -> Option<(&'static Variable, env::Shape)> {
    env::ALL.iter().find_map(|variable| {
        let found = variable.key.filter(|known| known.name == key)?;
        Some((*variable, found.shape))
    })
}

fn known_keys() -> impl Iterator<Item = &'static str> {
    env::ALL.iter().filter_map(|variable| Some(variable.key?.name)).chain([LIST])
}

/// Of `known` what `key` may be meant to be, as the end of a sentence.
pub(super) fn meant(key: &str, known: impl IntoIterator<Item = &'static str>) -> String {
    let small = key.to_ascii_lowercase().replace('-', "_");
    // Some write the name of the variable.
    let by_variable = env::ALL.iter().find(|variable| variable.name.eq_ignore_ascii_case(key));
    if let Some(key) = by_variable.and_then(|variable| variable.key) {
        return format!("; did you mean {}?", key.name);
    }
    let like = known.into_iter().map(|known| (strsim::jaro_winkler(&small, known), known));
    let best = like.filter(|(like, _)| *like >= LIKE).max_by(|one, other| one.0.total_cmp(&other.0));
    best.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// Leaves to the environment what it decides.
fn give_way(environment: &mut Environment<'_>) {
    let is_set = |environment: &Environment<'_>, variable| environment.is_set_outside_the_file(variable);
    let token: &[&Variable] = &[&env::WORKSPACE_TOKEN, &env::WORKSPACE_TOKEN_FILE];
    if token.iter().any(|variable| is_set(environment, variable)) {
        environment.file.forget(token);
    }
    if is_set(environment, &env::ORGANIZATION_ID) {
        environment.file.forget(&[&env::ORG_ID]);
    }
    if let Some((_, id)) = environment.spelled(&env::WORKSPACE_ID)
        && is_set(environment, &env::WORKSPACE_ID)
    {
        pick(environment, id.to_string_lossy().trim());
    }
}

/// `id` comes from the environment: what the file says of that workspace takes the place of its list, and what it says of
/// another one means nothing.
fn pick(environment: &mut Environment<'_>, id: &str) {
    let of_this = |other: &str| other.trim().eq_ignore_ascii_case(id);
    if let Some(list) = environment.file.workspaces.take() {
        let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let entry = entries.iter().find(|entry| entry.get("id").and_then(Value::as_str).is_some_and(of_this));
        if let Some(entry) = entry {
            become_single(environment, entry);
        }
        return;
    }
    let own = environment.file.values.get(env::WORKSPACE_ID.name);
    if own.is_some_and(|own| !of_this(&own.to_string_lossy())) {
        environment.file.forget(&[&env::WORKSPACE_ID, &env::WORKSPACE_TOKEN, &env::WORKSPACE_TOKEN_FILE]);
    }
}

fn become_single(environment: &mut Environment<'_>, entry: &Value) {
    let directory =
        environment.file.path.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let has_token_outside = [&env::WORKSPACE_TOKEN, &env::WORKSPACE_TOKEN_FILE]
        .iter()
        .any(|variable| environment.is_set_outside_the_file(variable));
    for variable in [&env::PLATFORM_URL, &env::WORKSPACE_TOKEN, &env::WORKSPACE_TOKEN_FILE] {
        let Some(key) = variable.key else { continue };
        if has_token_outside && variable != &env::PLATFORM_URL {
            continue;
        }
        let text =
            entry.get(key.name).and_then(|value| values::read(value, key.shape, &directory).ok()).flatten();
        if text.is_some() && variable == &env::PLATFORM_URL {
            // The organisation is one of the platform of all.
            environment.file.forget(&[&env::ORG_ID]);
        }
        environment.file.values.extend(text.map(|text| (variable.name, text)));
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
