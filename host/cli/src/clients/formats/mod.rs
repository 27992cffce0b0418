//! The formats of configuration files: a text with an entry in it, or without. What is not the entry's stays as it is.

pub(super) mod json;
mod toml;
mod yaml;

use serde_json::{Map, Value};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// With comments and commas at the end, where people write them.
    Json,
    Toml,
    Yaml,
}

impl Format {
    /// `text` with the fields of `entry` in the entry `name` below `at`; other fields of the entry stay. Why not follows the
    /// name of the file.
    pub(super) fn with(
        self,
        text: &str,
        at: &[&str],
        name: &str,
        entry: &Map<String, Value>,
    ) -> Result<String, String> {
        let after = match self {
            Self::Json => json::with(text, at, name, entry)?,
            Self::Toml => toml::with(text, at, name, entry)?,
            Self::Yaml => yaml::with(text, at, name, entry)?,
        };
        let is_kept = self.others(text, at, name)? == self.others(&after, at, name)?;
        let is_there = self
            .entry(&after, at, name)
            .is_some_and(|found| entry.iter().all(|(field, value)| found.get(field) == Some(value)));
        if is_kept && is_there { Ok(after) } else { Err(by_hand()) }
    }

    /// `text` without the entry `name` below `at`.
    pub(super) fn without(self, text: &str, at: &[&str], name: &str) -> Result<String, String> {
        let after = match self {
            Self::Json => json::without(text, at, name)?,
            Self::Toml => toml::without(text, at, name)?,
            Self::Yaml => yaml::without(text, at, name)?,
        };
        if self.others(text, at, name)? == self.others(&after, at, name)? {
            Ok(after)
        } else {
            Err(by_hand())
        }
    }

    /// The entry `name` below `at`.
    pub(super) fn entry(self, text: &str, at: &[&str], name: &str) -> Option<Map<String, Value>> {
        let whole = self.parse(text).ok()?;
        at.iter().chain([&name]).try_fold(&whole, |value, key| value.get(key))?.as_object().cloned()
    }

    /// The names of all entries below `at`.
    pub(super) fn names(self, text: &str, at: &[&str]) -> Vec<String> {
        let Ok(whole) = self.parse(text) else { return Vec::new() };
        let entries = at.iter().try_fold(&whole, |value, key| value.get(key)).and_then(Value::as_object);
        entries.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// All that `text` says but the entry; what is empty says nothing.
    fn others(self, text: &str, at: &[&str], name: &str) -> Result<Value, String> {
        let mut whole = self.parse(text)?;
        remove(&mut whole, at, name);
        Ok(whole)
    }

    fn parse(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Json => json::parse(text),
            Self::Toml => toml::parse(text),
            Self::Yaml => yaml::parse(text),
        }
    }
}

fn remove(value: &mut Value, at: &[&str], name: &str) {
    let Some(fields) = value.as_object_mut() else { return };
    let Some((first, rest)) = at.split_first() else {
        fields.shift_remove(name);
        return;
    };
    if let Some(inner) = fields.get_mut(*first) {
        remove(inner, rest, name);
        if inner.as_object().is_some_and(Map::is_empty) || inner.is_null() {
            fields.shift_remove(*first);
        }
    }
}

fn by_hand() -> String {
    "is written in a way that this program does not change safely: add the server by hand, with what --print shows".to_owned()
}
