//! English full-text search as the database does it: whole words, stemmed, all of them.

use std::collections::BTreeMap;

use rust_stemmers::{Algorithm, Stemmer};

/// Words too common to be looked for.
const STOP_WORDS: &str = "i me my myself we our ours ourselves you your yours yourself yourselves he him his himself \
    she her hers herself it its itself they them their theirs themselves what which who whom this that these those am \
    is are was were be been being have has had having do does did doing a an the and but if or because as until while \
    of at by for with about against between into through during before after above below to from up down in out on \
    off over under again further then once here there when where why how all any both each few more most other some \
    such no nor not only own same so than too very s t can will just don should now";

/// How well a text answers a query; nothing if a word is missing, or if the query has none that counts.
pub(crate) fn rank(text: &str, query: &str) -> Option<usize> {
    let wanted = stems(query);
    let found = stems(text);
    let all = !wanted.is_empty() && wanted.keys().all(|stem| found.contains_key(stem));
    all.then(|| wanted.keys().filter_map(|stem| found.get(stem)).sum())
}

fn stems(text: &str) -> BTreeMap<String, usize> {
    let stemmer = Stemmer::create(Algorithm::English);
    let stop: Vec<&str> = STOP_WORDS.split_whitespace().collect();
    let mut stems = BTreeMap::new();
    for word in text.to_lowercase().split(|character: char| !character.is_alphanumeric()) {
        if !word.is_empty() && !stop.contains(&word) {
            *stems.entry(stemmer.stem(word).into_owned()).or_default() += 1;
        }
    }
    stems
}

/// Substring match in which `%` stands for anything and `_` for any character, in any letter case.
pub(crate) fn matches_like(text: &str, pattern: &str) -> bool {
    let mut expression = String::from("(?s)");
    for character in pattern.to_lowercase().chars() {
        match character {
            '%' => expression.push_str(".*"),
            '_' => expression.push('.'),
            plain => expression.push_str(&regex::escape(&plain.to_string())),
        }
    }
    regex::Regex::new(&expression).is_ok_and(|expression| expression.is_match(&text.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_match_as_a_whole_and_by_their_stem() {
        let text = "deploy the servers nightly";

        for query in ["deploy", "deployed", "server", "DEPLOY servers", "-server"] {
            assert!(rank(text, query).is_some(), "{query}");
        }
        for query in ["depl", "deploy unrelated", "the", "  "] {
            assert!(rank(text, query).is_none(), "{query}");
        }
    }

    #[test]
    fn wildcards_match_anything() {
        assert!(matches_like("A Needle", "need"));
        assert!(matches_like("x", "%"));
        assert!(!matches_like("x", "y"));
        assert!(!matches_like("", "_"));
    }
}
