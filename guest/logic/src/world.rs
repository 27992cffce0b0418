//! What all dialogues share: settings, chance, and what was learned on the way.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
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
    /// The workspaces whose users the agent has read messages of.
    pub(crate) users_wrote_to: RefCell<BTreeSet<Workspace>>,
    /// Why the platform does not take the token of a workspace.
    refused: RefCell<BTreeMap<Workspace, String>>,
    /// What is being worked on, the latest last.
    work: RefCell<Vec<(Workspace, Rc<str>)>>,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            random: Random::new(settings.seed),
            peers: RefCell::default(),
            inbox: RefCell::default(),
            secrets: RefCell::default(),
            own_uploads: RefCell::default(),
            users_wrote_to: RefCell::default(),
            refused: RefCell::default(),
            work: RefCell::default(),
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

/// A piece of work that the heartbeats tell of, for as long as this value lives.
pub(crate) struct Work {
    host: Host,
    world: Rc<World>,
    workspace: Workspace,
    task: Rc<str>,
}

impl Work {
    /// Begins; `task` is cut to 256 characters.
    pub(crate) fn begin(host: &Host, world: &Rc<World>, workspace: Workspace, task: &str) -> Self {
        let task: Rc<str> = task.chars().take(256).collect::<String>().into();
        world.work.borrow_mut().push((workspace, Rc::clone(&task)));
        let work = Self { host: host.clone(), world: Rc::clone(world), workspace, task };
        work.tell();
        work
    }

    fn tell(&self) {
        let work = self.world.work.borrow();
        let tasks = || work.iter().filter(|(workspace, _)| *workspace == self.workspace);
        self.host.effect(Effect::Working(Working {
            workspace: self.workspace,
            active_tasks: u32::try_from(tasks().count()).unwrap_or(u32::MAX),
            current_task: tasks().next_back().map(|(_, task)| task.to_string()).unwrap_or_default(),
        }));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.world.work.borrow_mut().retain(|(_, task)| !Rc::ptr_eq(task, &self.task));
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dialogue::Dialogue,
        testing::world,
        wire::{Finish, Turn},
    };

    #[test]
    fn work_that_ends_leaves_the_work_that_goes_on() {
        let world = world();
        let (first, _) = begin(&world, "first");
        let (second, turn) = begin(&world, "second");

        assert_eq!(turn.effects, [working(2, "second")]);
        assert_eq!(second.cancel(1), [working(1, "first")]);
        assert_eq!(first.cancel(2), [working(0, "")]);
    }

    fn begin(world: &Rc<World>, task: &'static str) -> (Dialogue, Turn) {
        let world = Rc::clone(world);
        Dialogue::open(0, |host| async move {
            let _work = Work::begin(&host, &world, 0, task);
            host.rest_until(10).await;
            Finish::Done
        })
    }

    fn working(active_tasks: u32, current_task: &str) -> Effect {
        Effect::Working(Working { workspace: 0, active_tasks, current_task: current_task.to_owned() })
    }
}
