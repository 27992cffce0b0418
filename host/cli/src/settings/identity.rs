//! Which workspace, on which platform, with which token.

use std::path::Path;

use molecule_runtime::account::{Credentials, TokenSource};
use url::Url;
use uuid::Uuid;

use super::{
    environment::Environment,
    platform_url::{self, PlatformUrl},
    token,
    workspaces::{self, Entry},
};
use crate::env;

const LONGEST_ID: usize = 64;

/// What nothing works without; what is absent has been reported.
pub(super) struct Identity {
    pub(super) workspace: Option<String>,
    pub(super) platform: Option<Url>,
    pub(super) credentials: Option<Credentials>,
}

impl Identity {
    /// Whether nobody needs to be told where the token belongs.
    pub(super) fn has_token_file(&self) -> bool {
        self.credentials.as_ref().is_some_and(|found| found.source().path().is_some())
    }
}

/// Reads the three required settings, with `configs` as the directory of the token file.
pub(super) fn read(environment: &mut Environment<'_>, configs: Option<&Path>) -> Identity {
    let identity = place(environment);
    if environment.is_set(&env::WORKSPACES) {
        return identity;
    }
    Identity { credentials: token::find(environment, configs), ..identity }
}

/// Reads which workspace it is, and on which platform. The token is of no interest, and absent unless it
/// stands beside them.
pub(super) fn place(environment: &mut Environment<'_>) -> Identity {
    if environment.is_set(&env::WORKSPACES) {
        return listed(environment);
    }
    let workspace = environment.required(&env::WORKSPACE_ID).and_then(|text| {
        workspace_id(&text)
            .map_err(|why| {
                environment.unusable(&env::WORKSPACE_ID, format!("{} {why}", env::WORKSPACE_ID.name));
            })
            .ok()
    });
    let platform = environment.required(&env::PLATFORM_URL).and_then(|text| address(environment, &text));
    Identity { workspace, platform, credentials: None }
}

/// The list is the only source where there is one.
fn listed(environment: &mut Environment<'_>) -> Identity {
    let Some(Entry { id, token, platform }) = workspaces::read(environment) else {
        return Identity { workspace: None, platform: None, credentials: None };
    };
    let text = match platform {
        Some(own) => Some(own),
        None => environment.required(&env::PLATFORM_URL),
    };
    Identity {
        workspace: Some(id),
        platform: text.and_then(|text| address(environment, &text)),
        credentials: Some(Credentials::new(TokenSource::setting(env::WORKSPACES.name), token)),
    }
}

fn address(environment: &mut Environment<'_>, text: &str) -> Option<Url> {
    let allow_http = environment.switch(&env::ALLOW_HTTP);
    match platform_url::parse(text, allow_http) {
        Ok(PlatformUrl { url, warning }) => {
            environment.warnings.extend(warning);
            Some(url)
        }
        Err(why) => {
            environment.unusable(&env::PLATFORM_URL, format!("{} {why}", env::PLATFORM_URL.name));
            None
        }
    }
}

/// The id in the form in which the platform writes it. The reason why not follows the name of the
/// setting and does not show the value, which may be a token in the wrong place.
pub(super) fn workspace_id(text: &str) -> Result<String, String> {
    let odd = |char: &char| !(char.is_ascii_alphanumeric() || matches!(char, '-' | '_'));
    if let Some(char) = text.chars().find(odd) {
        return Err(format!("contains {char:?}; an id has only letters, digits, - and _"));
    }
    if text.len() > LONGEST_ID {
        return Err(format!("is longer than {LONGEST_ID} characters, which no id is"));
    }
    Ok(Uuid::try_parse(text).map_or_else(|_| text.to_owned(), |uuid| uuid.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_safe_path_segment_and_a_uuid_is_in_lower_case() {
        for (text, id) in [
            ("6F9C2A31-8B4E-4F0A-9C11-5D2E7A90B1C3", "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3"),
            ("6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3", "6f9c2a31-8b4e-4f0a-9c11-5d2e7a90b1c3"),
            ("abc", "abc"),
            ("Abc_1-2", "Abc_1-2"),
        ] {
            assert_eq!(workspace_id(text).as_deref(), Ok(id));
        }
        assert!(workspace_id(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn an_id_that_could_be_more_than_a_segment_is_refused() {
        for text in ["a/b", "..", "%2f", "a?b", "a#b", "a\nb", "a\0b", "a b", "\u{e4}", "{a}", "a.b"] {
            assert!(workspace_id(text).unwrap_err().starts_with("contains "), "{text:?}");
        }
        assert!(workspace_id(&"a".repeat(65)).unwrap_err().contains("longer than 64"));
    }
}
