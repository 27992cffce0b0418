//! JSON, with comments where the client takes them.

use jsonc_parser::{
    ParseOptions,
    cst::{CstInputValue, CstObject, CstRootNode},
};
use serde_json::{Map, Value};

pub(super) fn with(
    text: &str,
    at: &[&str],
    name: &str,
    entry: &Map<String, Value>,
) -> Result<String, String> {
    let (mark, root) = root(text)?;
    let entries = inside(&root, at)?;
    match entries.get(name) {
        None => {
            entries.append(name, Value::Object(entry.clone()).into_input());
        }
        Some(there) => {
            let fields = there.object_value().ok_or_else(|| no_object(name))?;
            for (field, value) in entry {
                match fields.get(field) {
                    None => {
                        fields.append(field, value.clone().into_input());
                    }
                    Some(old) if old.value().and_then(|old| old.to_serde_value()).as_ref() == Some(value) => {
                    }
                    Some(old) => old.set_value(value.clone().into_input()),
                }
            }
        }
    }
    Ok(written(mark, &root, text))
}

pub(super) fn without(text: &str, at: &[&str], name: &str) -> Result<String, String> {
    let (mark, root) = root(text)?;
    let there = at.iter().try_fold(object(&root)?, |object, key| object.object_value(key));
    if let Some(there) = there.and_then(|entries| entries.get(name)) {
        there.remove();
    }
    Ok(format!("{mark}{root}"))
}

/// `text` with `item` at the end of the list at `at`, if it is not there.
pub(in super::super) fn with_item(text: &str, at: &[&str], item: &str) -> Result<String, String> {
    if has_item(text, at, item) {
        return Ok(text.to_owned());
    }
    let (mark, root) = root(text)?;
    let (last, above) = at.split_last().ok_or_else(|| no_object(""))?;
    let list = inside(&root, above)?
        .array_value_or_create(last)
        .ok_or_else(|| format!("has {last:?}, which is no list"))?;
    list.append(item.into());
    Ok(written(mark, &root, text))
}

/// `text` without `item` in the list at `at`.
pub(in super::super) fn without_item(text: &str, at: &[&str], item: &str) -> Result<String, String> {
    let (mark, root) = root(text)?;
    let Some((last, above)) = at.split_last() else { return Ok(text.to_owned()) };
    let above = above.iter().try_fold(object(&root)?, |object, key| object.object_value(key));
    for element in
        above.and_then(|above| above.array_value(last)).map(|list| list.elements()).unwrap_or_default()
    {
        if element.to_serde_value().as_ref().and_then(Value::as_str) == Some(item) {
            element.remove();
        }
    }
    Ok(format!("{mark}{root}"))
}

pub(in super::super) fn has_item(text: &str, at: &[&str], item: &str) -> bool {
    let Ok(whole) = parse(text) else { return false };
    let list = at.iter().try_fold(&whole, |value, key| value.get(key)).and_then(Value::as_array);
    list.is_some_and(|list| list.iter().any(|element| element == item))
}

pub(super) fn parse(text: &str) -> Result<Value, String> {
    let (_, root) = root(text)?;
    Ok(root.to_serde_value().unwrap_or(Value::Object(Map::new())))
}

/// The text of an absent file ends with a line break, as editors write it.
fn written(mark: &str, root: &CstRootNode, before: &str) -> String {
    let text = root.to_string();
    let end = if before.is_empty() && !text.ends_with('\n') { "\n" } else { "" };
    format!("{mark}{text}{end}")
}

/// The mark of the byte order, which some editors write, and the rest.
fn root(text: &str) -> Result<(&str, CstRootNode), String> {
    let (mark, text) = text.strip_prefix('\u{feff}').map_or(("", text), |rest| ("\u{feff}", rest));
    let options = ParseOptions {
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
        ..ParseOptions::default()
    };
    let root = CstRootNode::parse(text, &options)
        .map_err(|cause| format!("is not valid JSON (line {})", cause.line_display()))?;
    Ok((mark, root))
}

fn object(root: &CstRootNode) -> Result<CstObject, String> {
    root.object_value_or_create().ok_or_else(|| "is JSON, but no object".to_owned())
}

fn inside(root: &CstRootNode, at: &[&str]) -> Result<CstObject, String> {
    at.iter().try_fold(object(root)?, |object, key| {
        object.object_value_or_create(key).ok_or_else(|| no_object(key))
    })
}

fn no_object(key: &str) -> String {
    format!("has {key:?}, which is no object")
}

trait IntoInput {
    fn into_input(self) -> CstInputValue;
}

impl IntoInput for Value {
    fn into_input(self) -> CstInputValue {
        match self {
            Self::Null => CstInputValue::Null,
            Self::Bool(value) => CstInputValue::Bool(value),
            Self::Number(number) => CstInputValue::Number(number.to_string()),
            Self::String(text) => CstInputValue::String(text),
            Self::Array(list) => CstInputValue::Array(list.into_iter().map(Self::into_input).collect()),
            Self::Object(fields) => CstInputValue::Object(
                fields.into_iter().map(|(key, value)| (key, value.into_input())).collect(),
            ),
        }
    }
}
