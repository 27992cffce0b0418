//! What the logic must not see of an answer: the token that a register may bring, and the inbound secret, for which there is
//! no safe place on disk, because WASI cannot set the mode of a file.

use serde_json::Value;

const KEYS: [&str; 2] = ["auth_token", "platform_inbound_secret"];

/// `body` without credentials at its top, if it is a JSON object that has any.
pub(crate) fn strip(body: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(&body);
    // A key may be written with escapes.
    if !text.contains("\\u00") && !KEYS.iter().any(|key| text.contains(key)) {
        return body;
    }
    let Ok(Value::Object(mut fields)) = serde_json::from_str(&text) else { return body };
    let before = fields.len();
    fields.retain(|key, _| !KEYS.contains(&key.as_str()));
    if fields.len() == before {
        return body;
    }
    Value::Object(fields).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_and_the_rest_stays() {
        let body = br#"{"status":"registered","auth_token":"canary","platform_inbound_secret":"canary"}"#;

        assert_eq!(strip(body.to_vec()), br#"{"status":"registered"}"#);
    }

    #[test]
    fn keys_that_are_written_in_another_way_are_known() {
        let body = br#"{"a":1,"auth\u005ftoken":"canary"}"#;

        let stripped = strip(body.to_vec());

        assert!(!String::from_utf8(stripped).unwrap().contains("canary"));
    }

    #[test]
    fn what_has_none_stays_byte_for_byte() {
        for body in [r#"{ "a" : "auth_token" }"#, "auth_token", "[1]", ""] {
            assert_eq!(strip(body.as_bytes().to_vec()), body.as_bytes());
        }
    }
}
