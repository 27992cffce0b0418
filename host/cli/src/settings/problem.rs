//! Everything that keeps the program from starting, in one report.

use std::{error, fmt};

use crate::env::{self, Variable};

/// A setting without which, or with which, nothing can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// It is needed and not there.
    Missing(&'static Variable),
    /// What it says cannot be used; the reason never shows the value of a secret.
    Unusable(&'static Variable, String),
}

#[cfg(test)]
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(variable) => write!(f, "{} is missing", variable.name),
            Self::Unusable(_, why) => f.write_str(why),
        }
    }
}

impl Problem {
    fn variable(&self) -> &'static Variable {
        match self {
            Self::Missing(variable) | Self::Unusable(variable, _) => variable,
        }
    }
}

/// Why the program cannot start. Printed, it is the whole report for the operator; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// Nobody needs to be told where the token belongs.
    has_token_file: bool,
}

impl Problems {
    /// A report of `list`, in the order in which the settings are documented.
    pub(super) fn new(mut list: Vec<Problem>, has_token_file: bool) -> Self {
        list.sort_by_key(|problem| env::ALL.iter().position(|known| known.name == problem.variable().name));
        Self { list, has_token_file }
    }

    /// Names of settings that are not there.
    pub(crate) fn missing(&self) -> Vec<&str> {
        let missing = |problem: &Problem| match problem {
            Problem::Missing(variable) if variable.name == env::WORKSPACE_TOKEN.name => {
                Some("MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)")
            }
            Problem::Missing(variable) => Some(variable.name),
            Problem::Unusable(..) => None,
        };
        self.list.iter().filter_map(missing).collect()
    }

    /// What is wrong with those that are there.
    pub(crate) fn unusable(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter_map(|problem| match problem {
            Problem::Missing(_) => None,
            Problem::Unusable(_, why) => Some(why.as_str()),
        })
    }
}

impl error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = self.missing();
        let lack =
            if missing.is_empty() { "settings cannot be used" } else { "required settings are missing" };
        writeln!(f, "molecule-mcp: not started, because {lack}. It needs in its environment:\n")?;
        let token: &[&Variable] =
            if self.has_token_file { &[] } else { &[&env::WORKSPACE_TOKEN, &env::WORKSPACE_TOKEN_FILE] };
        for Variable { name, meaning, .. } in [&env::WORKSPACE_ID, &env::PLATFORM_URL].iter().chain(token) {
            writeln!(f, "  {name:<29}  {meaning}")?;
        }
        writeln!(f)?;
        if !missing.is_empty() {
            writeln!(f, "Currently missing: {}", missing.join(", "))?;
        }
        for why in self.unusable() {
            writeln!(f, "Not usable: {why}")?;
        }
        writeln!(
            f,
            "\nmolecule-mcp setup asks for them, checks them, and writes them down for all clients. In an MCP client they belong \
             into\nthe \"env\" of this server. All settings: molecule-mcp --help"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_in_one_report_in_a_fixed_order() {
        let problems = Problems::new(
            vec![
                Problem::Missing(&env::WORKSPACE_TOKEN),
                Problem::Unusable(&env::PLATFORM_URL, "PLATFORM_URL has no host".to_owned()),
                Problem::Missing(&env::WORKSPACE_ID),
            ],
            false,
        );

        assert_eq!(
            problems.to_string(),
            "\
molecule-mcp: not started, because required settings are missing. It needs in its environment:

  WORKSPACE_ID                   Id of the workspace to act for: the UUID that the canvas shows.
  PLATFORM_URL                   Base address of the platform, such as https://acme.example.com.
  MOLECULE_WORKSPACE_TOKEN       Bearer token of the workspace, from the Tokens tab of the canvas.
  MOLECULE_WORKSPACE_TOKEN_FILE  File with the token and nothing else: safer, as it stays out of client configurations.

Currently missing: WORKSPACE_ID, MOLECULE_WORKSPACE_TOKEN (or CONFIGS_DIR/.auth_token)
Not usable: PLATFORM_URL has no host

molecule-mcp setup asks for them, checks them, and writes them down for all clients. In an MCP client they belong into
the \"env\" of this server. All settings: molecule-mcp --help
"
        );
    }

    #[test]
    fn who_has_a_token_is_not_told_where_to_get_one() {
        let problems = Problems::new(vec![Problem::Missing(&env::PLATFORM_URL)], true);

        let report = problems.to_string();

        assert!(report.contains("Currently missing: PLATFORM_URL\n"));
        assert!(!report.contains("TOKEN"));
    }
}
