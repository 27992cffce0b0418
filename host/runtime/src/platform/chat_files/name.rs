//! The name that a file from somebody else has on disk.

const LONGEST: usize = 100;
/// Longer than any extension that says anything, with its dot.
const LONGEST_EXTENSION: usize = 16;
const LONGEST_ID: usize = 64;
/// The name of a file without one.
const NAMELESS: &str = "file";
/// Between id and name.
const BETWEEN: char = '-';

/// `<id without hyphens>-<cleaned name>`: the same for the same id and name; none if the id is no id.
pub(super) fn on_disk(id: &str, name: &str) -> Option<String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == BETWEEN;
    let digits: String =
        id.chars().filter(|letter| *letter != BETWEEN).map(|letter| letter.to_ascii_lowercase()).collect();
    let is_id = id.len() <= LONGEST_ID && id.chars().all(plain) && !digits.is_empty();
    is_id.then(|| format!("{digits}{BETWEEN}{}", clean(name)))
}

/// Another name for the same file, if a stranger to us has taken the first one.
pub(super) fn other(name: &str, number: u32) -> String {
    match name.split_once(BETWEEN) {
        Some((id, rest)) => format!("{id}{BETWEEN}{number}{BETWEEN}{rest}"),
        None => format!("{name}{BETWEEN}{number}"),
    }
}

/// Whether a file of this name is one of ours.
pub(super) fn is_ours(name: &str) -> bool {
    name.split_once(BETWEEN).is_some_and(|(id, rest)| {
        !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !rest.is_empty()
    })
}

/// What stands after the last separator, in at most 100 characters of `A-Z a-z 0-9 . _ -`, not hidden.
fn clean(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' }
    };
    let name: String = last.trim().chars().map(plain).collect();
    let start = name.trim_start_matches('.');
    if start.is_empty() {
        return NAMELESS.to_owned();
    }
    shorten(&format!("{}{start}", "_".repeat((name.len() - start.len()).min(1))))
}

/// Cuts before the extension rather than in it. Everything is ASCII by now.
fn shorten(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name.rfind('.').and_then(|dot| name.get(dot..));
    let extension = extension.filter(|extension| extension.len() <= LONGEST_EXTENSION).unwrap_or_default();
    let stem = name.get(..LONGEST - extension.len()).unwrap_or_default();
    format!("{stem}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0F1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9";

    #[test]
    fn the_id_stands_in_front_of_the_name() {
        assert_eq!(on_disk(ID, "report.pdf").as_deref(), Some("0f1e2d3c4b5a49788695a4b3c2d1e0f9-report.pdf"));
    }

    #[test]
    fn an_id_that_is_none_names_no_file() {
        for id in ["", "-", "../x", "a/b", "a b", "a\0", &"a".repeat(65)] {
            assert_eq!(on_disk(id, "a"), None, "{id:?}");
        }
    }

    #[test]
    fn names_of_strangers_are_cleaned() {
        for (given, cleaned) in [
            ("my report.pdf", "my_report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Windows\\evil.exe", "evil.exe"),
            ("a\r\nb\0c\u{1b}[31m", "a__b_c__31m"),
            ("a\u{202e}fdp.exe", "a_fdp.exe"),
            ("grüße.txt", "gr__e.txt"),
            ("$(rm -rf ~).sh", "__rm_-rf___.sh"),
            (".bashrc", "_bashrc"),
            ("...hidden", "_hidden"),
            ("", "file"),
            (".", "file"),
            ("..", "file"),
            ("a/", "file"),
            ("-rf", "-rf"),
        ] {
            assert_eq!(clean(given), cleaned, "{given:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        assert_eq!(clean(&format!("{}.tar", "x".repeat(120))), format!("{}.tar", "x".repeat(96)));
        assert_eq!(clean(&format!("a.{}", "x".repeat(4_096))).len(), 100);
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number_and_all_are_known_as_ours() {
        let name = on_disk(ID, "a.txt").unwrap();
        assert_eq!(other(&name, 2), "0f1e2d3c4b5a49788695a4b3c2d1e0f9-2-a.txt");
        for ours in [name.as_str(), &other(&name, 2)] {
            assert!(is_ours(ours), "{ours}");
        }
        for foreign in [".molecule-mcp-x.tmp", "notes.txt", "-a", "a-", "ä-b"] {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }
}
