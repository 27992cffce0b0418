//! What is blotted out of a memory before it is stored.

use std::sync::LazyLock;

use regex::Regex;

use crate::switches::Level;

/// In this order: an earlier pattern takes what a later one would also match.
const PATTERNS: [(&str, &str); 13] = [
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", "PRIVATE_KEY"),
    (r"[a-z]+://[^\s:/@]+:[^\s@]+@\S+", "DB_URL_WITH_CREDENTIALS"),
    (r"gh[opsur]_[A-Za-z0-9]{20,}", "GITHUB_PAT"),
    (r"vc_[A-Za-z0-9]{16,}", "VC_TOKEN"),
    (r"AKIA[0-9A-Z]{16}", "AWS_ACCESS_KEY_ID"),
    (r"pplx-[A-Za-z0-9]{16,}", "PPLX_TOKEN"),
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

/// The first ones are of the newest level.
const ONLY_NEWEST: usize = 6;

pub(crate) fn redact(text: &str, level: Level) -> String {
    let passed_over = if level < Level::Newest { ONLY_NEWEST } else { 0 };
    COMPILED.iter().skip(passed_over).fold(text.to_owned(), |text, (pattern, mark)| {
        pattern.replace_all(&text, regex::NoExpand(mark)).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(text: &str) -> String {
        redact(text, Level::Later)
    }

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn secrets_and_whatever_looks_like_base64_are_blotted_out() {
        assert_eq!(later(&format!("key sk-{}", "a".repeat(20))), "key [REDACTED:SK_TOKEN]");
        assert_eq!(later("my_token=abc then"), "[REDACTED:TOKEN] then");
        assert_eq!(later("OPENAI_API_KEY = xyz"), "[REDACTED:API_KEY]");
        assert_eq!(later(&"0123456789".repeat(4)), "[REDACTED:BASE64_BLOB]");
        assert_eq!(later("a/long/path/with/very/many/segments"), "[REDACTED:BASE64_BLOB]");
    }

    #[test]
    fn short_runs_and_bare_names_survive() {
        for plain in ["a".repeat(32).as_str(), "TOKEN=abc", "A_TOKEN: abc", "bearer abc", "plain words"] {
            assert_eq!(later(plain), plain);
        }
    }

    #[test]
    fn the_newest_level_knows_more_of_them() {
        let database = "postgres://me:word@host/db";
        assert_eq!(redact(database, Level::Newest), "[REDACTED:DB_URL_WITH_CREDENTIALS]");
        assert_eq!(later(database), database);
        let github = format!("ghp_{}", "a".repeat(24));
        assert_eq!(redact(&github, Level::Newest), "[REDACTED:GITHUB_PAT]");
    }
}
