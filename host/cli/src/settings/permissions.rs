//! What the agent may do, from the operator's `config.yaml`.

use std::{collections::BTreeMap, path::Path};

use molecule_runtime::{
    guest::wire::Permissions,
    storage::small_file::{self, Links, Unreadable},
};
use serde::Deserialize;

const FILE_NAME: &str = "config.yaml";
const FILE_BYTES: u64 = 1 << 20;

const DEFAULT_ROLE: &str = "operator";
/// Neither the root nor anything special.
const DEFAULT_TIER: u32 = 1;

/// Permissions, and what the operator should know about them.
#[derive(Debug, PartialEq)]
pub(super) struct Granted {
    pub(super) permissions: Permissions,
    pub(super) warning: Option<String>,
}

/// The part of the file that concerns us.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Config {
    rbac: Option<Rbac>,
    tier: Option<Tier>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rbac {
    roles: Option<Vec<String>>,
    allowed_actions: Option<BTreeMap<String, Option<Vec<String>>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Tier {
    Number(u32),
    Text(String),
    Other(serde::de::IgnoredAny),
}

/// Reads `config.yaml` in `directory`; `tier` is for when there is none.
pub(super) fn read(directory: &Path, tier: Option<&str>) -> Granted {
    let path = directory.join(FILE_NAME);
    let unloadable = |why: String| {
        Some(format!("{} {why}; until that is mended the role is {DEFAULT_ROLE}", path.display()))
    };
    let file = match small_file::read(&path, FILE_BYTES, Links::Followed) {
        Ok(file) => file,
        Err(Unreadable::Absent) => return without_file(tier, None),
        Err(why) => return without_file(tier, unloadable(why.to_string())),
    };
    // As it stands: white space at its start means something in YAML.
    let Ok(text) = std::str::from_utf8(&file.bytes) else {
        return without_file(tier, unloadable("is not valid UTF-8".to_owned()));
    };
    match parse(text) {
        Ok(permissions) => Granted { permissions, warning: None },
        Err(cause) => without_file(tier, unloadable(not_understood(&cause))),
    }
}

/// The place alone: what stands there may be nobody's business.
fn not_understood(cause: &yaml_serde::Error) -> String {
    match cause.location() {
        Some(place) => format!("cannot be understood (line {}, column {})", place.line(), place.column()),
        None => "cannot be understood".to_owned(),
    }
}

fn parse(text: &str) -> Result<Permissions, yaml_serde::Error> {
    let config = yaml_serde::from_str::<Option<Config>>(text)?.unwrap_or_default();
    let rbac = config.rbac.unwrap_or_default();
    let tier = match config.tier {
        Some(Tier::Number(tier)) => tier,
        Some(Tier::Text(text)) => digits(&text).unwrap_or(DEFAULT_TIER),
        Some(Tier::Other(_)) | None => DEFAULT_TIER,
    };
    let actions = rbac.allowed_actions.unwrap_or_default();
    Ok(Permissions {
        roles: rbac.roles.filter(|roles| !roles.is_empty()).unwrap_or_else(default_roles),
        allowed_actions: actions
            .into_iter()
            .map(|(role, actions)| (role, actions.unwrap_or_default()))
            .collect(),
        tier,
    })
}

fn without_file(tier: Option<&str>, warning: Option<String>) -> Granted {
    let (tier, odd) = match tier.map(|text| (text, digits(text))) {
        None => (DEFAULT_TIER, None),
        Some((_, Some(tier))) => (tier, None),
        Some((_, None)) => {
            (DEFAULT_TIER, Some(format!("WORKSPACE_TIER is not a number, and counts as {DEFAULT_TIER}")))
        }
    };
    let warning = match (warning, odd) {
        (Some(warning), Some(odd)) => Some(format!("{warning}; {odd}")),
        (warning, odd) => warning.or(odd),
    };
    Granted {
        permissions: Permissions { roles: default_roles(), allowed_actions: Vec::new(), tier },
        warning,
    }
}

fn default_roles() -> Vec<String> {
    vec![DEFAULT_ROLE.to_owned()]
}

/// The number, unless anything but digits is in `text`.
fn digits(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn roles_actions_and_tier_come_from_the_file() {
        let granted = granted(
            "name: x\nrbac:\n  roles: [read-only, intern]\n  allowed_actions:\n    intern: [memory.write]\ntier: 0\n",
        );

        assert_eq!(granted.warning, None);
        assert_eq!(granted.permissions.roles, ["read-only", "intern"]);
        assert_eq!(
            granted.permissions.allowed_actions,
            [("intern".to_owned(), vec!["memory.write".to_owned()])]
        );
        assert_eq!(granted.permissions.tier, 0);
    }

    #[test]
    fn a_file_that_says_nothing_leaves_an_operator() {
        for text in
            ["", "# nothing\n", "{}", "rbac:\n", "rbac: {roles: []}", "rbac: {roles: ~, allowed_actions: ~}"]
        {
            let granted = granted(text);
            assert_eq!(granted, operator(1, None), "{text:?}");
        }
    }

    #[test]
    fn a_tier_is_digits_and_anything_else_is_1() {
        for (text, tier) in [
            ("0", 0),
            ("'0'", 0),
            ("3", 3),
            ("\"12\"", 12),
            ("-1", 1),
            ("1.5", 1),
            ("root", 1),
            ("''", 1),
            ("[0]", 1),
            ("true", 1),
            ("~", 1),
            ("99999999999", 1),
        ] {
            assert_eq!(granted(&format!("tier: {text}")).permissions.tier, tier, "{text}");
        }
    }

    #[test]
    fn a_role_without_actions_may_do_nothing() {
        let granted = granted("rbac: {allowed_actions: {operator: }}");

        assert_eq!(granted.permissions.allowed_actions, [("operator".to_owned(), vec![])]);
    }

    #[test]
    fn what_cannot_be_understood_leaves_an_operator_and_a_warning() {
        for text in ["rbac: [", "rbac: {roles: {a: b}}", "- a\n- b\n", "just words", "\tx: 1"] {
            let granted = granted(text);
            assert_eq!(granted.permissions.roles, ["operator"], "{text:?}");
            assert!(granted.warning.unwrap().contains("config.yaml"), "{text:?}");
        }
    }

    #[test]
    fn without_the_file_the_environment_names_the_tier() {
        let dir = TempDir::new().unwrap();

        assert_eq!(read(dir.path(), None), operator(1, None));
        assert_eq!(read(dir.path(), Some("0")), operator(0, None));
        assert!(read(dir.path(), Some("two")).warning.unwrap().contains("WORKSPACE_TIER"));
        assert_eq!(read(dir.path(), Some("two")).permissions.tier, 1);
    }

    fn granted(text: &str) -> Granted {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(FILE_NAME), text).unwrap();
        // Never taken into account where there is a file that can be loaded.
        read(dir.path(), Some("7"))
    }

    fn operator(tier: u32, warning: Option<String>) -> Granted {
        Granted {
            permissions: Permissions { roles: default_roles(), allowed_actions: Vec::new(), tier },
            warning,
        }
    }
}
