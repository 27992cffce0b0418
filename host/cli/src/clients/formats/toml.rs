//! TOML.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, value};

pub(super) fn with(
    text: &str,
    at: &[&str],
    name: &str,
    entry: &Map<String, Value>,
) -> Result<String, String> {
    let mut document = document(text)?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in at {
        if !table.contains_key(key) {
            let mut made = Table::new();
            made.set_implicit(true);
            table.insert(key, Item::Table(made));
        }
        let inner = table.get_mut(key).and_then(Item::as_table_like_mut);
        table = inner.ok_or_else(|| format!("has {key:?}, which is no table"))?;
    }
    if !table.contains_key(name) {
        table.insert(name, Item::Table(Table::new()));
    }
    let fields = table.get_mut(name).and_then(Item::as_table_like_mut);
    let fields = fields.ok_or_else(|| format!("has {name:?}, which is no table"))?;
    for (field, wanted) in entry {
        if fields.get(field).and_then(as_json).as_ref() == Some(wanted) {
            continue;
        }
        let item = item_of(wanted);
        match fields.get_mut(field) {
            Some(old) => *old = item,
            None => {
                fields.insert(field, item);
            }
        }
    }
    Ok(document.to_string())
}

pub(super) fn without(text: &str, at: &[&str], name: &str) -> Result<String, String> {
    let mut document = document(text)?;
    let mut table: Option<&mut dyn TableLike> = Some(document.as_table_mut());
    for key in at {
        table = table.and_then(|table| table.get_mut(key)?.as_table_like_mut());
    }
    if let Some(table) = table {
        table.remove(name);
    }
    Ok(document.to_string())
}

pub(super) fn parse(text: &str) -> Result<Value, String> {
    document(text)?;
    toml::from_str(text).map_err(|_| "is not valid TOML".to_owned())
}

fn document(text: &str) -> Result<DocumentMut, String> {
    text.parse().map_err(|cause: toml_edit::TomlError| {
        let before = cause.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        format!("is not valid TOML (line {line})")
    })
}

fn as_json(item: &Item) -> Option<Value> {
    let text = format!("value = {}", item.as_value()?.to_string().trim());
    let mut whole: Map<String, Value> = toml::from_str(&text).ok()?;
    whole.shift_remove("value")
}

fn item_of(wanted: &Value) -> Item {
    match wanted {
        Value::Bool(on) => value(*on),
        Value::Number(number) => value(number.as_i64().unwrap_or_default()),
        Value::Array(list) => value(list.iter().filter_map(Value::as_str).collect::<Array>()),
        Value::Object(fields) => {
            let fields = fields.iter().filter_map(|(key, text)| Some((key.as_str(), text.as_str()?)));
            value(fields.collect::<InlineTable>())
        }
        Value::Null => Item::None,
        Value::String(text) => value(text.as_str()),
    }
}
