//! Which workspaces, on which platforms, with which tokens.
//!
//! ```text
//! MOLECULE_WORKSPACES ──► MOLECULE_WORKSPACES_FILE ──► WORKSPACE_ID, PLATFORM_URL, token
//! ```
//!
//! The first that is set is the only source.

use std::{collections::BTreeMap, path::Path};

use molecule_runtime::{
    account::Account,
    inspect::{Naming, Place},
    network::{Network, Proxy},
};
use uuid::Uuid;

use super::{
    environment::Environment,
    listed::{Listed, Workspace, common_platform},
    proxy, token, trust, workspaces,
};
use crate::env;

const LONGEST_ID: usize = 64;
const LONGEST_ORGANIZATION: usize = 128;

/// Reads the workspaces, with `configs` as the directory of the token file.
pub(super) fn read(environment: &mut Environment<'_>, configs: Option<&Path>) -> Listed {
    if let Some(listed) = workspaces::read(environment) {
        return listed;
    }
    let workspace = single(environment);
    let credentials = token::find(environment, configs);
    Listed {
        workspaces: workspace.map(|one| Workspace { credentials, ..one }).into_iter().collect(),
        file: None,
    }
}

/// Reads whose inboxes lie in `state`. Tokens are of no interest.
pub(super) fn places(environment: &mut Environment<'_>, state: Option<&Path>) -> Vec<Place> {
    let workspaces = match workspaces::read(environment) {
        Some(listed) => listed.workspaces,
        None => single(environment).into_iter().collect(),
    };
    let ids: Vec<_> = workspaces.iter().map(|workspace| workspace.id.as_str()).collect();
    let named = Naming::of(&ids);
    let place = |(workspace, naming): (Workspace, Naming)| {
        let state = state.map(Path::to_owned);
        Some(Place { platform: workspace.platform?, workspace: workspace.id, state, naming })
    };
    workspaces.into_iter().zip(named).filter_map(place).collect()
}

/// The workspace of the three settings that are needed without a list.
fn single(environment: &mut Environment<'_>) -> Option<Workspace> {
    let id = environment.required(&env::WORKSPACE_ID).and_then(|text| {
        workspace_id(&text)
            .map_err(|why| {
                let name = environment.name_of(&env::WORKSPACE_ID);
                environment.unusable(&env::WORKSPACE_ID, format!("{name} {why}"));
            })
            .ok()
    });
    let platform = common_platform(environment);
    Some(Workspace { id: id?, platform, is_elsewhere: false, credentials: None })
}

/// The accounts of `workspaces`, each with the way to its platform; those of which something is absent are left out.
pub(super) fn connect(environment: &mut Environment<'_>, workspaces: Vec<Workspace>) -> Vec<Account> {
    let trust = trust::read(environment);
    let mut proxies = BTreeMap::<String, Option<Proxy>>::new();
    let organization = organization(environment);
    let mut accounts = Vec::new();
    for Workspace { id, platform, is_elsewhere, credentials } in workspaces {
        let Some(platform) = platform else { continue };
        let known = proxies.entry(platform.origin().ascii_serialization());
        let proxy = known.or_insert_with(|| proxy::read(environment, &platform)).clone();
        let Some(credentials) = credentials else { continue };
        let mut account = Account::new(id, platform, credentials);
        account.organization = organization.clone().filter(|_| !is_elsewhere);
        account.network = Network { proxy, trust: trust.clone() };
        accounts.push(account);
    }
    accounts
}

/// The organisation that requests name. One that no header can carry is told and left out.
fn organization(environment: &mut Environment<'_>) -> Option<String> {
    let variable = [&env::ORG_ID, &env::ORGANIZATION_ID].into_iter().find(|one| environment.is_set(one))?;
    let text = environment.text(variable)?;
    let is_usable =
        text.len() <= LONGEST_ORGANIZATION && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if !is_usable {
        let name = environment.name_of(variable);
        environment.warn(format!(
            "{name} is not 1 to {LONGEST_ORGANIZATION} visible ASCII characters, and is left out"
        ));
    }
    Some(text).filter(|_| is_usable)
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
