//! What a list of workspaces comes to, before tokens and ways are known to be there.

use std::path::PathBuf;

use molecule_runtime::account::Credentials;
use url::Url;

use super::{
    environment::Environment,
    platform_url::{self, PlatformUrl},
};
use crate::env;

/// The workspaces that were configured; what is absent has been reported.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) workspaces: Vec<Workspace>,
    /// The file that lists them, which may hold tokens.
    pub(super) file: Option<PathBuf>,
}

/// What is known of one workspace.
pub(super) struct Workspace {
    pub(super) id: String,
    pub(super) platform: Option<Url>,
    /// The platform is not that of `PLATFORM_URL`.
    pub(super) is_elsewhere: bool,
    pub(super) credentials: Option<Credentials>,
}

impl Listed {
    /// Whether the report need not tell where the token belongs.
    pub(super) fn has_token_file(&self) -> bool {
        let from_file = |found: &Credentials| found.source().path().is_some();
        self.workspaces.iter().any(|workspace| workspace.credentials.as_ref().is_some_and(from_file))
    }
}

/// The platform of `PLATFORM_URL`.
pub(super) fn common_platform(environment: &mut Environment<'_>) -> Option<Url> {
    let text = environment.required(&env::PLATFORM_URL)?;
    match address(environment, &text) {
        Ok(url) => Some(url),
        Err(why) => {
            let name = environment.name_of(&env::PLATFORM_URL);
            environment.unusable(&env::PLATFORM_URL, format!("{name} {why}"));
            None
        }
    }
}

/// A clean base address. The reason why not follows the name of the setting.
pub(super) fn address(environment: &mut Environment<'_>, text: &str) -> Result<Url, String> {
    let allow_http = environment.switch(&env::ALLOW_HTTP);
    let PlatformUrl { url, warning } = platform_url::parse(text, allow_http)?;
    if let Some(warning) = warning {
        environment.warn(warning);
    }
    Ok(url)
}
