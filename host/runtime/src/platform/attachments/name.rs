//! The name under which the user sees a file.

use std::ffi::OsStr;

const LONGEST: usize = 100;
/// Longer than any extension that says anything.
const LONGEST_EXTENSION: usize = 16;
/// The name of a file without one.
const NAMELESS: &str = "file";

/// `name` in at most 100 characters that mean nothing to a terminal, a header or a path.
pub(super) fn clean(name: &OsStr) -> String {
    let name: String =
        name.to_string_lossy().chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let name = shorten(name.trim());
    if name.chars().all(|letter| letter == '.' || letter.is_whitespace()) {
        return NAMELESS.to_owned();
    }
    name
}

fn is_plain(letter: char) -> bool {
    let moves_text = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !letter.is_control() && !moves_text && !r#"/\":*?<>|"#.contains(letter)
}

/// Cuts before the extension rather than in it.
fn shorten(name: &str) -> String {
    let extension = match name.rsplit_once('.') {
        Some((_, extension)) if extension.chars().count() < LONGEST_EXTENSION => format!(".{extension}"),
        Some(_) | None => String::new(),
    };
    let stem = name.strip_suffix(extension.as_str()).unwrap_or(name);
    let kept: String = stem.chars().take(LONGEST - extension.chars().count()).collect();
    kept + &extension
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn harmless_names_stay_as_they_are() {
        for name in
            ["report.pdf", "Bericht für März.txt", "日本語.md", ".hidden", "a'b (1).tar.gz", "no extension"]
        {
            assert_eq!(clean(OsStr::new(name)), name);
        }
    }

    #[test]
    fn what_means_something_elsewhere_is_replaced() {
        for (name, expected) in [
            ("a\"; filename=\"x", "a_; filename=_x"),
            ("a\r\nb\0c", "a__b_c"),
            ("a\\b:c", "a_b_c"),
            ("a\u{202e}fdp.exe", "a_fdp.exe"),
            ("\u{1b}[31mred", "_[31mred"),
            ("  spaces  ", "spaces"),
        ] {
            assert_eq!(clean(OsStr::new(name)), expected, "{name:?}");
        }
        assert_eq!(clean(OsStr::from_bytes(b"a\xffb")), "a\u{fffd}b");
    }

    #[test]
    fn names_without_letters_are_replaced() {
        for name in ["", ".", "..", "...", "   "] {
            assert_eq!(clean(OsStr::new(name)), "file", "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let cut = clean(OsStr::new(&format!("{}.pdf", "ü".repeat(4_096))));
        assert_eq!((cut.chars().count(), cut.ends_with("ü.pdf")), (100, true));

        let cut = clean(OsStr::new(&format!("a.{}", "x".repeat(4_096))));
        assert_eq!((cut.chars().count(), cut.starts_with("a.x")), (100, true));
    }
}
