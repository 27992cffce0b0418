//! The token at the start: the first source that is set decides, and a broken one is never skipped.

use std::path::{Path, PathBuf};

use molecule_runtime::{
    account::{self, Credentials, Token, TokenFile, TokenFileProblem, TokenSource},
    storage::small_file::Unreadable,
};

use super::{environment::Environment, problem::Problem};
use crate::env;

const FILE_NAME: &str = ".auth_token";

/// Tokens are at least this long; paths in a shell history seldom are without a slash.
const LIKE_A_TOKEN: usize = 24;

/// Looks in all sources, with `configs` as the directory of the last one.
pub(super) fn find(environment: &mut Environment<'_>, configs: Option<&Path>) -> Option<Credentials> {
    let named = environment.path(&env::WORKSPACE_TOKEN_FILE);
    let own = configs.map(|configs| configs.join(FILE_NAME));
    if environment.is_set(&env::WORKSPACE_TOKEN) {
        return inline(environment, named.or(own));
    }
    if let Some(path) = named {
        return named_file(environment, path);
    }
    if environment.is_set(&env::WORKSPACE_TOKEN_FILE) {
        // What is wrong with it has been said.
        return None;
    }
    configs_file(environment, own)
}

fn inline(environment: &mut Environment<'_>, file: Option<PathBuf>) -> Option<Credentials> {
    let variable = &env::WORKSPACE_TOKEN;
    let text = environment.text(variable)?;
    let token = match Token::parse(&text) {
        Ok(token) => token,
        Err(why) => {
            let name = environment.name_of(variable);
            environment.unusable(variable, format!("{name} {why}"));
            return None;
        }
    };
    if text.starts_with('/') || text.starts_with("~/") || text.starts_with("./") {
        let (name, file) = (environment.name_of(variable), env::WORKSPACE_TOKEN_FILE.name);
        environment.warn(format!("{name} begins like a path; if it names a file with the token, use {file}"));
    }
    if let Some(path) = file.filter(|path| holds_another(path, &token)) {
        environment.warn(format!(
            "{} is used; {} holds a different token, which is not",
            environment.name_of(variable),
            path.display()
        ));
    }
    Some(Credentials::new(TokenSource::setting(environment.name_of(variable)), token))
}

fn holds_another(path: &Path, token: &Token) -> bool {
    account::read_token(path).is_ok_and(|file| file.token != *token)
}

fn named_file(environment: &mut Environment<'_>, path: PathBuf) -> Option<Credentials> {
    let variable = &env::WORKSPACE_TOKEN_FILE;
    match account::read_token(&path) {
        Ok(TokenFile { token, warning }) => {
            environment.warnings.extend(warning);
            Some(Credentials::new(TokenSource::named_file(environment.name_of(variable), path), token))
        }
        Err(TokenFileProblem::Unreadable(Unreadable::Absent)) if looks_like_a_token(&path) => {
            let why = format!(
                "{} does not exist: it names a file, but its value looks like a token; that belongs into {}",
                environment.name_of(variable),
                env::WORKSPACE_TOKEN.name
            );
            environment.unusable(variable, why);
            None
        }
        Err(why) => {
            let name = environment.name_of(variable);
            environment.unusable(variable, format!("{name}: {} {why}", shown(&path)));
            None
        }
    }
}

fn configs_file(environment: &mut Environment<'_>, path: Option<PathBuf>) -> Option<Credentials> {
    let missing = Problem::Missing(&env::WORKSPACE_TOKEN);
    let Some(path) = path else {
        environment.problems.push(missing);
        return None;
    };
    match account::read_token(&path) {
        Ok(TokenFile { token, warning }) => {
            environment.warnings.extend(warning);
            Some(Credentials::new(TokenSource::file(path), token))
        }
        Err(TokenFileProblem::Unreadable(Unreadable::Absent)) => {
            environment.problems.push(missing);
            None
        }
        Err(why) => {
            environment.problems.push(missing);
            environment.unusable(&env::WORKSPACE_TOKEN, format!("{} {why}", shown(&path)));
            None
        }
    }
}

/// Whether somebody wrote the token where its file belongs; a message must not show it then.
fn looks_like_a_token(path: &Path) -> bool {
    let Some(text) = path.to_str() else {
        return false;
    };
    text.len() >= LIKE_A_TOKEN && !text.contains(['/', '.']) && Token::parse(text).is_ok()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}
