//! What the roles of this workspace allow it to do.

use crate::wire::Permissions;

/// What each role may do, unless the operator lists it anew. Other roles may do nothing.
const BUILT_IN: &[(&str, &[&str])] = &[
    ("admin", &["delegate", "approve", "memory.read", "memory.write"]),
    ("operator", &["delegate", "approve", "memory.read", "memory.write"]),
    ("read-only", &["memory.read"]),
    ("memory-readonly", &["memory.read"]),
    ("no-delegation", &["approve", "memory.read", "memory.write"]),
    ("no-approval", &["delegate", "memory.read", "memory.write"]),
];

/// What a tool asks permission for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    Delegate,
    /// Roles call it `approve`: to turn to the user.
    MessageUser,
    ReadMemory,
    WriteMemory,
}

impl Action {
    /// Its name in roles.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Delegate => "delegate",
            Self::MessageUser => "approve",
            Self::ReadMemory => "memory.read",
            Self::WriteMemory => "memory.write",
        }
    }
}

/// Whether any of the roles allows `action`. The role `admin` allows everything.
fn allows(permissions: &Permissions, action: Action) -> bool {
    permissions.roles.iter().any(|role| role == "admin" || role_allows(permissions, role, action.name()))
}

/// Why a tool that needs `action` may not be used, as a whole text; nothing if it may.
pub(crate) fn refusal(permissions: &Permissions, tool: &str, action: Option<Action>) -> Option<String> {
    let action = action.filter(|action| !allows(permissions, *action))?;
    Some(format!(
        "Error: RBAC: PERMISSION DENIED: {tool} needs the permission {}, and no role of this workspace has it. Nothing was \
         done, and calling again does not help: go on without it, or ask the operator to change the roles in \
         config.yaml.",
        action.name()
    ))
}

/// Whether this is the root of the organisation.
pub(crate) const fn is_root(permissions: &Permissions) -> bool {
    permissions.tier == 0
}

fn role_allows(permissions: &Permissions, role: &str, action: &str) -> bool {
    if let Some((_, actions)) = permissions.allowed_actions.iter().find(|(listed, _)| listed == role) {
        return actions.iter().any(|allowed| allowed == action);
    }
    BUILT_IN.iter().any(|(listed, actions)| *listed == role && actions.contains(&action))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_actions_and_an_unknown_one_none() {
        let all = [Action::Delegate, Action::MessageUser, Action::ReadMemory, Action::WriteMemory];
        for (role, allowed) in [
            ("admin", [true, true, true, true]),
            ("operator", [true, true, true, true]),
            ("read-only", [false, false, true, false]),
            ("memory-readonly", [false, false, true, false]),
            ("no-delegation", [false, true, true, true]),
            ("no-approval", [true, false, true, true]),
            ("intern", [false, false, false, false]),
            ("Operator", [false, false, false, false]),
        ] {
            let permissions = of(&[role], &[]);
            assert_eq!(all.map(|action| allows(&permissions, action)), allowed, "{role}");
        }
        assert!(!allows(&of(&[], &[]), Action::ReadMemory));
    }

    #[test]
    fn any_role_suffices() {
        assert!(allows(&of(&["intern", "read-only", "operator"], &[]), Action::WriteMemory));
    }

    #[test]
    fn what_the_operator_lists_replaces_the_row_of_that_role_only() {
        let listed = [("read-only", vec!["memory.write"]), ("intern", vec!["memory.read"])];

        assert!(allows(&of(&["read-only"], &listed), Action::WriteMemory));
        assert!(!allows(&of(&["read-only"], &listed), Action::ReadMemory));
        assert!(allows(&of(&["intern"], &listed), Action::ReadMemory));
        assert!(!allows(&of(&["memory-readonly"], &listed), Action::WriteMemory));
        assert!(allows(&of(&["memory-readonly"], &listed), Action::ReadMemory));
    }

    #[test]
    fn an_admin_cannot_be_restricted() {
        assert!(allows(&of(&["admin"], &[("admin", vec![])]), Action::WriteMemory));
        assert!(!allows(&of(&["operator"], &[("operator", vec![])]), Action::WriteMemory));
    }

    #[test]
    fn only_tier_0_is_the_root() {
        assert!(is_root(&Permissions { tier: 0, ..of(&[], &[]) }));
        assert!(!is_root(&Permissions { tier: 1, ..of(&[], &[]) }));
    }

    fn of(roles: &[&str], allowed_actions: &[(&str, Vec<&str>)]) -> Permissions {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Permissions {
            roles: owned(roles),
            allowed_actions: allowed_actions
                .iter()
                .map(|(role, actions)| ((*role).to_owned(), owned(actions)))
                .collect(),
            tier: 1,
        }
    }
}
