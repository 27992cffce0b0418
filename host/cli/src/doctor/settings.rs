//! What the program is told, and where that comes from.

use molecule_runtime::account::Account;

use super::{
    Found, Patient,
    catalog::{
        PROXY_EXCEPTED, SETTING_DOUBTFUL, SETTING_FROM, SETTING_MISSING, SETTING_UNKNOWN, SETTING_UNUSABLE,
        SETTINGS_READ, TOKEN_FROM, TOKEN_INLINE,
    },
};
use crate::{
    env,
    settings::{Setting, Settings, Source, UNENCRYPTED, sources},
};

/// How our settings begin; other programs of the platform have some, too.
const OURS: &str = "MOLECULE_";
/// Of a value that is shown.
const VALUE_CHARS: usize = 200;

pub(super) fn look(patient: &Patient) -> Vec<Found> {
    let mut found = values(patient);
    found.extend(unknown(&patient.names));
    match Settings::from_env(patient.variable) {
        Ok(settings) => {
            // Of which there is a finding of its own.
            let warnings = settings.warnings.iter().filter(|warning| !warning.starts_with(UNENCRYPTED));
            found.extend(warnings.map(|warning| SETTING_DOUBTFUL.seen(warning)));
            let several = settings.accounts.len() > 1;
            for account in &settings.accounts {
                found.push(token(account).about(several.then_some(&account.id)));
            }
            if settings.accounts.iter().any(is_inline) {
                found.push(TOKEN_INLINE.seen("the token stands in the environment"));
            }
            found.extend(settings.accounts.iter().filter_map(|account| excepted(patient, account)));
            found.push(SETTINGS_READ.seen(format!("workspaces: {}", settings.accounts.len())));
        }
        Err(problems) => {
            found.extend(
                problems.missing().into_iter().map(|name| SETTING_MISSING.seen(format!("{name} is not set"))),
            );
            found.extend(problems.unusable().map(|why| SETTING_UNUSABLE.seen(why)));
        }
    }
    found
}

/// Every value that is no default.
fn values(patient: &Patient) -> Vec<Found> {
    let shown = |setting: &Setting| {
        let name = setting.variable.name;
        let from = match &setting.source {
            Source::Default => return None,
            Source::Environment(spelled) => format!("variable {spelled}"),
            Source::File { path, key } => format!("`{key}` in {}", path.display()),
        };
        let value: String = match &setting.value {
            Some(value) => value.chars().take(VALUE_CHARS).collect(),
            None => "set, and not shown".to_owned(),
        };
        Some(SETTING_FROM.seen(format!("{name} = {value} ({from})")))
    };
    sources(patient.variable).iter().filter_map(shown).collect()
}

/// Variables that look like ours.
fn unknown(names: &[String]) -> impl Iterator<Item = Found> {
    let is_known = |name: &str| env::ALL.iter().any(|variable| variable.name == name);
    let odd = names.iter().filter(move |name| name.starts_with(OURS) && !is_known(name));
    odd.map(|name| SETTING_UNKNOWN.seen(format!("{name} is set, and no setting has that name")))
}

fn token(account: &Account) -> Found {
    TOKEN_FROM.seen(format!("the token comes from {}", account.credentials.source()))
}

/// The variable of a proxy that is set and not used.
fn excepted(patient: &Patient, account: &Account) -> Option<Found> {
    if account.network.proxy.is_some() {
        return None;
    }
    let by_scheme = if account.platform.scheme() == "https" { &env::HTTPS_PROXY } else { &env::HTTP_PROXY };
    let spelled = [by_scheme, &env::ALL_PROXY].map(|variable| variable.name);
    let names = spelled.into_iter().flat_map(|name| [name.to_owned(), name.to_ascii_lowercase()]);
    let set =
        names.into_iter().find(|name| (patient.variable)(name).is_some_and(|value| !value.is_empty()))?;
    Some(PROXY_EXCEPTED.seen(format!("{set} is set, and {} is excepted by NO_PROXY", account.platform)))
}

fn is_inline(account: &Account) -> bool {
    account.credentials.source().path().is_none()
}
