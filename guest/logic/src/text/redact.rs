//! Takes credentials out of texts.
//!
//! What goes into memory loses only what is surely a key, so that facts survive. What goes into
//! errors, logs and reports loses whatever looks like one.

use std::{borrow::Cow, sync::LazyLock};

use regex_lite::Regex;

/// Longest text that is looked through for credentials.
const DIAGNOSTIC_BYTES: usize = 64 << 10;

/// A kind of credential.
struct Shape {
    /// Any one of these is part of every match. Looking for them first is much cheaper.
    hints: &'static [&'static str],
    pattern: LazyLock<Regex>,
    /// `$1` is what stays.
    replacement: &'static str,
}

impl Shape {
    const fn new(hints: &'static [&'static str], compile: fn() -> Regex, replacement: &'static str) -> Self {
        Self { hints, pattern: LazyLock::new(compile), replacement }
    }

    fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.hints.iter().any(|hint| text.contains(hint)) {
            return Cow::Borrowed(text);
        }
        self.pattern.replace_all(text, self.replacement)
    }
}

/// What may not be committed to memory, in the order of replacement.
static MEMORY: [Shape; 6] = [
    Shape::new(&["sk-"], || regex(r"\bsk-[A-Za-z0-9_-]{20,}"), "[REDACTED]"),
    Shape::new(&["ghp_"], || regex(r"\bghp_[A-Za-z0-9]{36}\b"), "[REDACTED]"),
    Shape::new(&["ghs_"], || regex(r"\bghs_[A-Za-z0-9]{36}\b"), "[REDACTED]"),
    Shape::new(&["github_pat_"], || regex(r"\bgithub_pat_[A-Za-z0-9_]{82}\b"), "[REDACTED]"),
    Shape::new(&["AKIA"], || regex(r"\bAKIA[0-9A-Z]{16}\b"), "[REDACTED]"),
    Shape::new(
        &["="],
        || regex(r"(?i)\b((?:api_key|key|token|secret|password)\s*=\s*)[A-Za-z0-9+/]{40,}={0,2}"),
        "${1}[REDACTED]",
    ),
];

/// What may not be shown or logged. The character before a credential stays.
static DIAGNOSTIC: [Shape; 2] = [
    Shape::new(&["Bearer "], || regex(r"Bearer [A-Za-z0-9_.=+/~-]{16,}"), "<redacted-secret>"),
    Shape::new(
        &["sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "AKIA", "ASIA", "xox", "hf_", "eyJ"],
        || {
            regex(concat!(
                r"(^|[^A-Za-z0-9_-])(?:sk-[A-Za-z0-9_-]{16,}",
                r"|gh[pousr]_[A-Za-z0-9]{20,}\b",
                r"|(?:AKIA|ASIA)[0-9A-Z]{16}\b",
                r"|xox[bpars]-[A-Za-z0-9-]{10,}",
                r"|hf_[A-Za-z0-9]{20,}\b",
                r"|eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})",
            ))
        },
        "${1}<redacted-secret>",
    ),
];

/// `text` for a memory: keys and tokens become `[REDACTED]`, of an assignment the name stays.
pub(crate) fn memory(text: &str) -> String {
    without(&MEMORY, text)
}

/// `text` for an error, a log line or a report: credentials become `<redacted-secret>`.
///
/// Of a longer text only the first 64 KiB are kept, because looking through takes some 100 ms a MiB
/// and a peer may fail with as many words as it likes.
pub(crate) fn diagnostic(text: &str) -> String {
    if text.len() <= DIAGNOSTIC_BYTES {
        return without(&DIAGNOSTIC, text);
    }
    let kept = without(&DIAGNOSTIC, &text[..text.floor_char_boundary(DIAGNOSTIC_BYTES)]);
    format!("{kept}… [cut, {} bytes in all]", text.len())
}

fn without(shapes: &[Shape], text: &str) -> String {
    shapes.iter().fold(text.to_owned(), |text, shape| match shape.redact(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(clean) => clean,
    })
}

fn regex(pattern: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "the patterns are constants, and a test compiles each of them")]
    Regex::new(pattern).expect("a constant pattern")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_diagnostic_is_cut_and_says_so() {
        let text = format!("{}ü", "a".repeat(DIAGNOSTIC_BYTES - 1));

        let shown = diagnostic(&text);

        assert!(shown.ends_with(&format!("a… [cut, {} bytes in all]", DIAGNOSTIC_BYTES + 1)), "{shown:.100}");
        assert_eq!(diagnostic(&"a".repeat(DIAGNOSTIC_BYTES)).len(), DIAGNOSTIC_BYTES);
    }

    #[test]
    fn a_memory_keeps_everything_but_the_keys() {
        for (text, expected) in [
            (format!("use {} now", key("sk-", 20)), "use [REDACTED] now"),
            (format!("{}.", key("sk-ant-api03-", 40)), "[REDACTED]."),
            (key("sk-proj-", 20), "[REDACTED]"),
            (format!("({})", key("ghp_", 36)), "([REDACTED])"),
            (key("ghs_", 36), "[REDACTED]"),
            (key("github_pat_", 82), "[REDACTED]"),
            ("AKIAIOSFODNN7EXAMPLE".to_owned(), "[REDACTED]"),
            (key("api_key=", 40), "api_key=[REDACTED]"),
            (key("KEY = ", 40), "KEY = [REDACTED]"),
            (key("Token=", 41) + "==", "Token=[REDACTED]"),
            (key("secret =", 64), "secret =[REDACTED]"),
            (format!("password= {}\nuser=ann", key("", 40)), "password= [REDACTED]\nuser=ann"),
            (
                format!("{} and token={} at AKIAIOSFODNN7EXAMPLE", key("sk-", 30), key("ghp_", 36)),
                "[REDACTED] and token=[REDACTED] at [REDACTED]",
            ),
            (format!("schlüssel {} für später", key("sk-", 20)), "schlüssel [REDACTED] für später"),
        ] {
            assert_eq!(memory(&text), expected, "{text}");
            assert_eq!(memory(expected), expected);
        }
    }

    #[test]
    fn lookalikes_stay_in_a_memory() {
        for text in [
            String::new(),
            key("sk-", 19),
            "sk-test".to_owned(),
            format!("ri{}", key("sk-", 30)),
            key("ghp_", 35),
            key("ghp_", 37),
            key("ghs_", 35),
            key("github_pat_", 81),
            key("github_pat_", 83),
            "AKIAIOSFODNN7EXAMPL".to_owned(),
            "AKIAIOSFODNN7EXAMPLES".to_owned(),
            key("token=", 39),
            key("monkey=", 40),
            key("token: ", 40),
            "commit 9f2c1d4e5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d is good".to_owned(),
            r#"{"key": "short", "n": 12345}"#.to_owned(),
            "# Plan\n- key = value\n- the token is in the vault\n".to_owned(),
        ] {
            assert_eq!(memory(&text), text);
        }
    }

    #[test]
    fn a_diagnostic_shows_no_credential() {
        for (text, expected) in [
            (key("sk-", 16), "<redacted-secret>"),
            (format!("key={}, bad", key("sk-ant-api03-", 24)), "key=<redacted-secret>, bad"),
            (format!("\"{}\"", key("gho_", 20)), "\"<redacted-secret>\""),
            (format!("{}.", key("ghp_", 36)), "<redacted-secret>."),
            ("id ASIAIOSFODNN7EXAMPLE/x".to_owned(), "id <redacted-secret>/x"),
            (format!("Authorization: {}", key("Bearer ", 43)), "Authorization: <redacted-secret>"),
            (key("(xoxb-", 10) + ")", "(<redacted-secret>)"),
            (key("hf_", 20), "<redacted-secret>"),
            ("jwt:eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl".to_owned(), "jwt:<redacted-secret>"),
            (
                format!("{} {}\n  at {}", key("sk-", 20), key("sk-", 20), key("hf_", 30)),
                "<redacted-secret> <redacted-secret>\n  at <redacted-secret>",
            ),
        ] {
            assert_eq!(diagnostic(&text), expected, "{text}");
            assert_eq!(diagnostic(expected), expected);
        }
    }

    #[test]
    fn lookalikes_stay_in_a_diagnostic() {
        for text in [
            "",
            "sk-test",
            "task-abcdefghijklmnopqrstuvwxyz",
            "one-sk-abcdefghijklmnopqrstuvwxyz",
            "9f2c1d4e5a6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d",
            "11111111-1111-4111-8111-111111111111",
            "missing bearer token for this workspace",
            "Bearer of good news",
            "hf_hub_download failed in huggingface_hub_version_one",
            "eyJhbGci.short.x",
        ] {
            assert_eq!(diagnostic(text), text);
        }
    }

    #[test]
    fn secrets_side_by_side_are_gone_after_one_pass() {
        let secrets = [key("sk-", 24), key("ghp_", 36), "AKIAIOSFODNN7EXAMPLE".to_owned(), key("token=", 44)];
        for (one, other) in secrets.iter().flat_map(|one| secrets.iter().map(move |other| (one, other))) {
            for between in [" ", "=", "/", ".", "_", "", "\n", "é"] {
                let once = memory(&format!("{one}{between}{other}"));
                assert_eq!(memory(&once), once);
                let once = diagnostic(&format!("{one}{between}{other}"));
                assert_eq!(diagnostic(&once), once);
            }
        }
    }

    /// `prefix`, then `length` letters and digits.
    fn key(prefix: &str, length: usize) -> String {
        prefix.chars().chain("Ab3dEf6hIj9k".chars().cycle().take(length)).collect()
    }
}
