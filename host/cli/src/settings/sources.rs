//! Where each setting comes from, for people who look for a mistake.

use std::{ffi::OsString, path::PathBuf};

use super::{
    config_file,
    environment::{Environment, is_secret},
};
use crate::env::{self, Variable};

/// A setting, and where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Which setting.
    pub variable: &'static Variable,
    /// Where its value comes from.
    pub source: Source,
    /// The value as it was written, without white space around it; none without a value, and where it may hold a secret.
    pub value: Option<String>,
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It has none, and what the help calls its default holds.
    Default,
    /// A variable of the environment, by the name in which it was written.
    Environment(String),
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The key in it.
        key: &'static str,
    },
}

/// All settings in the order of [`env::ALL`], as [`super::Settings::from_env`] would read them. A file that cannot be read
/// says nothing here.
#[must_use]
pub fn sources(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<Setting> {
    let mut environment = Environment::new(&lookup);
    config_file::read(&mut environment);
    env::ALL.iter().map(|variable| setting(&environment, variable)).collect()
}

fn setting(environment: &Environment<'_>, variable: &'static Variable) -> Setting {
    let Some((name, value)) = environment.spelled(variable) else {
        return Setting { variable, source: Source::Default, value: None };
    };
    let file = environment.file.path.clone().zip(variable.key);
    let source = match file {
        Some((path, key)) if !environment.is_set_outside_the_file(variable) => {
            Source::File { path, key: key.name }
        }
        Some(_) | None => Source::Environment(name),
    };
    let may_be_shown = !is_secret(variable) && variable != &env::WORKSPACES;
    let value = may_be_shown.then(|| value.to_string_lossy().trim().to_owned());
    Setting { variable, source, value }
}
