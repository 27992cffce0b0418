//! What all dialogues share: settings, chance, and what was learned on the way.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use crate::{
    dialogue::Host,
    inbox::Inbox,
    peers::Peers,
    random::Random,
    secrets::Secrets,
    uploads::OwnUploads,
    wire::{Effect, Settings, Working, Workspace, WorkspaceSettings},
};

/// One value a process, shared by its dialogues.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) random: Random,
    pub(crate) peers: RefCell<Peers>,
    pub(crate) inbox: RefCell<Inbox>,
    pub(crate) secrets: RefCell<Secrets>,
    pub(crate) own_uploads: RefCell<OwnUploads>,
    active_tasks: Cell<u32>,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            random: Random::new(settings.seed),
            peers: RefCell::default(),
            inbox: RefCell::default(),
            secrets: RefCell::default(),
            own_uploads: RefCell::default(),
            active_tasks: Cell::new(0),
            settings,
        }
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
}

/// A piece of work that the heartbeats tell of, for as long as this value lives.
pub(crate) struct Work {
    host: Host,
    world: Rc<World>,
    workspace: Workspace,
}

impl Work {
    /// Begins; `task` is cut to 256 characters.
    pub(crate) fn begin(host: &Host, world: &Rc<World>, workspace: Workspace, task: &str) -> Self {
        world.active_tasks.set(world.active_tasks.get().saturating_add(1));
        let work = Self { host: host.clone(), world: Rc::clone(world), workspace };
        work.tell(task.chars().take(256).collect());
        work
    }

    fn tell(&self, current_task: String) {
        self.host.effect(Effect::Working(Working {
            workspace: self.workspace,
            active_tasks: self.world.active_tasks.get(),
            current_task,
        }));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.world.active_tasks.set(self.world.active_tasks.get().saturating_sub(1));
        self.tell(String::new());
    }
}
