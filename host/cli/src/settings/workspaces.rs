//! `MOLECULE_WORKSPACES`: the workspace as an entry of a JSON list.
//!
//! ```json
//! [{"id": "6f9c2a31-…", "token": "…", "platform_url": "https://…"}]
//! ```
//!
//! The list may be longer elsewhere; a process of this program acts for one workspace.

use std::collections::BTreeMap;

use molecule_runtime::account::{Token, placeholder};
use serde_json::Value;

use super::{environment::Environment, identity};
use crate::env;

const SHAPE: &str = r#"[{"id": "…", "token": "…"}]"#;
/// More lines help nobody.
const SHOWN: usize = 10;

/// An entry that can be used. `platform` is the text of its own address, if it has one.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) token: Token,
    pub(super) platform: Option<String>,
}

/// Reads the one entry. Problems name the place in the list, and show no value.
pub(super) fn read(environment: &mut Environment<'_>) -> Option<Entry> {
    let text = environment.text(&env::WORKSPACES)?;
    match parse(&text) {
        Ok(entry) => Some(entry),
        Err(problems) => {
            let all = problems.len();
            for why in problems.into_iter().take(SHOWN) {
                environment.unusable(&env::WORKSPACES, format!("{} {why}", env::WORKSPACES.name));
            }
            if all > SHOWN {
                let more = format!("{} has {} more problems", env::WORKSPACES.name, all - SHOWN);
                environment.unusable(&env::WORKSPACES, more);
            }
            None
        }
    }
}

fn parse(text: &str) -> Result<Entry, Vec<String>> {
    let list = serde_json::from_str::<Value>(text).map_err(|cause| {
        let (line, column) = (cause.line(), cause.column());
        vec![format!("is not valid JSON (line {line}, column {column}); expected: {SHAPE}")]
    })?;
    let Value::Array(list) = list else {
        return Err(vec![format!("is not a non-empty JSON array; expected: {SHAPE}")]);
    };
    let count = list.len();
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let mut seen = BTreeMap::new();
    for (index, value) in list.iter().enumerate() {
        match entry(value) {
            Ok(entry) => {
                if let Some(first) = seen.insert(entry.id.clone(), index) {
                    problems.push(format!("[{index}] duplicate workspace id, the same as in [{first}]"));
                }
                entries.push(entry);
            }
            Err(why) => problems.push(format!("[{index}] {why}")),
        }
    }
    match (entries.pop(), problems.is_empty(), count) {
        (Some(entry), true, 1) => Ok(entry),
        (None, true, _) => Err(vec![format!("is not a non-empty JSON array; expected: {SHAPE}")]),
        (Some(_), true, _) => Err(vec![format!(
            "lists {count} workspaces, but this version acts for one: start one server for each"
        )]),
        (_, false, _) => Err(problems),
    }
}

fn entry(value: &Value) -> Result<Entry, String> {
    let Value::Object(fields) = value else {
        return Err(format!("is {}, not an object", kind(value)));
    };
    let field = |name| fields.get(name).and_then(scalar);
    let (Some(id), Some(token)) = (field("id"), field("token")) else {
        return Err("missing 'id' or 'token'".to_owned());
    };
    for name in ["id", "platform_url"] {
        let value = field(name).unwrap_or_default();
        if let Some(found) = placeholder::within(&value) {
            return Err(format!("'{name}' still holds {}, which nothing has replaced", found.shape));
        }
    }
    let platform = match fields.get("platform_url") {
        None | Some(Value::Null) => None,
        Some(Value::String(url)) => Some(url.trim().to_owned()).filter(|url| !url.is_empty()),
        Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Err("'platform_url' must be a string".to_owned());
        }
    };
    Ok(Entry {
        id: identity::workspace_id(&id).map_err(|why| format!("'id' {why}"))?,
        token: Token::parse(&token).map_err(|why| format!("'token' {why}"))?,
        platform,
    })
}

/// A text or a number as text, unless it is blank.
fn scalar(value: &Value) -> Option<String> {
    let text = match value {
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn a_list_of_one_is_the_workspace() {
        let entry = parse(r#"[{"id": " w-1 ", "token": " tok ", "platform_url": "https://acme.example/"}]"#)
            .unwrap_or_else(|why| panic!("{why:?}"));

        assert_eq!((entry.id.as_str(), entry.token.reveal()), ("w-1", "tok"));
        assert_eq!(entry.platform.as_deref(), Some("https://acme.example/"));
    }

    #[test]
    fn each_problem_names_its_entry_and_no_token() {
        for (text, reasons) in [
            ("canary-token-7", vec!["is not valid JSON"]),
            (r#"{"token": "canary-token-7"}"#, vec!["non-empty JSON array"]),
            ("[]", vec!["non-empty JSON array"]),
            (r#"["canary-token-7", 5]"#, vec!["[0] is a string", "[1] is a number"]),
            (r#"[{"token": "canary-token-7"}]"#, vec!["[0] missing 'id' or 'token'"]),
            (r#"[{"id": "a"}, {"id": "b", "token": " "}]"#, vec!["[0] missing", "[1] missing"]),
            (r#"[{"id": "a/b", "token": "canary-token-7"}]"#, vec!["[0] 'id' "]),
            (r#"[{"id": "a", "token": "canary token-7"}]"#, vec!["[0] 'token' contains internal whitespace"]),
            (r#"[{"id": "${ID}", "token": "canary-token-7"}]"#, vec!["[0] 'id' still holds ${NAME}"]),
            (r#"[{"id": "a", "token": "<canary token>"}]"#, vec!["[0] 'token' still holds <…> in place"]),
            (
                r#"[{"id": "a", "token": "t", "platform_url": "https://$HOST"}]"#,
                vec!["[0] 'platform_url' still holds $NAME"],
            ),
            (
                r#"[{"id": "a", "token": "t", "platform_url": 7}]"#,
                vec!["[0] 'platform_url' must be a string"],
            ),
            (
                r#"[{"id": "a", "token": "t"}, {"id": "b", "token": "t"}, {"id": "a", "token": "canary-token-7"}]"#,
                vec!["[2] duplicate workspace id, the same as in [0]"],
            ),
            (r#"[{"id": "a", "token": "t"}, {"id": "b", "token": "t"}]"#, vec!["lists 2 workspaces"]),
        ] {
            let problems = problems(text);
            assert_eq!(problems.len(), reasons.len(), "{text}: {problems:?}");
            for (problem, reason) in problems.iter().zip(reasons) {
                assert!(problem.contains(reason) && !problem.contains("canary"), "{text}: {problem}");
            }
        }
    }

    #[test]
    fn ten_thousand_entries_are_refused_in_a_line() {
        let mut text = "[".to_owned();
        for index in 0..10_001 {
            write!(text, r#"{{"id": "w{index}", "token": "t"}},"#).unwrap();
        }
        text.pop();
        text.push(']');

        assert_eq!(
            problems(&text),
            ["lists 10001 workspaces, but this version acts for one: start one server for each"]
        );
    }

    fn problems(text: &str) -> Vec<String> {
        match parse(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(problems) => problems,
        }
    }
}
