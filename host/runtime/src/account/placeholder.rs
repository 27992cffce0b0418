//! Text that stands where a value was meant to be: `$HOME`, `${TOKEN}`, `%APPDATA%`, `<your token>`.
//!
//! A shell would have replaced most of these. MCP clients hand them on as they are, and then a directory is
//! made that is named `$HOME`, or a platform refuses a token that was never one.

/// Longer texts between angle brackets are no hint at what belongs there.
const HINT_CHARS: usize = 60;
/// Shorter names between percent signs are more likely part of the text.
const SHORTEST_NAME: usize = 3;

/// What was found in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// As it stands there; it may be a part of a secret.
    pub text: &'a str,
    /// What it looks like, for secrets.
    pub shape: &'static str,
}

/// The first placeholder anywhere in `text`.
///
/// A lone `$`, `$5`, `a$b`, `%20` and `100%` are text.
pub fn within(text: &str) -> Option<Placeholder<'_>> {
    let found = text.char_indices().find_map(|(at, char)| {
        let (before, rest) = (text.get(..at)?, text.get(at..)?);
        match char {
            '$' => braced(rest).or_else(|| dollar(before, rest)),
            '%' => percent(text, before, rest),
            '<' => angled(rest),
            _ => None,
        }
    });
    found.map(|(text, shape)| Placeholder { text, shape })
}

/// The placeholder that `text` is, apart from white space: what else is in prose means itself.
pub fn whole(text: &str) -> Option<Placeholder<'_>> {
    let text = text.trim();
    within(text).filter(|found| found.text == text)
}

type Found<'a> = Option<(&'a str, &'static str)>;

/// `${NAME}`, also `${NAME:-default}` and `${env:NAME}`.
fn braced(rest: &str) -> Found<'_> {
    let end = rest.strip_prefix("${")?.find('}')? + "${".len();
    (end > "${".len()).then(|| rest.get(..=end)).flatten().map(|text| (text, "${NAME}"))
}

/// `$NAME`, unless it goes on a word. In lower case, as in `$env:HOME`, only where the value begins with it.
fn dollar<'a>(before: &str, rest: &'a str) -> Found<'a> {
    if before.ends_with(|char: char| char.is_alphanumeric() || matches!(char, '$' | '_' | '\\')) {
        return None;
    }
    let name = name(rest.strip_prefix('$')?);
    let is_shouted = name.len() > 1 && !name.contains(|char: char| char.is_ascii_lowercase());
    (is_shouted || (before.is_empty() && !name.is_empty()))
        .then(|| rest.get(..=name.len()))
        .flatten()
        .map(|text| (text, "$NAME"))
}

/// `%NAME%`, unless these are the percent signs of an encoded address.
fn percent<'a>(text: &str, before: &str, rest: &'a str) -> Found<'a> {
    if before.ends_with(char::is_alphanumeric) {
        return None;
    }
    let name = name(rest.strip_prefix('%')?);
    let end = name.len() + 1;
    if name.len() < SHORTEST_NAME || !rest.get(end..)?.starts_with('%') || is_encoded(text) {
        return None;
    }
    rest.get(..=end).map(|text| (text, "%NAME%"))
}

/// `<your token>`.
fn angled(rest: &str) -> Found<'_> {
    let inside = rest.strip_prefix('<')?;
    let length =
        inside.find(['<', '>']).filter(|end| inside.get(*end..).is_some_and(|rest| rest.starts_with('>')))?;
    let hint = inside.get(..length)?;
    let is_hint = hint.starts_with(char::is_alphabetic) && hint.chars().count() <= HINT_CHARS;
    is_hint.then(|| rest.get(..length + 2)).flatten().map(|text| (text, "<…>"))
}

/// The name of a variable at the start of `text`; may be empty.
fn name(text: &str) -> &str {
    let end = text.find(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).unwrap_or(text.len());
    let name = text.get(..end).unwrap_or_default();
    if name.starts_with(|char: char| char.is_ascii_digit()) { "" } else { name }
}

/// Whether each percent sign is followed by two hex digits.
fn is_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|after| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_have_been_replaced_is_found() {
        for (text, found) in [
            ("$HOME/x", "$HOME"),
            ("$HOME", "$HOME"),
            ("/srv/$USER/x", "$USER"),
            ("$home/x", "$home"),
            ("$env:USERPROFILE", "$env"),
            ("${HOME}/x", "${HOME}"),
            ("x${HOME}", "${HOME}"),
            ("${MOLECULE_TOKEN}", "${MOLECULE_TOKEN}"),
            ("${TOKEN:-none}", "${TOKEN:-none}"),
            ("${env:HOME}/x", "${env:HOME}"),
            ("${input:token}", "${input:token}"),
            ("https://${HOST}/api", "${HOST}"),
            ("https://$HOST/api", "$HOST"),
            ("%APPDATA%\\molecule", "%APPDATA%"),
            ("%DATADIR%/x", "%DATADIR%"),
            ("%TOKEN%", "%TOKEN%"),
            ("<your token>", "<your token>"),
            ("https://<your-org>.example.com", "<your-org>"),
            ("/a:$HOME/b", "$HOME"),
        ] {
            assert_eq!(within(text).map(|found| found.text), Some(found), "{text}");
        }
    }

    #[test]
    fn text_that_means_itself_is_kept() {
        for text in [
            "",
            "$",
            "/srv/a$b/c",
            "/srv/cash$",
            "/srv/$5",
            "/srv/$dir",
            "C$",
            "A$AP",
            "/a/$$",
            "${}",
            "${",
            "/files/a%20b",
            "/files/a%20b%20c",
            "https://h.example/%C3%A4%C3%B6",
            "/x/%ABCD%20",
            "100%",
            "5% of %",
            "a < b",
            "<",
            "<>",
            "1 < 2 and 3 > 2",
            "<this is far too long to be a hint at what belongs there, so that it is text>",
            "QyN2bF9kZXYtdG9rZW4_0123-456789abcdefghijkl",
        ] {
            assert_eq!(within(text), None, "{text}");
        }
    }

    #[test]
    fn prose_is_a_placeholder_only_as_a_whole() {
        for text in ["${DESCRIPTION}", " $NAME ", "%NAME%", "<what it does>"] {
            assert!(whole(text).is_some(), "{text}");
        }
        for text in [
            "counts at $5 an hour",
            "expands ${NAME} in templates",
            "for $USD prices",
            "knows <b>HTML</b>",
            "I <3 you",
        ] {
            assert_eq!(whole(text), None, "{text}");
        }
    }
}
