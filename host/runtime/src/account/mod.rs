//! A workspace that the process acts for.

mod credentials;
pub mod placeholder;

pub use self::credentials::{
    Credentials, Token, TokenFile, TokenFileProblem, TokenProblem, TokenSource, read_token,
};
