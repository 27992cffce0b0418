//! The list of workspaces in a file, as TOML or JSON.
//!
//! ```toml
//! platform_url = "https://acme.example.com"
//!
//! [[workspaces]]
//! id = "6f9c2a31-…"
//! token_file = "tokens/first"
//! ```

use std::path::{Path, PathBuf};

use molecule_runtime::account::{SecretFile, read_secret};
use serde_json::{Map, Value};

use super::{SHAPE, Source, list_in};
use crate::{
    env::{self, Variable},
    settings::environment::Environment,
};

/// 2,000 entries with tokens of the usual length take a tenth of that.
const FILE_BYTES: u64 = 4 << 20;
const LIST: &str = "workspaces";
const PLATFORM: &str = "platform_url";

/// Reads the list in the file at `path`.
pub(super) fn read(
    environment: &mut Environment<'_>,
    path: PathBuf,
) -> Result<Source, (&'static Variable, Vec<String>)> {
    let variable = &env::WORKSPACES_FILE;
    let name = format!("{} ({})", variable.name, path.to_string_lossy().escape_debug());
    let refused = |why: String| (variable, vec![format!("{name} {why}")]);
    let file = read_secret(&path, FILE_BYTES).map_err(|why| refused(why.to_string()))?;
    let SecretFile { text, warning } = file;
    environment.warnings.extend(warning);
    let (list, platform) = parse(&path, &text).map_err(refused)?;
    let path = std::path::absolute(&path).unwrap_or(path);
    Ok(Source { variable, name, file: Some(path), platform, list })
}

fn parse(path: &Path, text: &str) -> Result<(Vec<Value>, Option<String>), String> {
    let value = if is_json(path, text) {
        serde_json::from_str::<Value>(text).map_err(|cause| no_json(&cause))?
    } else {
        toml::from_str::<Value>(text).map_err(|cause| no_toml(text, &cause))?
    };
    let Value::Object(mut fields) = value else { return Ok((list_in(value)?, None)) };
    let platform = platform(&fields)?;
    let list =
        fields.remove(LIST).ok_or_else(|| format!("has no '{LIST}'; expected: {SHAPE} below that name"))?;
    Ok((list_in(list)?, platform))
}

fn platform(fields: &Map<String, Value>) -> Result<Option<String>, String> {
    match fields.get(PLATFORM) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err(format!("'{PLATFORM}' must be a string"))
        }
    }
}

/// By the end of its name, and else by how it begins: a TOML file begins with no brace, and with no list of objects.
fn is_json(path: &Path, text: &str) -> bool {
    match path.extension().and_then(|end| end.to_str()) {
        Some("json") => true,
        Some("toml") => false,
        Some(_) | None => {
            let after = text.trim_start().strip_prefix('[').map(str::trim_start);
            text.trim_start().starts_with('{') || after.is_some_and(|after| after.starts_with(['{', ']']))
        }
    }
}

/// Where it is no JSON; the text itself may be a token.
pub(super) fn no_json(cause: &serde_json::Error) -> String {
    let (line, column) = (cause.line(), cause.column());
    format!("is not valid JSON (line {line}, column {column}); expected: {SHAPE}")
}

fn no_toml(text: &str, cause: &toml::de::Error) -> String {
    let line = cause
        .span()
        .and_then(|span| text.get(..span.start))
        .map_or(1, |before| before.lines().count().max(1));
    format!(
        "is not valid TOML (line {line}); expected: tables [[{LIST}]] with 'id' and 'token_file' or 'token'"
    )
}
