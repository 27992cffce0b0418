//! Reads variables, and collects what is wrong with them.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::problem::Problem;
use crate::env::{self, Variable};

/// Values that read like "off".
const OFF: [&str; 4] = ["0", "false", "no", "off"];
/// Values that read like "on".
const ON: [&str; 4] = ["1", "true", "yes", "on"];

/// The environment as one start of the program sees it.
pub(super) struct Environment<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>) -> Self {
        Self { lookup, problems: Vec::new(), warnings: Vec::new() }
    }

    /// The value as it stands, unless it is blank.
    pub(super) fn raw(&self, variable: &Variable) -> Option<OsString> {
        (self.lookup)(variable.name).filter(|value| !value.as_bytes().trim_ascii().is_empty())
    }

    /// Whether it has a value, whatever that is.
    pub(super) fn is_set(&self, variable: &Variable) -> bool {
        self.raw(variable).is_some()
    }

    /// The value without white space around it.
    pub(super) fn text(&mut self, variable: &'static Variable) -> Option<String> {
        let value = self.raw(variable)?;
        let Some(text) = value.to_str() else {
            self.unusable(variable, format!("{} is not valid UTF-8", variable.name));
            return None;
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// As [`Self::text`]; nothing is a problem.
    pub(super) fn required(&mut self, variable: &'static Variable) -> Option<String> {
        if !self.is_set(variable) {
            self.problems.push(Problem::Missing(variable));
            return None;
        }
        self.text(variable)
    }

    /// A path without white space around it; a leading `~/` stands for the home directory.
    pub(super) fn path(&self, variable: &Variable) -> Option<PathBuf> {
        let value = self.raw(variable)?;
        Some(self.expand(Path::new(OsStr::from_bytes(value.as_bytes().trim_ascii()))))
    }

    /// `path` with a leading `~/` replaced.
    pub(super) fn expand(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.home()) {
            (Ok(below), Some(home)) => home.join(below),
            (_, None) | (Err(_), _) => path.to_owned(),
        }
    }

    /// The home directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.raw(&env::HOME).map(PathBuf::from)
    }

    /// A switch that any value turns on.
    pub(super) fn any_value(&mut self, variable: &Variable) -> bool {
        let Some(value) = self.raw(variable) else {
            return false;
        };
        let value = value.to_string_lossy().trim().to_lowercase();
        if OFF.contains(&value.as_str()) {
            let name = variable.name;
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
            self.warn(format!("{} is neither 1 nor 0, and counts as {counts_as}", variable.name));
            return otherwise;
        }
        false
    }

    pub(super) fn unusable(&mut self, variable: &'static Variable, why: String) {
        self.problems.push(Problem::Unusable(variable, why));
    }

    pub(super) fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }
}
