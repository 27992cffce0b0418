//! What is blotted out of a memory before it is stored.

use std::sync::LazyLock;

use regex::Regex;

/// In this order: an earlier pattern takes what a later one would also match.
const PATTERNS: [(&str, &str); 7] = [
    (r"(?i-u:\b[a-z0-9_]+_API_KEY)\s*=\s*\S+", "API_KEY"),
    (r"(?i-u:\b[a-z0-9_]+_TOKEN)\s*=\s*\S+", "TOKEN"),
    (r"(?i-u:\b[a-z0-9_]+_SECRET)\s*=\s*\S+", "SECRET"),
    (r"Bearer\s+\S+", "BEARER_TOKEN"),
    (r"sk-[A-Za-z0-9\-_]{16,}", "SK_TOKEN"),
    (r"ctx7_[A-Za-z0-9]+", "CTX7_TOKEN"),
    (r"[A-Za-z0-9+/]{33,}={0,2}", "BASE64_BLOB"),
];

static COMPILED: LazyLock<Vec<(Regex, String)>> = LazyLock::new(|| {
    let compiled = PATTERNS
        .iter()
        .filter_map(|(pattern, label)| Some((Regex::new(pattern).ok()?, format!("[REDACTED:{label}]"))));
    compiled.collect()
});

pub(crate) fn redact(text: &str) -> String {
    COMPILED.iter().fold(text.to_owned(), |text, (pattern, mark)| {
        pattern.replace_all(&text, regex::NoExpand(mark)).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn secrets_and_whatever_looks_like_base64_are_blotted_out() {
        assert_eq!(redact(&format!("key sk-{}", "a".repeat(20))), "key [REDACTED:SK_TOKEN]");
        assert_eq!(redact("my_token=abc then"), "[REDACTED:TOKEN] then");
        assert_eq!(redact("OPENAI_API_KEY = xyz"), "[REDACTED:API_KEY]");
        assert_eq!(redact(&"0123456789".repeat(4)), "[REDACTED:BASE64_BLOB]");
        assert_eq!(redact("a/long/path/with/very/many/segments"), "[REDACTED:BASE64_BLOB]");
    }

    #[test]
    fn short_runs_and_bare_names_survive() {
        for plain in ["a".repeat(32).as_str(), "TOKEN=abc", "A_TOKEN: abc", "bearer abc", "plain words"] {
            assert_eq!(redact(plain), plain);
        }
    }
}
