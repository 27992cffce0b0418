//! Workspaces as the platform stores them, and who may talk to whom.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::ids::database_uuid;
use crate::now::Now;
use crate::switches::Level;

/// How far apart ancestor and descendant may be.
const GENERATIONS: usize = 33;

/// How inbound messages reach a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The agent fetches them.
    Poll,
    /// The platform posts them to the agent.
    Push,
}

impl Mode {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "poll" => Some(Self::Poll),
            "push" => Some(Self::Push),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Push => "push",
        }
    }
}

/// The state of a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Waits for its agent's first sign of life, or went stale.
    AwaitingAgent,
    /// Reports errors.
    Degraded,
    /// Given up.
    Failed,
    /// Put to sleep.
    Hibernated,
    /// Being put to sleep.
    Hibernating,
    /// Not reachable.
    Offline,
    /// In order.
    Online,
    /// Stopped by the operator.
    Paused,
    /// Being started.
    Provisioning,
    /// Deleted.
    Removed,
}

impl Status {
    const ALL: [Self; 10] = [
        Self::AwaitingAgent,
        Self::Degraded,
        Self::Failed,
        Self::Hibernated,
        Self::Hibernating,
        Self::Offline,
        Self::Online,
        Self::Paused,
        Self::Provisioning,
        Self::Removed,
    ];

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The word used on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingAgent => "awaiting_agent",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Hibernated => "hibernated",
            Self::Hibernating => "hibernating",
            Self::Offline => "offline",
            Self::Online => "online",
            Self::Paused => "paused",
            Self::Provisioning => "provisioning",
            Self::Removed => "removed",
        }
    }
}

/// What the last heartbeat said; every beat overwrites all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Beat {
    /// Tasks in progress.
    pub active_tasks: i64,
    /// What the agent says it is doing.
    pub current_task: String,
    /// Between 0 and 1.
    pub error_rate: f64,
    /// `wedged` degrades the workspace.
    pub runtime_state: String,
    /// The last error.
    pub sample_error: String,
    /// Since the agent started.
    pub uptime_seconds: i64,
}

/// One agent identity.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its id.
    pub id: Uuid,
    /// The card it registered with, as stored.
    pub agent_card: Option<Value>,
    /// Its last heartbeat.
    pub beat: Beat,
    /// Whether it may send broadcasts.
    pub broadcast_enabled: bool,
    /// Whether it may delegate, and send to other workspaces.
    pub can_delegate: bool,
    /// Cents per month.
    pub budget_limit: Option<i64>,
    /// Whether the canvas shows it folded.
    pub collapsed: bool,
    /// When it was created.
    pub created_at: Now,
    /// How inbound messages reach it.
    pub delivery_mode: Mode,
    /// The bearer that the platform presents to the agent.
    pub inbound_secret: Option<String>,
    /// Last register or heartbeat.
    pub last_heartbeat_at: Option<Now>,
    /// Last message it got through to a push-mode agent.
    pub last_outbound_at: Option<Now>,
    /// Tasks it takes at a time.
    pub max_concurrent_tasks: i64,
    /// Cents this month.
    pub monthly_spend: i64,
    /// Its name.
    pub name: String,
    /// Its parent in the hierarchy.
    pub parent: Option<Uuid>,
    /// When it was removed.
    pub removed_at: Option<Now>,
    /// Its role.
    pub role: Option<String>,
    /// `external` for ours.
    pub runtime: String,
    /// Its state.
    pub status: Status,
    /// Whether it may notify the user.
    pub talk_to_user_enabled: bool,
    /// Its tier.
    pub tier: i64,
    /// Where its agent listens.
    pub url: Option<String>,
    /// Its directory on the platform's host.
    pub workspace_dir: Option<String>,
    /// Where the canvas shows it.
    pub position: (f64, f64),
    pub(crate) capabilities: BTreeMap<String, bool>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) loaded_mcp_tools: Vec<String>,
    /// Its URL as discovery remembers it, and until when.
    pub(crate) cached_url: Option<(String, Now)>,
}

impl Workspace {
    pub(crate) fn new(id: Uuid, name: &str, now: Now) -> Self {
        Self {
            id,
            agent_card: None,
            beat: Beat::default(),
            broadcast_enabled: false,
            budget_limit: None,
            can_delegate: true,
            collapsed: false,
            created_at: now,
            delivery_mode: Mode::Push,
            inbound_secret: None,
            last_heartbeat_at: None,
            last_outbound_at: None,
            max_concurrent_tasks: 1,
            monthly_spend: 0,
            name: name.to_owned(),
            parent: None,
            removed_at: None,
            role: None,
            runtime: "langgraph".to_owned(),
            status: Status::Provisioning,
            talk_to_user_enabled: true,
            tier: 1,
            url: None,
            workspace_dir: None,
            position: (0.0, 0.0),
            capabilities: BTreeMap::new(),
            idle_timeout: None,
            loaded_mcp_tools: Vec::new(),
            cached_url: None,
        }
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.status == Status::Removed
    }

    pub(crate) fn has_capability(&self, name: &str) -> bool {
        self.capabilities.get(name) == Some(&true)
    }
}

/// All workspaces, removed ones included.
#[derive(Debug)]
pub(crate) struct Workspaces {
    all: BTreeMap<Uuid, Workspace>,
    /// Whether workspaces without a parent count as siblings.
    roots_are_siblings: bool,
}

impl Workspaces {
    pub(crate) fn new(level: Level) -> Self {
        Self { all: BTreeMap::new(), roots_are_siblings: level < Level::Newest }
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Workspace> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: Uuid) -> Option<&mut Workspace> {
        self.all.get_mut(&id)
    }

    /// Finds a workspace by an id in any spelling the database takes.
    pub(crate) fn find(&self, id: &str) -> Option<&Workspace> {
        self.get(database_uuid(id)?)
    }

    pub(crate) fn insert(&mut self, workspace: Workspace) {
        self.all.insert(workspace.id, workspace);
    }

    pub(crate) fn purge(&mut self, id: Uuid) {
        self.all.remove(&id);
    }

    /// The workspaces that are not removed, in the order of their creation.
    pub(crate) fn present(&self) -> Vec<&Workspace> {
        let mut present: Vec<_> = self.all.values().filter(|workspace| !workspace.is_removed()).collect();
        present.sort_by_key(|workspace| (workspace.created_at, workspace.id));
        present
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Workspace> {
        self.all.values_mut()
    }

    /// Every workspace below `id` that is not removed, nearest first.
    pub(crate) fn descendants(&self, id: Uuid) -> Vec<Uuid> {
        let mut found = Vec::new();
        let mut parents = vec![id];
        while !parents.is_empty() {
            let below =
                |workspace: &&&Workspace| workspace.parent.is_some_and(|parent| parents.contains(&parent));
            parents = self.present().iter().filter(below).map(|workspace| workspace.id).collect();
            parents.retain(|child| !found.contains(child));
            found.extend(&parents);
        }
        found
    }

    /// The hierarchy rule: oneself, siblings, ancestors and descendants; before the newest level all roots too.
    pub(crate) fn may_talk(&self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        let (Some(one), Some(other)) = (self.find(one), self.find(other)) else { return false };
        self.are_siblings(one, other) || self.is_above(one.id, other.id) || self.is_above(other.id, one.id)
    }

    pub(crate) fn are_siblings(&self, one: &Workspace, other: &Workspace) -> bool {
        one.parent == other.parent && (one.parent.is_some() || self.roots_are_siblings)
    }

    /// The workspace at the top of the hierarchy.
    pub(crate) fn root_of(&self, id: Uuid) -> Uuid {
        let parent = |id: &Uuid| self.get(*id).and_then(|workspace| workspace.parent);
        std::iter::successors(Some(id), parent).take(GENERATIONS + 1).last().unwrap_or(id)
    }

    fn is_above(&self, ancestor: Uuid, descendant: Uuid) -> bool {
        let parent = |id: &Uuid| self.get(*id).and_then(|workspace| workspace.parent);
        std::iter::successors(Some(descendant), parent).take(GENERATIONS + 1).any(|id| id == ancestor)
    }
}
