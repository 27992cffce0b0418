//! What can be read in the parts of a message or an answer.
//!
//! | Part | Reads as |
//! |---|---|
//! | text, also below `root` | its text |
//! | data | its JSON |
//! | file, image, audio, video | `[file: name, type, address]` |
//!
//! What a part is, `kind` says or `type`. Anything else is passed over.

use serde_json::{Map, Value};

use crate::text::untrusted;

/// Longest address of a file that is shown.
const ADDRESS_CHARS: usize = 500;

/// Everything readable, one part a line; nothing if there is no part at all.
pub(crate) fn text(parts: &[Value]) -> Option<String> {
    if parts.is_empty() {
        return None;
    }
    let texts: Vec<String> = parts.iter().filter_map(part_text).filter(|text| !text.is_empty()).collect();
    Some(texts.join("\n"))
}

fn part_text(part: &Value) -> Option<String> {
    let part = part.get("root").filter(|root| !root.is_null()).unwrap_or(part).as_object()?;
    let word = |key: &str| part.get(key).and_then(Value::as_str);
    match word("kind").or_else(|| word("type")) {
        Some("data") => part.get("data").filter(|data| !data.is_null()).map(Value::to_string),
        Some("text") => word("text").map(str::to_owned),
        Some(_) | None => file_text(part).or_else(|| word("text").map(str::to_owned)),
    }
}

/// One line for a file, whichever of its spellings the part uses.
fn file_text(part: &Map<String, Value>) -> Option<String> {
    let file = part.get("file").and_then(Value::as_object).unwrap_or(part);
    let word = |keys: &[&str]| keys.iter().find_map(|key| file.get(*key)?.as_str());
    let address = match (word(&["uri", "url"]), word(&["bytes"])) {
        (Some(uri), _) => untrusted::one_line(uri, ADDRESS_CHARS),
        (None, Some(bytes)) => format!("inline, {} characters of base64", bytes.len()),
        (None, None) => return None,
    };
    let name = word(&["name", "filename"]).map(untrusted::name).unwrap_or_default();
    let mime = word(&["mimeType", "mime_type", "mediaType"]).map(untrusted::name).unwrap_or_default();
    let facts: Vec<String> = [name, mime, address].into_iter().filter(|fact| !fact.is_empty()).collect();
    Some(format!("[file: {}]", facts.join(", ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_part_is_read_in_all_its_spellings() {
        for (part, read) in [
            (json!({"kind": "text", "text": "hi"}), "hi"),
            (json!({"type": "text", "text": "hi"}), "hi"),
            (json!({"text": "hi"}), "hi"),
            (json!({"root": {"kind": "text", "text": "hi"}}), "hi"),
            (json!({"kind": "text"}), ""),
            (json!({"kind": "text", "text": 5}), ""),
            (json!({"kind": "data", "data": {"a": 1}}), r#"{"a":1}"#),
            (
                json!({"kind": "file", "file": {"name": "a\nb.png", "mimeType": "image/png", "uri": "workspace:/a.png"}}),
                "[file: a b.png, image/png, workspace:/a.png]",
            ),
            (
                json!({"kind": "image", "uri": "https://x/a", "mime_type": "image/png"}),
                "[file: image/png, https://x/a]",
            ),
            (json!({"url": "https://x/a", "filename": "a", "mediaType": "t"}), "[file: a, t, https://x/a]"),
            (
                json!({"type": "file", "file": {"name": "a", "bytes": "QUJD"}}),
                "[file: a, inline, 4 characters of base64]",
            ),
            (json!({"kind": "dance"}), ""),
            (json!(null), ""),
            (json!("hi"), ""),
        ] {
            assert_eq!(text(std::slice::from_ref(&part)).as_deref(), Some(read), "{part}");
        }
    }

    #[test]
    fn all_parts_are_read_not_only_the_first() {
        let parts =
            [json!({"kind": "text", "text": "one"}), json!(7), json!({"type": "text", "text": "two"})];

        assert_eq!(text(&parts).as_deref(), Some("one\ntwo"));
    }

    #[test]
    fn no_part_is_not_the_same_as_an_empty_one() {
        assert_eq!(text(&[]), None);
        assert_eq!(text(&[json!({"kind": "text", "text": ""})]).as_deref(), Some(""));
    }
}
