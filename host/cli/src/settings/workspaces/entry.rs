//! One entry of the list of workspaces.

use molecule_runtime::account::{Token, placeholder};
use serde_json::{Map, Value};
use uuid::Uuid;

const LONGEST_ID: usize = 128;
pub(super) const KEYS: [&str; 4] = ["id", "token", "token_file", "platform_url"];

/// An entry that can be used.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) token: TokenAt,
    /// The text of its own address, if it has one.
    pub(super) platform: Option<String>,
    /// Keys that mean nothing.
    pub(super) unknown: Vec<String>,
}

/// Where the token is.
#[derive(Debug)]
pub(super) enum TokenAt {
    /// In a file of this path, which may be relative to the list's own.
    File(String),
    Here(Token),
}

/// Reads an entry; all that is wrong with it follows its place in the list.
pub(super) fn parse(value: &Value) -> Result<Entry, Vec<String>> {
    let Value::Object(fields) = value else {
        return Err(vec![format!("is {}, not an object", kind(value))]);
    };
    if scalar(fields, "id").is_none() || (scalar(fields, "token").or(scalar(fields, "token_file"))).is_none()
    {
        return Err(vec!["missing 'id' or 'token'".to_owned()]);
    }
    match (id(fields), token(fields), platform(fields)) {
        (Ok(id), Ok(token), Ok(platform)) => {
            let unknown = fields.keys().filter(|key| !KEYS.contains(&key.as_str())).cloned().collect();
            Ok(Entry { id, token, platform, unknown })
        }
        (id, token, platform) => Err([id.err(), token.err(), platform.err()].into_iter().flatten().collect()),
    }
}

fn id(fields: &Map<String, Value>) -> Result<String, String> {
    let text = scalar(fields, "id").unwrap_or_default();
    not_left_over("id", &text)?;
    let id = Uuid::try_parse(&text).map_or(text, |uuid| uuid.to_string());
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    if let Some(char) = id.chars().find(|char| !is_plain(*char) && *char != '-') {
        return Err(format!("'id' contains {char:?}; an id has only small letters, digits and -"));
    }
    if !id.starts_with(is_plain) {
        return Err("'id' begins with -, which no id does".to_owned());
    }
    if id.len() > LONGEST_ID {
        return Err(format!("'id' is longer than {LONGEST_ID} characters, which no id is"));
    }
    Ok(id)
}

fn token(fields: &Map<String, Value>) -> Result<TokenAt, String> {
    match (scalar(fields, "token"), scalar(fields, "token_file")) {
        (Some(_), Some(_)) => Err("has both 'token' and 'token_file'".to_owned()),
        (Some(token), None) => {
            Token::parse(&token).map(TokenAt::Here).map_err(|why| format!("'token' {why}"))
        }
        (None, file) => {
            let file = file.unwrap_or_default();
            not_left_over("token_file", &file)?;
            Ok(TokenAt::File(file))
        }
    }
}

fn platform(fields: &Map<String, Value>) -> Result<Option<String>, String> {
    match fields.get("platform_url") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(url)) => {
            not_left_over("platform_url", url)?;
            Ok(Some(url.trim().to_owned()).filter(|url| !url.is_empty()))
        }
        Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err("'platform_url' must be a string".to_owned())
        }
    }
}

fn not_left_over(name: &str, value: &str) -> Result<(), String> {
    match placeholder::within(value) {
        Some(found) => Err(format!("'{name}' still holds {}, which nothing has replaced", found.shape)),
        None => Ok(()),
    }
}

/// A text or a number as text, unless it is blank.
fn scalar(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = match fields.get(name)? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) | Value::Bool(_) | Value::Null | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "an array",
        Value::Bool(_) => "a boolean",
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::Object(_) => "an object",
        Value::String(_) => "a string",
    }
}
