//! What is fixed for the life of the component: its settings, its source of chance, and how the platform takes its tokens.

use std::{cell::RefCell, collections::BTreeMap};

use crate::{
    random::Random,
    wire::{Settings, Workspace, WorkspaceSettings},
};

/// One value a process.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    /// Why the platform does not take the token of a workspace.
    refused: RefCell<BTreeMap<Workspace, String>>,
}

impl Context {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { random: Random::new(settings.seed), settings, refused: RefCell::default() }
    }

    /// The workspace that tools act for unless told otherwise.
    pub(crate) const fn primary(&self) -> Workspace {
        0
    }

    /// The settings of a workspace.
    pub(crate) fn workspace(&self, workspace: Workspace) -> Option<&WorkspaceSettings> {
        self.settings.workspaces.get(usize::try_from(workspace).ok()?)
    }

    /// The id of a workspace; empty if there is no such workspace.
    pub(crate) fn id(&self, workspace: Workspace) -> &str {
        self.workspace(workspace).map_or("", |settings| &settings.id)
    }

    /// All workspaces that the process acts for, the primary one first.
    pub(crate) fn workspaces(&self) -> impl Iterator<Item = Workspace> + use<> {
        0..Workspace::try_from(self.settings.workspaces.len()).unwrap_or(Workspace::MAX)
    }

    /// Whether the process acts for more than one workspace.
    pub(crate) const fn acts_for_several(&self) -> bool {
        self.settings.workspaces.len() > 1
    }

    /// A workspace in a sentence: by its id where there are several.
    pub(crate) fn shown(&self, workspace: Workspace) -> String {
        if self.acts_for_several() {
            format!("workspace {}", self.id(workspace))
        } else {
            "this workspace".to_owned()
        }
    }

    /// What stands for a workspace in a line: the first 8 characters of its id.
    pub(crate) fn tag(&self, workspace: Workspace) -> String {
        self.id(workspace).chars().take(8).collect()
    }

    /// Whether the platform does not take the token of a workspace.
    pub(crate) fn is_refused(&self, workspace: Workspace) -> bool {
        self.refused.borrow().contains_key(&workspace)
    }

    /// Why the platform does not take the token of a workspace, if it does not.
    pub(crate) fn refusal(&self, workspace: Workspace) -> Option<String> {
        self.refused.borrow().get(&workspace).cloned()
    }

    /// Notes that the platform does not take the token of a workspace; an empty `why` takes that back.
    pub(crate) fn note_refusal(&self, workspace: Workspace, why: String) {
        let mut refused = self.refused.borrow_mut();
        if why.is_empty() {
            refused.remove(&workspace);
        } else {
            refused.insert(workspace, why);
        }
    }
}
