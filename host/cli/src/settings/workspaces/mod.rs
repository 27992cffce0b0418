//! `MOLECULE_WORKSPACES` and `MOLECULE_WORKSPACES_FILE`: several workspaces in one process.
//!
//! ```json
//! [{"id": "6f9c2a31-…", "token": "…"}, {"id": "…", "token_file": "…", "platform_url": "https://…"}]
//! ```
//!
//! The file holds the same list, or an object with it under `workspaces`, as TOML or JSON. All problems of all entries
//! are reported at once.

mod entry;
mod file;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use molecule_runtime::account::{Credentials, TokenSource, read_token};
use serde_json::Value;
use url::Url;

use self::entry::{Entry, TokenAt};
use super::{
    config_file,
    environment::Environment,
    listed::{self, Listed, Workspace},
};
use crate::env::{self, Variable};

const SHAPE: &str = r#"[{"id": "…", "token": "…"}]"#;
/// Problems that a report shows of one list.
const SHOWN: usize = 10;
/// Secrets of more could not all be kept out of the log.
const MOST: usize = 2_000;

/// Where a list stands, and what it says.
struct Source {
    variable: &'static Variable,
    /// The name of the variable, with the path of the file if it is one.
    name: String,
    file: Option<PathBuf>,
    /// The platform of entries without one of their own.
    platform: Option<String>,
    list: Vec<Value>,
}

/// Reads the list, if one is set. Problems name the place in the list, and show no value.
pub(super) fn read(environment: &mut Environment<'_>) -> Option<Listed> {
    if environment.is_set_outside_the_file(&env::WORKSPACES) {
        if environment.is_set(&env::WORKSPACES_FILE) {
            let (used, ignored) = (env::WORKSPACES.name, env::WORKSPACES_FILE.name);
            environment.warn(format!("{used} is used; {ignored} is not"));
        }
        let source = environment.text(&env::WORKSPACES).map(|text| in_variable(&text));
        return Some(source.map_or_else(Listed::default, |source| listed(environment, source)));
    }
    if environment.is_set(&env::WORKSPACES_FILE) {
        let path = environment.path(&env::WORKSPACES_FILE);
        let source = path.map(|path| file::read(environment, path));
        return Some(source.map_or_else(Listed::default, |source| listed(environment, source)));
    }
    let list = environment.file.workspaces.take()?;
    let source = in_config_file(environment, list);
    Some(listed(environment, source))
}

/// The platform of its entries is that of all, whichever way that is set.
fn in_config_file(
    environment: &Environment<'_>,
    list: Value,
) -> Result<Source, (&'static Variable, Vec<String>)> {
    let file = environment.file.path.clone();
    let name =
        file.as_deref().map(|path| path.to_string_lossy().escape_debug().to_string()).unwrap_or_default();
    let name = format!("{name}: workspaces");
    let list = list_in(list).map_err(|why| (&env::CONFIG, vec![format!("{name} {why}")]))?;
    Ok(Source { variable: &env::CONFIG, name, file, platform: None, list })
}

fn in_variable(text: &str) -> Result<Source, (&'static Variable, Vec<String>)> {
    let (variable, name) = (&env::WORKSPACES, env::WORKSPACES.name);
    let refused = |why: String| (variable, vec![format!("{name} {why}")]);
    let value = serde_json::from_str::<Value>(text).map_err(|cause| refused(file::no_json(&cause)))?;
    let list = list_in(value).map_err(refused)?;
    Ok(Source { variable, name: name.to_owned(), file: None, platform: None, list })
}

/// The entries of a list that is not empty.
fn list_in(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(list) if list.is_empty() => {
            Err(format!("is not a non-empty JSON array; expected: {SHAPE}"))
        }
        Value::Array(list) if list.len() > MOST => {
            Err(format!("lists {} workspaces, and a process acts for at most {MOST}", list.len()))
        }
        Value::Array(list) => Ok(list),
        Value::Bool(_) | Value::Null | Value::Number(_) | Value::Object(_) | Value::String(_) => {
            Err(format!("is not a non-empty JSON array; expected: {SHAPE}"))
        }
    }
}

fn listed(
    environment: &mut Environment<'_>,
    source: Result<Source, (&'static Variable, Vec<String>)>,
) -> Listed {
    match source {
        Ok(source) => {
            let mut reading =
                Reading { environment, source: &source, problems: Vec::new(), tokens: BTreeMap::new() };
            let workspaces = reading.workspaces();
            let problems = reading.problems;
            report(environment, source.variable, &source.name, problems);
            Listed { workspaces, file: source.file }
        }
        Err((variable, problems)) => {
            report(environment, variable, variable.name, problems);
            Listed::default()
        }
    }
}

fn report(environment: &mut Environment<'_>, variable: &'static Variable, name: &str, problems: Vec<String>) {
    let all = problems.len();
    for why in problems.into_iter().take(SHOWN) {
        environment.unusable(variable, why);
    }
    if all > SHOWN {
        environment.unusable(variable, format!("{name} has {} more problems", all - SHOWN));
    }
}

/// Reads entry after entry, and collects what is wrong with them.
struct Reading<'a, 'e> {
    environment: &'a mut Environment<'e>,
    source: &'a Source,
    problems: Vec<String>,
    /// In which entry each token stands first.
    tokens: BTreeMap<String, usize>,
}

impl Reading<'_, '_> {
    fn workspaces(&mut self) -> Vec<Workspace> {
        let (mut workspaces, mut seen) = (Vec::new(), BTreeMap::new());
        for (index, value) in self.source.list.iter().enumerate() {
            let entry = match entry::parse(value) {
                Ok(entry) => entry,
                Err(problems) => {
                    problems.into_iter().for_each(|why| self.problem(index, &why));
                    continue;
                }
            };
            if let Some(first) = seen.insert(entry.id.clone(), index) {
                self.problem(index, &format!("duplicate workspace id, the same as in [{first}]"));
            }
            for key in &entry.unknown {
                self.unknown(index, key);
            }
            let platform = self.platform(index, entry.platform.as_deref());
            let credentials = self.credentials(index, &entry);
            let is_elsewhere = entry.platform.is_some();
            workspaces.push(Workspace { id: entry.id, platform, is_elsewhere, credentials });
        }
        workspaces
    }

    fn platform(&mut self, index: usize, own: Option<&str>) -> Option<Url> {
        let Some(text) = own.or(self.source.platform.as_deref()) else {
            return listed::common_platform(self.environment);
        };
        match listed::address(self.environment, text) {
            Ok(url) => Some(url),
            Err(why) => {
                self.problem(index, &format!("'platform_url' {why}"));
                None
            }
        }
    }

    fn credentials(&mut self, index: usize, entry: &Entry) -> Option<Credentials> {
        let credentials = match &entry.token {
            TokenAt::Here(token) => {
                Credentials::new(TokenSource::setting(self.name_of(index)), token.clone())
            }
            TokenAt::File(path) => self.read_token_file(index, path)?,
        };
        let token = credentials.token().reveal().to_owned();
        let first = *self.tokens.entry(token).or_insert(index);
        if first != index {
            let name = &self.source.name;
            self.environment.warn(format!(
                "{name} [{index}] has the token of [{first}], although a token opens one workspace alone"
            ));
        }
        Some(credentials)
    }

    fn read_token_file(&mut self, index: usize, path: &str) -> Option<Credentials> {
        let path =
            self.source.file.as_ref().and_then(|file| Some(file.parent()?.join(path))).unwrap_or(path.into());
        let path = std::path::absolute(&path).unwrap_or(path);
        match read_token(&path) {
            Ok(found) => {
                self.environment.warnings.extend(found.warning);
                Some(Credentials::new(TokenSource::file(path), found.token))
            }
            Err(why) => {
                let shown = path.to_string_lossy().escape_debug().to_string();
                self.problem(index, &format!("'token_file': {shown} {why}"));
                None
            }
        }
    }

    /// Other programs read the lists, too; the configuration file is ours alone.
    fn unknown(&mut self, index: usize, key: &str) {
        if self.source.variable == &env::CONFIG {
            let meant = config_file::meant(key, entry::KEYS);
            self.problem(index, &format!("has {key:?}, which is no key of a workspace{meant}"));
        } else {
            let name = &self.source.name;
            self.environment.warn(format!("{name} [{index}] has {key:?}, which means nothing"));
        }
    }

    /// What the operator calls an entry.
    fn name_of(&self, index: usize) -> String {
        if self.source.list.len() == 1 {
            self.source.name.clone()
        } else {
            format!("{} [{index}]", self.source.name)
        }
    }

    fn problem(&mut self, index: usize, why: &str) {
        self.problems.push(format!("{} [{index}] {why}", self.source.name));
    }
}
