//! A value of the file as the text that the variable would hold.

use std::{
    env as process,
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::env::Shape;

/// The text; none if the value says the same as its absence. Why not follows the key, and does not show the value.
pub(super) fn read(value: &Value, shape: Shape, directory: &Path) -> Result<Option<OsString>, String> {
    let text = match (shape, value) {
        (Shape::Flag, Value::Bool(on)) => return Ok(on.then(|| "1".into())),
        (Shape::Switch, Value::Bool(on)) => OsString::from(if *on { "1" } else { "0" }),
        (Shape::Number, Value::Number(number)) if number.is_u64() => number.to_string().into(),
        (Shape::Choice(known), Value::String(text)) if known.contains(&text.as_str()) => text.into(),
        (Shape::Text | Shape::List, Value::String(text)) => text.into(),
        (Shape::List, Value::Array(list)) => texts(list, shape)?.join(",").into(),
        (Shape::Path, Value::String(text)) => absolute(text, directory).into(),
        (Shape::Paths, Value::String(text)) => {
            let paths = process::split_paths(text).map(|path| absolute(&path.to_string_lossy(), directory));
            join(paths)?
        }
        (Shape::Paths, Value::Array(list)) => {
            join(texts(list, shape)?.iter().map(|text| absolute(text, directory)))?
        }
        (_, _) => return Err(format!("must be {}", described(shape))),
    };
    Ok(Some(text))
}

fn texts(list: &[Value], shape: Shape) -> Result<Vec<&str>, String> {
    let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
    texts.ok_or_else(|| format!("must be {}", described(shape)))
}

fn join(paths: impl Iterator<Item = PathBuf>) -> Result<OsString, String> {
    process::join_paths(paths).map_err(|_| "has a path with a colon, which separates paths".to_owned())
}

/// `text` as a path, from `directory` on if it is relative; a leading `~` is left as it is, and blank stays blank.
fn absolute(text: &str, directory: &Path) -> PathBuf {
    let text = text.trim();
    if text.is_empty() || text.starts_with(['~', '$', '%', '<']) { text.into() } else { directory.join(text) }
}

/// What has to stand there.
pub(super) fn described(shape: Shape) -> String {
    match shape {
        Shape::Choice(known) => known.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" or "),
        Shape::Flag | Shape::Switch => "true or false".to_owned(),
        Shape::List => "a list of texts".to_owned(),
        Shape::Number => "a whole number, 0 or more".to_owned(),
        Shape::Path => "a text, the path".to_owned(),
        Shape::Paths => "a list of texts, the paths".to_owned(),
        Shape::Text => "a text".to_owned(),
    }
}
