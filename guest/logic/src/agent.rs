//! The whole component as one value: every export is one of its verbs.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    dialogue::Dialogue,
    inbox,
    presence::{self, Card, Presence},
    secrets, succession, tools, wake,
    wire::{
        Effect, Finish, InboxStatus, Instant, Next, Outcome, Saved, Settings, ToolSpec, Turn, WakeRules,
        WakeState, Workspace,
    },
    world::World,
};

/// The state behind the exports of the component.
pub struct Agent {
    world: Rc<World>,
    dialogues: BTreeMap<u64, Dialogue>,
    /// The dialogue that fetches for each workspace.
    pollers: BTreeMap<Workspace, u64>,
    /// The dialogue that rings.
    bell: Option<u64>,
}

impl Agent {
    /// A component that has seen nothing yet.
    #[must_use]
    pub fn start(settings: Settings) -> Self {
        Self {
            world: Rc::new(World::new(settings)),
            dialogues: BTreeMap::new(),
            pollers: BTreeMap::new(),
            bell: None,
        }
    }

    /// Goes on with a session, or begins it: what processes after each other count as one use by an agent, so that a
    /// message that an earlier one has shown is not shown again as `redelivered`. Without a name each process is one.
    #[must_use]
    pub fn in_session(self, session: &str) -> Self {
        self.world.inbox.borrow_mut().queue_mut().belongs_to(session.into());
        self
    }

    /// Says that the platform does not take the token of a workspace; an empty `why` takes that back.
    pub fn refused(&mut self, workspace: Workspace, why: String) {
        self.world.note_refusal(workspace, why);
    }

    /// What an instance that takes the place of this one could not read from the disk; nothing while this one is
    /// needed.
    #[must_use]
    pub fn retire(&self) -> Option<String> {
        succession::of(&self.world)
    }

    /// Knows what the instance before this one has left.
    pub fn inherit(&mut self, left: &str) {
        succession::inherit(&self.world, left);
    }

    /// All tools, always in the same order.
    #[must_use]
    pub fn specs(&self) -> Vec<ToolSpec> {
        tools::specs(&self.world)
    }

    /// What an agent must know to use the tools.
    #[must_use]
    pub fn instructions(&self) -> String {
        tools::instructions(&self.world)
    }

    /// Begins a call of the tool `name`; `arguments` is a JSON object.
    pub fn open_tool(&mut self, dialogue: u64, name: &str, arguments: &str, now: Instant) -> Turn {
        let (story, turn) = tools::open(&self.world, name, arguments, now);
        self.keep(dialogue, story, turn)
    }

    /// Begins to fetch the messages of a workspace, from where `saved` ends.
    pub fn open_inbox(&mut self, dialogue: u64, workspace: Workspace, saved: Saved, now: Instant) -> Turn {
        if let Some(previous) = self.pollers.insert(workspace, dialogue) {
            self.dialogues.remove(&previous);
        }
        let world = Rc::clone(&self.world);
        let (story, turn) =
            Dialogue::open(now, |host| async move { inbox::poll(host, world, workspace, saved).await });
        self.keep(dialogue, story, turn)
    }

    /// Brings the cursor file of a workspace up to date.
    pub fn settle_inbox(&mut self, dialogue: u64, workspace: Workspace, now: Instant) -> Turn {
        let world = Rc::clone(&self.world);
        let (story, turn) =
            Dialogue::open(now, |host| async move { inbox::settle(host, world, workspace).await });
        self.keep(dialogue, story, turn)
    }

    /// Takes care of the files of a workspace, in one of several lanes.
    pub fn open_files(&mut self, dialogue: u64, workspace: Workspace, lane: u32, now: Instant) -> Turn {
        let world = Rc::clone(&self.world);
        let (story, turn) =
            Dialogue::open(now, |host| async move { inbox::keep_files(host, world, workspace, lane).await });
        self.keep(dialogue, story, turn)
    }

    /// Says that another process fetches the messages of a workspace.
    pub fn follow(&mut self, workspace: Workspace, leader: String) {
        self.world.inbox.borrow_mut().follow(workspace, leader);
    }

    /// What is on disk, as JSON for people.
    #[must_use]
    pub fn describe(&self, workspace: Workspace, saved: Saved) -> String {
        inbox::inspect(&self.world, workspace, saved)
    }

    /// How the inbox of a workspace stands at this moment.
    #[must_use]
    pub fn inbox_status(&self, workspace: Workspace, now: Instant) -> InboxStatus {
        inbox::status(&self.world, workspace, now)
    }

    /// In what these records of a journal, while nothing is added to it, differ from what is known of a workspace, or
    /// would if it was written anew.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn disagreement(&self, workspace: Workspace, journal: &[String]) -> Option<String> {
        self.world.inbox.borrow().disagreement(self.world.id(workspace), workspace, journal)
    }

    /// Looks for a new secret in the body of a successful register or heartbeat.
    pub fn open_secrets(&mut self, dialogue: u64, workspace: Workspace, body: Vec<u8>, now: Instant) -> Turn {
        let secrets = Rc::clone(&self.world.secrets);
        let (story, turn) =
            Dialogue::open(now, |host| async move { secrets::learn(host, secrets, workspace, body).await });
        self.keep(dialogue, story, turn)
    }

    /// Says which secret is on disk.
    pub fn remember_secret(&mut self, workspace: Workspace, secret: &str) {
        self.world.secrets.borrow_mut().remember(workspace, secret);
    }

    /// Begins to ring for messages that the agent has not seen.
    pub fn open_wake(&mut self, dialogue: u64, rules: WakeRules, now: Instant) -> Turn {
        if let Some(previous) = self.bell.replace(dialogue) {
            self.dialogues.remove(&previous);
        }
        let world = Rc::clone(&self.world);
        let (story, turn) = Dialogue::open(now, |host| async move { wake::ring(host, world, rules).await });
        self.keep(dialogue, story, turn)
    }

    /// Says that the last ring reached no agent, and that there is none before `again`.
    pub fn not_rung(&mut self, why: String, again: Instant) {
        self.world.wake.not_rung(why, again);
    }

    /// What became of the messages that the agent has not seen.
    #[must_use]
    pub fn wake_state(&self, now: Instant) -> Vec<WakeState> {
        wake::state(&self.world, now)
    }

    /// Registers and beats, as far as that is due: for hosts that have no presence of their own. Finishes with `done`.
    pub fn attend(&mut self, dialogue: u64, workspace: Workspace, card: Card, now: Instant) -> Turn {
        let world = Rc::clone(&self.world);
        let (story, turn) =
            Dialogue::open(now, |host| async move { presence::attend(host, world, workspace, card).await });
        self.keep(dialogue, story, turn)
    }

    /// How it stands with the platform, as far as [`Self::attend`] knows.
    #[must_use]
    pub fn presence(&self, workspace: Workspace) -> Presence {
        self.world.presence.borrow().get(&workspace).cloned().unwrap_or_default()
    }

    /// Says how it stands with the platform, from before this process.
    pub fn remember_presence(&mut self, workspace: Workspace, registered: bool, beaten: Option<Instant>) {
        let known = Presence::known(registered, beaten);
        self.world.presence.borrow_mut().insert(workspace, known);
    }

    /// Goes on with a dialogue; of an unknown one the turn is its end.
    pub fn resume(&mut self, dialogue: u64, outcome: Outcome, now: Instant) -> Turn {
        let Some(mut story) = self.dialogues.remove(&dialogue) else {
            return Turn { effects: Vec::new(), next: Next::Finish(Finish::Done) };
        };
        let turn = story.resume(outcome, now);
        self.keep(dialogue, story, turn)
    }

    /// Gives a dialogue up; what it still wants said comes back.
    pub fn cancel(&mut self, dialogue: u64, now: Instant) -> Vec<Effect> {
        self.dialogues.remove(&dialogue).map(|story| story.cancel(now)).unwrap_or_default()
    }

    fn keep(&mut self, dialogue: u64, story: Dialogue, turn: Turn) -> Turn {
        if !matches!(turn.next, Next::Finish(_)) {
            self.dialogues.insert(dialogue, story);
        }
        turn
    }
}
