//! JSON as the platform reads, stores and writes it.

use std::io;

use serde_json::{Deserializer, Map, Number, Serializer, Value, ser::Formatter};

/// The body, or a field of it, is not what the endpoint takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The JSON object of a fixed-shape endpoint: names match in any letter case, `null` is absent.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads the first value; whatever follows it is ignored.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let text = tolerant_text(body);
        let first = Deserializer::from_str(&text).into_iter::<Value>().next();
        match first.ok_or(Malformed)?.map_err(|_| Malformed)? {
            Value::Object(fields) => Ok(Self(fields)),
            Value::Null => Ok(Self(Map::new())),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(Malformed),
        }
    }

    pub(crate) fn from_value(value: &Value) -> Result<Self, Malformed> {
        value.as_object().cloned().map(Self).ok_or(Malformed)
    }

    /// The field as it is; `null` counts as present.
    pub(crate) fn any(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.any(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        self.value(name).map(|value| value.as_str().ok_or(Malformed)).transpose()
    }

    /// The field, with an empty one counting as absent.
    pub(crate) fn filled(&self, name: &str) -> Result<Option<&str>, Malformed> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Malformed> {
        self.filled(name)?.ok_or(Malformed)
    }

    /// Integers have to be written without fraction and exponent.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Malformed> {
        self.value(name).map(|value| value.as_i64().ok_or(Malformed)).transpose()
    }

    pub(crate) fn float(&self, name: &str) -> Result<Option<f64>, Malformed> {
        self.value(name).map(|value| value.as_f64().ok_or(Malformed)).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        self.value(name).map(|value| value.as_bool().ok_or(Malformed)).transpose()
    }
}

/// Reads a body that has to be one JSON value and nothing else.
pub(crate) fn parse(body: &[u8]) -> Result<Value, Malformed> {
    serde_json::from_str(&tolerant_text(body)).map_err(|_| Malformed)
}

/// Invalid UTF-8 and lone surrogates become U+FFFD instead of failing the body.
fn tolerant_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if !text.contains("\\u") {
        return text.into_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let (taken, replaced) = escape_at(escape);
        out.push_str(before);
        out.push_str(replaced.unwrap_or(escape.get(..taken).unwrap_or(escape)));
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// How long the escape at the start is, and what to put in its place if it is half a character.
fn escape_at(escape: &str) -> (usize, Option<&'static str>) {
    let length = |wanted: usize| if escape.is_char_boundary(wanted) { wanted } else { escape.len() };
    match unit(escape) {
        Some(0xD800..=0xDBFF) => match escape.get(6..).and_then(unit) {
            Some(0xDC00..=0xDFFF) => (12, None),
            Some(_) | None => (6, Some("\\ufffd")),
        },
        Some(0xDC00..=0xDFFF) => (6, Some("\\ufffd")),
        Some(_) => (6, None),
        None => (length(2), None),
    }
}

fn unit(escape: &str) -> Option<u32> {
    u32::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Writes JSON with the characters escaped that would mean something in a web page.
pub(crate) fn encode(value: &Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            plain => out.push(plain),
        }
    }
    out
}

/// Sorts the keys of an answer, or of every element of a list; what lies deeper keeps its order.
pub(crate) fn alphabetical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(alphabetical).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// The document as the database stores it: shorter keys first, then by their bytes.
pub(crate) fn stored(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), stored(value))).collect();
            fields.sort_by(|one, other| (one.0.len(), &one.0).cmp(&(other.0.len(), &other.0)));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(stored).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain.clone(),
    }
}

/// Numbers after a trip through 64-bit floats: integers above 2^53 lose digits, `1.0` becomes `1`.
pub(crate) fn as_floats(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), as_floats(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(as_floats).collect()),
        Value::Number(number) => Value::Number(as_float(number)),
        plain @ (Value::Null | Value::Bool(_) | Value::String(_)) => plain.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within range")]
fn as_float(number: &Number) -> Number {
    let Some(float) = number.as_f64() else { return number.clone() };
    if float.fract() == 0.0 && float.abs() < 9e18 {
        return Number::from(float as i64);
    }
    Number::from_f64(float).unwrap_or_else(|| number.clone())
}

/// Sets a field of an object.
pub(crate) fn put(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Whether a text anywhere in the document holds U+0000, which the database refuses.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Array(items) => items.iter().any(has_nul),
        Value::String(text) => text.contains('\0'),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The document as the database prints it: a blank after each colon and comma.
pub(crate) fn database_text(value: &Value) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, Spaced);
    let written = serde::Serialize::serialize(value, &mut serializer);
    written.map(|()| String::from_utf8_lossy(&out).into_owned()).unwrap_or_default()
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_match_in_any_case_and_trailing_bytes_are_ignored() {
        let fields = Fields::parse(br#"{"Task":"x","n":12.0,"empty":""} rest"#).unwrap();

        assert_eq!(fields.text("task"), Ok(Some("x")));
        assert_eq!(fields.integer("n"), Err(Malformed));
        assert_eq!(fields.required("empty"), Err(Malformed));
        assert!(Fields::parse(b"").is_err());
        assert!(Fields::parse(b"[]").is_err());
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(parse(br#""a\ud800b""#), Ok(json!("a\u{fffd}b")));
        assert_eq!(parse(br#""\ud83d\ude00""#), Ok(json!("😀")));
        assert_eq!(parse(br#""\\ud800""#), Ok(json!("\\ud800")));
        assert_eq!(parse(b"\"\xff\""), Ok(json!("\u{fffd}")));
    }

    #[test]
    fn integers_beyond_53_bits_lose_precision() {
        assert_eq!(
            as_floats(&json!([9_007_199_254_740_993_i64, 1.0, 0.5])).to_string(),
            "[9007199254740992,1,0.5]"
        );
    }

    #[test]
    fn stored_documents_have_short_keys_first_and_print_with_blanks() {
        let document = stored(&json!({"text": "a", "id": 1, "b": [1, 2]}));

        assert_eq!(database_text(&document), r#"{"b": [1, 2], "id": 1, "text": "a"}"#);
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(encode(&json!({"a": "<b>&\u{2028}"})), r#"{"a":"\u003cb\u003e\u0026\u2028"}"#);
    }
}
