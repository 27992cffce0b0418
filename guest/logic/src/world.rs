//! What all dialogues share: the context, and what was learned on the way.

use std::{cell::RefCell, collections::BTreeSet, ops::Deref, rc::Rc};

use crate::{
    context::Context,
    dialogue::Host,
    inbox::Inbox,
    peers::Peers,
    presence::Presences,
    secrets::Secrets,
    uploads::OwnUploads,
    wake::Wake,
    wire::{Effect, Settings, Working, Workspace},
};

/// One value a process, shared by its dialogues.
pub(crate) struct World {
    context: Rc<Context>,
    pub(crate) peers: RefCell<Peers>,
    pub(crate) inbox: RefCell<Inbox>,
    pub(crate) secrets: Rc<RefCell<Secrets>>,
    pub(crate) own_uploads: RefCell<OwnUploads>,
    pub(crate) wake: Wake,
    /// Of hosts that leave it to the component.
    pub(crate) presence: Presences,
    /// The workspaces whose users the agent has read messages of.
    pub(crate) users_wrote_to: RefCell<BTreeSet<Workspace>>,
    /// What is being worked on, the latest last.
    work: RefCell<Vec<(Workspace, Rc<str>)>>,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            peers: RefCell::default(),
            inbox: RefCell::default(),
            secrets: Rc::default(),
            own_uploads: RefCell::default(),
            wake: Wake::default(),
            presence: RefCell::default(),
            users_wrote_to: RefCell::default(),
            work: RefCell::default(),
            context: Rc::new(Context::new(settings)),
        }
    }
}

impl Deref for World {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl World {
    /// How many pieces of work a workspace has, and the latest of them.
    pub(crate) fn busy(&self, workspace: Workspace) -> (usize, Rc<str>) {
        let work = self.work.borrow();
        let tasks = || work.iter().filter(|(one, _)| *one == workspace);
        (tasks().count(), tasks().next_back().map(|(_, task)| Rc::clone(task)).unwrap_or_default())
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
        let (tasks, task) = self.world.busy(self.workspace);
        self.host.effect(Effect::Working(Working {
            workspace: self.workspace,
            active_tasks: u32::try_from(tasks).unwrap_or(u32::MAX),
            current_task: task.to_string(),
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
