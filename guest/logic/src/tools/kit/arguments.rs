//! Arguments that several tools take: lenient where agents are careless, clear where they are wrong.
//!
//! A missing value, `null` and an empty text are the same, and for the tool to judge. Any other
//! type is answered with the name of the argument.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Visitor},
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Failure;
use crate::text::untrusted;

/// Longest id that is sent to the platform.
const ID_CHARS: usize = 64;

/// Longest piece of a wrong argument that is repeated in the answer.
const SHOWN_CHARS: usize = 200;

/// The arguments of a tool. `null` in place of the object is an empty one.
pub(in crate::tools) fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, Failure> {
    let arguments = if arguments.is_null() { Value::Object(Map::new()) } else { arguments };
    serde_path_to_error::deserialize(arguments).map_err(|cause| {
        let what = untrusted::excerpt(&cause.inner().to_string(), SHOWN_CHARS);
        let place = untrusted::name(&cause.path().to_string());
        Failure::new(match place.as_str() {
            "." => format!("Error: the arguments do not fit: {what}. Give an object as the schema shows it."),
            place => misfit(place, &what).0,
        })
    })
}

/// The answer to an argument that cannot be understood. Everything in a call is read before anything is done.
pub(in crate::tools) fn misfit(argument: &str, what: &str) -> Failure {
    Failure::new(format!(
        "Error: the argument {argument} does not fit: {what}. Nothing was done. Correct it and call again."
    ))
}

/// The entries of a list, however it is written: as an array, as a text that holds one, or as a single entry
/// without a list around it. `null` and an empty text are an empty list.
///
/// What is meant by a text that only begins like a list is not guessed.
pub(in crate::tools) fn entries(list: Value) -> Result<Vec<Value>, String> {
    let text = match list {
        Value::Array(entries) => return Ok(entries),
        Value::Null => return Ok(Vec::new()),
        Value::Object(_) => return Ok(vec![list]),
        Value::Bool(_) | Value::Number(_) => return Err(format!("{list} is no list")),
        Value::String(text) => text,
    };
    match text.trim() {
        "" | "null" => Ok(Vec::new()),
        json if json.starts_with(['[', '{', '"']) => match serde_json::from_str(json) {
            Ok(Value::Array(entries)) => Ok(entries),
            Ok(entry @ (Value::Object(_) | Value::String(_))) => Ok(vec![entry]),
            Ok(Value::Bool(_) | Value::Null | Value::Number(_)) | Err(_) => {
                Err(format!("this text is no list as JSON: {}", untrusted::excerpt(json, SHOWN_CHARS)))
            }
        },
        _ => Ok(vec![Value::String(text)]),
    }
}

/// What each entry of a list is read as by `read`; if that is nothing for one of them, why the whole list is refused.
pub(in crate::tools) fn all<T>(
    list: Value,
    kind: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<T>, String> {
    let entries = entries(list)?.into_iter().enumerate();
    entries
        .map(|(place, entry)| {
            let refused = || {
                let shown = untrusted::excerpt(&entry.to_string(), SHOWN_CHARS);
                format!("entry {} is no {kind}: {shown}", place.saturating_add(1))
            };
            read(&entry).ok_or_else(refused)
        })
        .collect()
}

/// A text; empty if it was `null` or missing.
///
/// In the schema it is required unless the field has `#[serde(default)]`. NUL characters are left
/// out, because the platform loses whole messages over them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::tools) struct Text(pub(in crate::tools) String);

impl Text {
    /// Whether nothing can be seen in it.
    pub(in crate::tools) fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Only an option may be missing without a default, which would end up in the schema.
        deserializer.deserialize_option(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_none<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Text, E> {
        Ok(Text::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.replace('\0', "")))
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Yes or no: `true`, or a text that says so; anything else is no.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::tools) struct Flag(pub(in crate::tools) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Bool(flag) => flag,
            Value::String(text) => text.trim().eq_ignore_ascii_case("true"),
            Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
        }))
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A number, or a text that is one; anything else counts as missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::tools) struct Number(pub(in crate::tools) Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }))
    }
}

impl JsonSchema for Number {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Number".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

/// A whole number from 1 on, or a text that is one; anything else counts as missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::tools) struct Count(pub(in crate::tools) Option<usize>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Number(number) = Number::deserialize(deserializer)?;
        let whole = number.filter(|number| *number >= 1.0 && number.fract() == 0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and positive; a cast of a larger number ends at the largest one"
        )]
        Ok(Self(whole.map(|number| number as usize)))
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer" })
    }
}

/// The id of a workspace that is safe to send: 1 to 64 of `A-Z a-z 0-9 _ -`.
///
/// A UUID is in the spelling that the platform compares with: lower case, with hyphens.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::tools) struct WorkspaceId(String);

impl WorkspaceId {
    /// Reads what an agent gave, blanks around it aside.
    ///
    /// What cannot be an id is answered as if the workspace did not exist: no request is made.
    pub(in crate::tools) fn parse(text: &Text) -> Result<Self, Failure> {
        let id = text.0.trim();
        if let Ok(uuid) = Uuid::try_parse(id) {
            return Ok(Self(uuid.to_string()));
        }
        if is_safe(id) {
            return Ok(Self(id.to_owned()));
        }
        Err(Failure::new(format!(
            "Error: workspace {} not found or not accessible: this cannot be the id of a workspace. Take the id \
             from list_peers.",
            untrusted::excerpt(id, ID_CHARS)
        )))
    }

    pub(in crate::tools) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an id can be sent to the platform, where it may become part of a path.
fn is_safe(id: &str) -> bool {
    (1..=ID_CHARS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::schema, *};

    #[derive(Debug, Deserialize, JsonSchema, PartialEq)]
    struct Arguments {
        /// What to do.
        task: Text,
        /// A note.
        #[serde(default)]
        note: Text,
    }

    #[test]
    fn missing_null_and_empty_are_the_same() {
        let empty = Arguments { task: Text::default(), note: Text::default() };

        assert_eq!(parse(json!({})), Ok(empty));
        assert_eq!(
            parse::<Arguments>(json!({"task": null, "note": null})),
            parse(json!({"task": "", "note": ""}))
        );
        assert_eq!(parse::<Arguments>(Value::Null), parse(json!({})));
    }

    #[test]
    fn another_type_is_answered_with_the_name_of_the_argument() {
        for (task, what) in [
            (json!(5), "invalid type: integer `5`, expected a text"),
            (json!(true), "invalid type: boolean `true`, expected a text"),
            (json!(["a"]), "invalid type: sequence, expected a text"),
            (json!({"a": 1}), "invalid type: map, expected a text"),
        ] {
            assert_eq!(
                parse::<Arguments>(json!({"task": task})),
                Err(Failure(format!(
                    "Error: the argument task does not fit: {what}. Nothing was done. Correct it and call again."
                )))
            );
        }
    }

    #[test]
    fn arguments_that_are_no_object_are_answered() {
        let Err(Failure(text)) = parse::<Arguments>(json!("delegate")) else { panic!("accepted") };

        assert!(text.starts_with("Error: the arguments do not fit: invalid type: string"), "{text}");
    }

    #[test]
    fn unknown_arguments_are_ignored_and_nul_characters_left_out() {
        let arguments: Arguments = parse(json!({"task": "a\0b", "other": 1})).unwrap();

        assert_eq!(arguments.task.0, "ab");
    }

    #[test]
    fn only_what_has_no_default_is_required_and_no_default_is_shown() {
        assert_eq!(
            schema::<Arguments>(),
            json!({
                "type": "object",
                "properties": {
                    "task": {"description": "What to do.", "type": "string"},
                    "note": {"description": "A note.", "type": "string"},
                },
                "required": ["task"],
            })
        );
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let number = |value: Value| serde_json::from_value::<Number>(value).unwrap().0;

        assert_eq!(number(json!(0.1)), Some(0.1));
        assert_eq!(number(json!(" 60 ")), Some(60.0));
        assert!(number(json!("NaN")).is_some_and(f64::is_nan));
        for value in [json!(null), json!(true), json!("soon"), json!(""), json!([1]), json!({"a": 1})] {
            assert_eq!(number(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn a_count_is_whole_and_at_least_one() {
        let count = |value: Value| serde_json::from_value::<Count>(value).unwrap().0;

        assert_eq!(count(json!(3)), Some(3));
        assert_eq!(count(json!("3")), Some(3));
        assert_eq!(count(json!(1e30)), Some(usize::MAX));
        for value in [json!(0), json!(-5), json!(1.5), json!("inf"), json!("NaN"), json!(null), json!("x")] {
            assert_eq!(count(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn a_list_is_read_however_it_is_written() {
        let read = |list: Value| all(list, "text", |entry| entry.as_str().map(str::to_owned));

        for (list, texts) in [
            (json!(["a", "b"]), vec!["a", "b"]),
            (json!(r#"["a", "b"]"#), vec!["a", "b"]),
            (json!(" [\n\"a\"\n]\n"), vec!["a"]),
            (json!("a"), vec!["a"]),
            (json!(" a, b "), vec![" a, b "]),
            (json!(r#""a""#), vec!["a"]),
            (json!([]), vec![]),
            (json!("[]"), vec![]),
            (json!(""), vec![]),
            (json!("null"), vec![]),
            (json!(null), vec![]),
        ] {
            assert_eq!(read(list.clone()), Ok(texts.into_iter().map(str::to_owned).collect()), "{list}");
        }
        for (list, why) in [
            (json!(["a", 5]), "entry 2 is no text: 5"),
            (json!([null]), "entry 1 is no text: null"),
            (json!([["a"]]), r#"entry 1 is no text: ["a"]"#),
            (json!({"a": 1}), r#"entry 1 is no text: {"a":1}"#),
            (json!(5), "5 is no list"),
            (json!(true), "true is no list"),
            (json!("['a']"), "this text is no list as JSON: ['a']"),
            (json!(r#"["a""#), r#"this text is no list as JSON: ["a""#),
        ] {
            assert_eq!(read(list.clone()), Err(why.to_owned()), "{list}");
        }
    }

    #[test]
    fn an_id_is_trimmed_and_a_uuid_is_spelled_as_the_platform_compares_it() {
        for (given, id) in [
            (" 0A1B2C3D-4E5F-4678-9ABC-DEF012345678\n", "0a1b2c3d-4e5f-4678-9abc-def012345678"),
            ("0a1b2c3d4e5f46789abcdef012345678", "0a1b2c3d-4e5f-4678-9abc-def012345678"),
            ("Peer_1", "Peer_1"),
        ] {
            assert_eq!(WorkspaceId::parse(&Text(given.to_owned())), Ok(WorkspaceId(id.to_owned())));
        }
    }

    #[test]
    fn what_could_change_a_path_is_not_an_id() {
        for given in ["../../admin", "a/b", "%2e%2e", "?x", "a b", "ä", "..", &"x".repeat(10_240)] {
            let Err(Failure(text)) = WorkspaceId::parse(&Text(given.to_owned())) else {
                panic!("accepted {given}")
            };
            assert!(text.starts_with("Error: workspace ") && text.contains("not found"), "{text}");
            assert!(text.len() < 300, "{text}");
        }
    }
}
