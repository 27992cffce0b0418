//! Reads variables, and collects what is wrong with them.

use std::{
    env as process,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use molecule_runtime::account::placeholder::{self, Placeholder};

use super::{config_file::ConfigFile, problem::Problem};
use crate::env::{self, Variable};

/// Values that read like "off".
const OFF: [&str; 4] = ["0", "false", "no", "off"];
/// Values that read like "on".
const ON: [&str; 4] = ["1", "true", "yes", "on"];

/// The environment as one start of the program sees it.
pub(super) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) file: ConfigFile,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { lookup, file: ConfigFile::default(), problems: Vec::new(), warnings: Vec::new() }
    }

    /// Looks something up without telling what is wrong with it.
    pub(super) fn quietly<T>(&self, look: impl FnOnce(&mut Environment<'_>) -> T) -> T {
        look(&mut Environment::new(self.lookup))
    }

    /// Refuses every value among `variables` in which something stands for a value that never came.
    pub(super) fn refuse_placeholders(&mut self, variables: &[&'static Variable]) {
        for variable in variables {
            let Some((name, value)) = self.spelled(variable) else { continue };
            let value = value.to_string_lossy();
            if let Some(Placeholder { text, shape }) = left_over(variable, &value) {
                let shown = if is_secret(variable) { shape } else { text };
                let shown = shown.escape_debug();
                self.unusable(
                    variable,
                    format!(
                        "{name} still holds {shown}, which nothing has replaced: write the value itself, because MCP \
                         clients do not expand variables as a shell does"
                    ),
                );
            }
        }
    }

    /// Whether the variable exists, even if it is blank.
    pub(super) fn is_there(&self, variable: &Variable) -> bool {
        (self.lookup)(variable.name).is_some()
    }

    /// The value as it stands, unless it is blank or is refused as a placeholder.
    pub(super) fn raw(&self, variable: &Variable) -> Option<OsString> {
        let (_, value) = self.spelled(variable)?;
        let is_left_over = left_over(variable, &value.to_string_lossy()).is_some();
        (!is_left_over).then_some(value)
    }

    /// Whether it has a value of its own, beside what the configuration file says.
    pub(super) fn is_set_outside_the_file(&self, variable: &Variable) -> bool {
        self.spelled_outside(variable).is_some()
    }

    /// What the operator calls a setting: by its key if it comes from the file.
    pub(super) fn name_of(&self, variable: &Variable) -> String {
        self.spelled(variable).map_or_else(|| variable.name.to_owned(), |(name, _)| name)
    }

    /// Name and value, unless that is blank.
    pub(super) fn spelled(&self, variable: &Variable) -> Option<(String, OsString)> {
        self.spelled_outside(variable).or_else(|| self.file.spelled(variable))
    }

    /// The same without the configuration file. Some variables may also be written in lower case.
    fn spelled_outside(&self, variable: &Variable) -> Option<(String, OsString)> {
        let lower = has_two_spellings(variable).then(|| variable.name.to_ascii_lowercase());
        let names = [Some(variable.name.to_owned()), lower];
        names.into_iter().flatten().find_map(|name| {
            let value = (self.lookup)(&name).filter(|value| !value.as_bytes().trim_ascii().is_empty())?;
            Some((name, value))
        })
    }

    /// The text of a variable, with its name as the operator spelled it.
    pub(super) fn in_either_case(&mut self, variable: &'static Variable) -> Option<(String, String)> {
        let (name, _) = self.spelled(variable)?;
        self.text(variable).map(|text| (name, text))
    }

    /// Whether it has a value, whatever that is.
    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        self.spelled(variable).is_some()
    }

    /// The value without white space around it.
    pub(super) fn text(&mut self, variable: &'static Variable) -> Option<String> {
        let value = self.raw(variable)?;
        let Some(text) = value.to_str() else {
            self.unusable(variable, format!("{} is not valid UTF-8", self.name_of(variable)));
            return None;
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// As [`Self::text`]; nothing is a problem.
    pub(super) fn required(&mut self, variable: &'static Variable) -> Option<String> {
        if !self.is_set(variable) {
            self.missing(variable);
            return None;
        }
        self.text(variable)
    }

    /// A path without white space around it; a leading `~/` stands for the home directory.
    pub(super) fn path(&mut self, variable: &'static Variable) -> Option<PathBuf> {
        let value = self.raw(variable)?;
        self.expand(variable, Path::new(OsStr::from_bytes(value.as_bytes().trim_ascii())))
    }

    /// The paths of a list that is separated as in `PATH`, without blanks.
    pub(super) fn paths(&mut self, variable: &'static Variable) -> Vec<PathBuf> {
        let Some(list) = self.raw(variable) else { return Vec::new() };
        let trim = |path: PathBuf| PathBuf::from(OsStr::from_bytes(path.as_os_str().as_bytes().trim_ascii()));
        let paths: Vec<_> = process::split_paths(&list).map(trim).collect();
        let paths = paths.iter().filter(|path| !path.as_os_str().is_empty());
        paths.filter_map(|path| self.expand(variable, path)).collect()
    }

    /// `path` with a leading `~/` replaced; nothing, and a problem, if that cannot be done.
    fn expand(&mut self, variable: &'static Variable, path: &Path) -> Option<PathBuf> {
        let first = match path.components().next() {
            Some(Component::Normal(first)) => first.as_bytes(),
            Some(Component::CurDir | Component::ParentDir | Component::Prefix(_) | Component::RootDir)
            | None => b"",
        };
        let name = self.name_of(variable);
        match (first, self.home()) {
            (b"~", Some(home)) => Some(home.join(path.strip_prefix("~").unwrap_or(path))),
            (b"~", None) => {
                self.unusable(
                    variable,
                    format!("{name} begins with ~, but HOME is not set: write the whole path"),
                );
                None
            }
            ([b'~', ..], _) => {
                let why = "begins with ~ and a name, of which only ~/ is understood: write the whole path";
                self.unusable(variable, format!("{name} {why}"));
                None
            }
            (_, _) => Some(path.to_owned()),
        }
    }

    /// Says that a home which is no whole path stands for nothing.
    pub(super) fn tell_of_odd_home(&mut self) {
        if self.is_set(&env::HOME) && self.home().is_none() {
            self.warn("HOME is no whole path, and counts as not set".to_owned());
        }
    }

    /// The home directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.raw(&env::HOME).map(PathBuf::from).filter(|home| home.is_absolute())
    }

    /// A switch that any value turns on.
    pub(super) fn any_value(&mut self, variable: &Variable) -> bool {
        let Some(value) = self.raw(variable) else {
            return false;
        };
        let value = value.to_string_lossy().trim().to_lowercase();
        if OFF.contains(&value.as_str()) {
            let name = self.name_of(variable);
            self.warn(format!("{name}={value} has the same effect as {name}=1: unset it to switch it off"));
        }
        true
    }

    /// A switch that 1 turns on.
    pub(super) fn switch(&mut self, variable: &'static Variable) -> bool {
        self.switch_or(variable, false)
    }

    /// As [`Environment::switch`], and on unless it says off.
    pub(super) fn switch_on_unless_off(&mut self, variable: &'static Variable) -> bool {
        self.switch_or(variable, true)
    }

    fn switch_or(&mut self, variable: &'static Variable, otherwise: bool) -> bool {
        let Some(value) = self.text(variable) else {
            return otherwise;
        };
        let value = value.to_lowercase();
        if ON.contains(&value.as_str()) {
            return true;
        }
        if !OFF.contains(&value.as_str()) {
            let counts_as = u8::from(otherwise);
            self.warn(format!("{} is neither 1 nor 0, and counts as {counts_as}", self.name_of(variable)));
            return otherwise;
        }
        false
    }

    /// Whether it is the word `on`; anything but that and `off` is told, and counts as `off`.
    pub(super) fn word(&mut self, variable: &'static Variable, on: &str, off: &str) -> bool {
        let Some(value) = self.text(variable) else { return false };
        if !value.eq_ignore_ascii_case(on) && !value.eq_ignore_ascii_case(off) {
            self.warn(format!("{} is neither {on} nor {off}, and counts as {off}", self.name_of(variable)));
        }
        value.eq_ignore_ascii_case(on)
    }

    /// Says once that a setting is needed.
    fn missing(&mut self, variable: &'static Variable) {
        self.problem(Problem::Missing(variable));
    }

    /// Says once why a setting cannot be used.
    pub(super) fn unusable(&mut self, variable: &'static Variable, why: String) {
        self.problem(Problem::Unusable(variable, why));
    }

    fn problem(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Says once what the operator should know.
    pub(super) fn warn(&mut self, text: String) {
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// What stands in `value` for something that never came.
fn left_over<'a>(variable: &Variable, value: &'a str) -> Option<Placeholder<'a>> {
    let is = |known: &[&Variable]| known.contains(&variable);
    if is(&[&env::AGENT_DESCRIPTION, &env::AGENT_SKILLS]) {
        return placeholder::whole(value);
    }
    // Its fields are looked at one by one.
    if is(&[&env::WORKSPACES]) {
        return None;
    }
    let found = placeholder::within(value)?;
    // `<local>` is an entry that other programs know.
    let may_be_meant = is(&[&env::NO_PROXY]) && found.text.starts_with('<');
    (!may_be_meant).then_some(found)
}

pub(super) fn is_secret(variable: &Variable) -> bool {
    [&env::WORKSPACE_TOKEN, &env::HTTPS_PROXY, &env::HTTP_PROXY, &env::ALL_PROXY].contains(&variable)
}
/// Whether `variable` may also be written in lower case.
fn has_two_spellings(variable: &Variable) -> bool {
    [&env::ALL_PROXY, &env::HTTPS_PROXY, &env::HTTP_PROXY, &env::NO_PROXY].contains(&variable)
}
