//! The workspace's token: held here, shown to nobody.
//!
//! The program looks once. After a 401 a source that is a file is read again, because tokens are
//! rotated while the program runs; what the environment says stays.

use std::{
    fmt, mem,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use thiserror::Error;

use super::placeholder;
use crate::{
    hidden,
    storage::small_file::{self, Exposure, Links, Unreadable},
};

/// The platform's own tokens have 43 characters.
const LONGEST: usize = 16 << 10;
/// A token with white space around it.
const FILE_BYTES: u64 = 64 << 10;

/// A bearer token: 1 to 16,384 visible ASCII characters. Prints as `[token]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

/// Why a text is no token. The texts follow the name of where it stands, and do not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenProblem {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// Two words, two lines, or the word `Bearer`.
    #[error("contains internal whitespace, but one token and nothing else is expected")]
    InternalWhitespace,
    /// Something that stands for a token; this is what it looks like.
    #[error("still holds {0} in place of the token, and nothing has replaced it: write the token itself")]
    Placeholder(&'static str),
    /// More than 16,384 characters.
    #[error("is longer than {LONGEST} characters, which no token is")]
    TooLong,
    /// Something that no header can carry.
    #[error("contains a character that is not visible ASCII, which no token does")]
    NotVisibleAscii,
}

impl Token {
    /// The token in `text`, without white space around it.
    ///
    /// # Errors
    /// When it could not stand in a header, or cannot be a token.
    pub fn parse(text: &str) -> Result<Self, TokenProblem> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenProblem::Empty);
        }
        if let Some(found) = placeholder::within(text) {
            return Err(TokenProblem::Placeholder(found.shape));
        }
        if text.contains(char::is_whitespace) {
            return Err(TokenProblem::InternalWhitespace);
        }
        if text.len() > LONGEST {
            return Err(TokenProblem::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenProblem::NotVisibleAscii);
        }
        Ok(Self(text.into()))
    }

    /// The token itself, for the `Authorization` header and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

/// Where a token came from, and where it is looked for again after a 401.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSource {
    /// The setting that holds or names it.
    setting: Option<String>,
    /// The file, if it is one.
    file: Option<PathBuf>,
}

impl TokenSource {
    /// A setting that holds the token itself: fixed for the life of the process.
    #[must_use]
    pub fn setting(name: impl Into<String>) -> Self {
        Self { setting: Some(name.into()), file: None }
    }

    /// A file, read again after a 401.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { setting: None, file: Some(path.into()) }
    }

    /// A file that the setting `name` names.
    #[must_use]
    pub fn named_file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { setting: Some(name.into()), file: Some(path.into()) }
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

/// As it reads after "the token from".
impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.setting, &self.file) {
            (Some(setting), Some(path)) => write!(f, "{setting} ({})", path.display()),
            (None, Some(path)) => write!(f, "{}", path.display()),
            (Some(setting), None) => f.write_str(setting),
            (None, None) => f.write_str("the program"),
        }
    }
}

/// The token in use, and its source. Clones are handles on the same token.
#[derive(Debug, Clone)]
pub struct Credentials {
    source: Arc<TokenSource>,
    current: Arc<RwLock<Token>>,
    /// The token of the source that opens nothing any more.
    given_up: Arc<RwLock<Option<Token>>>,
}

impl Credentials {
    /// The token of `source`, which the log hides from here on.
    #[must_use]
    pub fn new(source: TokenSource, token: Token) -> Self {
        hidden::hide(token.reveal());
        Self { source: Arc::new(source), current: Arc::new(RwLock::new(token)), given_up: Arc::default() }
    }

    /// The token to use.
    #[must_use]
    pub fn token(&self) -> Token {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &TokenSource {
        &self.source
    }

    /// Uses `token` from here on, which came from elsewhere: the one of the source opens nothing any more.
    pub fn adopt(&self, token: Token) {
        hidden::hide(token.reveal());
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let before = mem::replace(&mut *current, token);
        *self.given_up.write().unwrap_or_else(PoisonError::into_inner) = Some(before);
    }

    /// Looks at the source again; true if it holds another token than before, which is used from
    /// here on. A file that is gone or no longer holds a token changes nothing. Reads a small file.
    #[must_use]
    pub fn reload(&self) -> bool {
        let Some(path) = self.source.path() else {
            return false;
        };
        let token = match read_token(path) {
            Ok(TokenFile { token, .. }) => token,
            Err(why) => {
                tracing::warn!("the token stays as it is, because {} {why}", path.display());
                return false;
            }
        };
        if self.given_up.read().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(&token) {
            return false;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if *current == token {
            return false;
        }
        hidden::hide(token.reveal());
        *current = token;
        true
    }
}

/// A token in a file, and what the operator should know about that file.
#[derive(Debug)]
pub struct TokenFile {
    /// The token in the file.
    pub token: Token,
    /// What the operator should know about the file.
    pub warning: Option<String>,
}

/// Why a file gives no token. The texts follow the name of the file.
#[derive(Debug, Error)]
pub enum TokenFileProblem {
    /// It belongs to another user, and others can change it.
    #[error("belongs to another user and can be changed by others: run chmod 600, or chown, on it")]
    Foreign,
    /// It is no text.
    #[error("is not valid UTF-8")]
    NotText,
    /// It holds no token.
    #[error(transparent)]
    Token(#[from] TokenProblem),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A file that holds secrets, and what the operator should know about it.
#[derive(Debug)]
pub struct SecretFile {
    /// Its content, without white space around it.
    pub text: String,
    /// Who else can read it; none if nobody can.
    pub warning: Option<String>,
}

/// Reads the file of secrets at `path`, of at most `limit` bytes. Links are followed: mounted secrets are links.
///
/// # Errors
/// When the file cannot be read, is no text, or can be changed by others.
pub fn read_secret(path: &Path, limit: u64) -> Result<SecretFile, TokenFileProblem> {
    let file = small_file::read(path, limit, Links::Followed)?;
    let shown = path.display();
    let warning = match file.exposure() {
        Exposure::Foreign => Some(format!("token file {shown} belongs to another user")),
        Exposure::ForeignAndWritable => return Err(TokenFileProblem::Foreign),
        Exposure::Open => {
            let mode = file.mode();
            Some(format!(
                "token file {shown} is open to other users (mode {mode:04o}): run chmod 600 {shown}"
            ))
        }
        Exposure::Private => None,
    };
    let text = file.text().ok_or(TokenFileProblem::NotText)?.to_owned();
    Ok(SecretFile { text, warning })
}

/// Reads the token in `path`, as [`read_secret`].
///
/// # Errors
/// When the file cannot be read or holds no token.
pub fn read_token(path: &Path) -> Result<TokenFile, TokenFileProblem> {
    let SecretFile { text, warning } = read_secret(path, FILE_BYTES)?;
    Ok(TokenFile { token: Token::parse(&text)?, warning })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_token_is_one_word_of_visible_ascii() {
        assert_eq!(Token::parse(" tok-1\r\n").unwrap().reveal(), "tok-1");
        for (text, problem) in [
            ("", TokenProblem::Empty),
            (" \t\n", TokenProblem::Empty),
            ("two words", TokenProblem::InternalWhitespace),
            ("two\nlines", TokenProblem::InternalWhitespace),
            ("t\u{f6}ken", TokenProblem::NotVisibleAscii),
            ("a\0b", TokenProblem::NotVisibleAscii),
            ("a\u{a0}b", TokenProblem::InternalWhitespace),
            ("${TOKEN}", TokenProblem::Placeholder("${NAME}")),
            ("$TOKEN", TokenProblem::Placeholder("$NAME")),
            ("%TOKEN%", TokenProblem::Placeholder("%NAME%")),
            ("<your token>", TokenProblem::Placeholder("<…>")),
        ] {
            assert_eq!(Token::parse(text), Err(problem), "{text:?}");
        }
    }

    #[test]
    fn a_token_of_16_kib_is_the_longest() {
        assert!(Token::parse(&"t".repeat(LONGEST)).is_ok());
        assert_eq!(Token::parse(&"t".repeat(LONGEST + 1)), Err(TokenProblem::TooLong));
        assert_eq!(Token::parse(&"t".repeat(1 << 20)), Err(TokenProblem::TooLong));
    }

    #[test]
    fn nothing_that_holds_a_token_prints_it() {
        let credentials =
            Credentials::new(TokenSource::setting("TOKEN"), Token::parse("canary-1f7a").unwrap());

        assert!(!format!("{credentials:?} {:?}", credentials.token()).contains("canary"));
    }

    #[test]
    fn a_rotated_file_is_noticed_once() {
        let (_dir, path) = token_file("first-token");
        let credentials = from_file(&path);

        assert!(!credentials.reload());
        fs::write(&path, "second-token\n").unwrap();

        assert!(credentials.reload());
        assert!(!credentials.reload());
        assert_eq!(credentials.token().reveal(), "second-token");
    }

    #[test]
    fn a_token_from_elsewhere_stays_until_the_file_holds_a_third_one() {
        let (_dir, path) = token_file("first-token");
        let credentials = from_file(&path);

        credentials.adopt(Token::parse("issued-token").unwrap());

        assert!(!credentials.reload());
        assert_eq!(credentials.token().reveal(), "issued-token");
        fs::write(&path, "third-token").unwrap();
        assert!(credentials.reload());
        assert_eq!(credentials.token().reveal(), "third-token");
    }

    #[test]
    fn a_file_without_a_token_keeps_the_one_in_memory() {
        let (_dir, path) = token_file("first-token");
        let credentials = from_file(&path);

        for content in ["", "two words"] {
            fs::write(&path, content).unwrap();
            assert!(!credentials.reload(), "{content:?}");
        }
        fs::remove_file(&path).unwrap();

        assert!(!credentials.reload());
        assert_eq!(credentials.token().reveal(), "first-token");
    }

    #[test]
    fn the_environment_is_never_looked_at_again() {
        let credentials = Credentials::new(TokenSource::setting("TOKEN"), Token::parse("tok").unwrap());

        assert!(!credentials.reload());
    }

    #[test]
    fn clones_share_the_token() {
        let (_dir, path) = token_file("first-token");
        let credentials = from_file(&path);
        let clone = credentials.clone();
        fs::write(&path, "second-token").unwrap();

        assert!(credentials.reload());
        assert_eq!(clone.token().reveal(), "second-token");
    }

    #[test]
    fn a_file_that_others_can_read_is_used_with_a_warning() {
        let (_dir, path) = token_file("some-token");
        for (mode, warned) in [(0o600, false), (0o400, false), (0o644, true), (0o640, true), (0o660, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let file = read_token(&path).unwrap();
            assert_eq!(file.token.reveal(), "some-token");
            assert_eq!(file.warning.is_some(), warned, "{mode:o}");
        }
    }

    #[test]
    fn a_message_can_name_the_true_source() {
        let file = TokenSource::named_file("TOKEN_FILE", "/run/token");

        assert_eq!(file.to_string(), "TOKEN_FILE (/run/token)");
        assert_eq!(TokenSource::setting("TOKEN").to_string(), "TOKEN");
    }

    fn token_file(content: &str) -> (TempDir, PathBuf) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(".auth_token");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    fn from_file(path: &Path) -> Credentials {
        let token = read_token(path).unwrap().token;
        Credentials::new(TokenSource::file(path), token)
    }
}
