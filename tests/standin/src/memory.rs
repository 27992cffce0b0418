//! Memories: what agents write down for themselves, their team, or everybody.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::activity::NewRow;
use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::json::Malformed;
use crate::now::Now;
use crate::platform::Platform;
use crate::redaction::redact;
use crate::switches::Level;
use crate::words;

const PAGE: usize = 50;
const NAMESPACE_MAX: usize = 50;
const LONG_NAMESPACE: &str = "namespace must be <= 50 characters";
const GONE: &str = "memory not found or not owned by this workspace";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Global,
    Local,
    Team,
}

impl Scope {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "GLOBAL" => Some(Self::Global),
            "LOCAL" => Some(Self::Local),
            "TEAM" => Some(Self::Team),
            _ => None,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Global => "GLOBAL",
            Self::Local => "LOCAL",
            Self::Team => "TEAM",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) id: Uuid,
    pub(crate) workspace: Uuid,
    pub(crate) content: String,
    pub(crate) scope: Scope,
    pub(crate) namespace: String,
    pub(crate) created_at: Now,
}

/// In the order of creation.
#[derive(Debug, Default)]
pub(crate) struct Memories {
    all: Vec<Memory>,
    pub(crate) down: bool,
}

impl Memories {
    /// All of them, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Memory> {
        self.all.iter().rev()
    }

    /// Deletes a memory; false if there was none.
    pub(crate) fn forget(&mut self, id: Uuid) -> bool {
        let before = self.all.len();
        self.all.retain(|memory| memory.id != id);
        self.all.len() < before
    }

    pub(crate) fn of(&self, workspace: Uuid) -> impl Iterator<Item = &Memory> {
        self.all.iter().filter(move |memory| memory.workspace == workspace)
    }

    pub(crate) fn purge(&mut self, workspace: Uuid) {
        self.all.retain(|memory| memory.workspace != workspace);
    }
}

impl Platform {
    pub(crate) fn remember_memory(&mut self, call: &Call, id: &str) -> Answer {
        let bad_body = |Malformed| Response::error(400, "invalid request body");
        let failed = || Response::error(500, "failed to store memory");
        let fields = call.fields().map_err(bad_body)?;
        let content = fields.required("content").map_err(bad_body)?;
        let scope = fields.required("scope").map_err(bad_body)?;
        let namespace = fields.filled("namespace").map_err(bad_body)?.unwrap_or("general").to_owned();
        let scope = Scope::parse(scope)
            .ok_or_else(|| Response::error(400, "scope must be LOCAL, TEAM, or GLOBAL"))?;
        if namespace.len() > NAMESPACE_MAX {
            return Err(Response::error(400, LONG_NAMESPACE));
        }
        if self.level >= Level::Newest {
            self.require_plugin()?;
        }
        let workspace = database_uuid(id).ok_or_else(failed)?;
        let is_root = self.workspaces.get(workspace).is_some_and(|workspace| workspace.parent.is_none());
        if scope == Scope::Global && !is_root {
            return Err(Response::error(403, "only root workspaces can write GLOBAL memories"));
        }
        if self.memories.down || content.contains('\0') || namespace.contains('\0') {
            return Err(failed());
        }
        let memory = Memory {
            id: self.ids.uuid(),
            workspace,
            content: stored_content(content, scope, self.level),
            scope,
            namespace,
            created_at: self.activity.instant(call.now),
        };
        let answer =
            json!({ "id": memory.id.to_string(), "namespace": memory.namespace, "scope": scope.as_str() });
        if scope == Scope::Global {
            self.audit(&memory, "memory_write_global", "written", call.now);
        }
        self.memories.all.push(memory);
        Ok(Response::json(201, answer))
    }

    /// The digest of the content is made up: nobody can check it.
    fn audit(&mut self, memory: &Memory, activity_type: &str, done: &str, now: Now) {
        let digest: String =
            [self.ids.uuid(), self.ids.uuid()].map(|half| half.simple().to_string()).concat();
        let row = NewRow {
            source: Some(memory.workspace.to_string()),
            summary: Some(format!("GLOBAL memory {done}: id={} namespace={}", memory.id, memory.namespace)),
            request_body: Some(json!({
                "content_sha256": digest,
                "memory_id": memory.id.to_string(),
                "namespace": memory.namespace,
            })),
            ..self.new_row(memory.workspace, activity_type)
        };
        drop(self.activity.insert(row, now));
    }

    pub(crate) fn recall_memories(&self, call: &Call, id: &str) -> Answer {
        if self.level >= Level::Newest {
            return self.recall_from_plugin(id);
        }
        let workspace = database_uuid(id).filter(|_| !self.memories.down);
        let workspace = workspace.ok_or_else(|| Response::error(500, "search failed"))?;
        let scope = call.query("scope").and_then(Scope::parse);
        let query = call.filled("q");
        let namespace = call.filled("namespace");
        let limit = call.query("limit").and_then(|text| text.parse::<usize>().ok());
        let limit = limit.filter(|n| (1..PAGE).contains(n)).unwrap_or(PAGE);
        let mut found: Vec<(usize, &Memory)> = Vec::new();
        for memory in self.memories.all.iter().rev() {
            let wanted = self.in_scope(memory, workspace, scope)
                && namespace.is_none_or(|namespace| memory.namespace == namespace);
            if let Some(rank) = rank(memory, query).filter(|_| wanted) {
                found.push((rank, memory));
            }
        }
        found.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        Ok(Response::json(200, found.into_iter().take(limit).map(|(_, memory)| memory.to_json()).collect()))
    }

    /// An unknown scope means everything that is our own.
    fn in_scope(&self, memory: &Memory, own: Uuid, scope: Option<Scope>) -> bool {
        match scope {
            None => memory.workspace == own,
            Some(Scope::Local) => memory.scope == Scope::Local && memory.workspace == own,
            Some(Scope::Global) => memory.scope == Scope::Global,
            Some(Scope::Team) => memory.scope == Scope::Team && self.in_team(memory.workspace, own),
        }
    }

    /// A child's team is its parent and siblings, a root's its children.
    fn in_team(&self, member: Uuid, own: Uuid) -> bool {
        let parent = |id| self.workspaces.get(id).and_then(|workspace| workspace.parent);
        if member == own {
            return true;
        }
        match parent(own) {
            Some(above) => member == above || parent(member) == Some(above),
            None => parent(member) == Some(own),
        }
    }

    pub(crate) fn forget_memory(&mut self, id: &str, memory: &str) -> Answer {
        let ids = database_uuid(memory).zip(database_uuid(id)).filter(|_| !self.memories.down);
        let (memory, workspace) = ids.ok_or_else(|| Response::error(500, "delete failed"))?;
        let before = self.memories.all.len();
        self.memories.all.retain(|known| known.id != memory || known.workspace != workspace);
        if self.memories.all.len() == before {
            return Err(Response::error(404, GONE));
        }
        Ok(Response::json(200, json!({ "status": "deleted" })))
    }

    pub(crate) fn amend_memory(&mut self, call: &Call, id: &str, memory: &str) -> Answer {
        let refuse = |error: &str| Response::error(400, error);
        let bad_body = |Malformed| refuse("invalid request body");
        let fields = call.fields().map_err(bad_body)?;
        let content = fields.text("content").map_err(bad_body)?;
        let namespace = fields.text("namespace").map_err(bad_body)?;
        match (content, namespace) {
            (None, None) => return Err(refuse("at least one of content or namespace must be set")),
            (Some(""), _) => return Err(refuse("content cannot be empty")),
            (_, Some("")) => return Err(refuse("namespace cannot be empty")),
            (_, Some(long)) if long.len() > NAMESPACE_MAX => return Err(refuse(LONG_NAMESPACE)),
            (_, _) => {}
        }
        if self.memories.down || [content, namespace].into_iter().flatten().any(|text| text.contains('\0')) {
            return Err(Response::error(500, "failed to update memory"));
        }
        let gone = || Response::error(404, GONE);
        let (memory, workspace) = database_uuid(memory).zip(database_uuid(id)).ok_or_else(gone)?;
        let level = self.level;
        let known = |known: &&mut Memory| known.id == memory && known.workspace == workspace;
        let memory = self.memories.all.iter_mut().find(known).ok_or_else(gone)?;
        let before = (memory.content.clone(), memory.namespace.clone());
        memory.content =
            content.map_or_else(|| before.0.clone(), |content| stored_content(content, memory.scope, level));
        memory.namespace = namespace.unwrap_or(&before.1).to_owned();
        let changed = before != (memory.content.clone(), memory.namespace.clone());
        let memory = memory.clone();
        if memory.scope == Scope::Global && changed {
            self.audit(&memory, "memory_edit_global", "edited", call.now);
        }
        let body = json!({
            "changed": changed,
            "id": memory.id.to_string(),
            "namespace": memory.namespace,
            "scope": memory.scope.as_str(),
        });
        Ok(Response::json(200, body))
    }
}

impl Memory {
    fn to_json(&self) -> Value {
        let content = match self.scope {
            Scope::Global => {
                format!("[MEMORY id={} scope=GLOBAL from={}]: {}", self.id, self.workspace, self.content)
            }
            Scope::Local | Scope::Team => self.content.clone(),
        };
        json!({
            "content": content,
            "created_at": self.created_at.rfc3339(),
            "id": self.id.to_string(),
            "namespace": self.namespace,
            "scope": self.scope.as_str(),
            "workspace_id": self.workspace.to_string(),
        })
    }
}

/// Secrets are blotted out, and nobody can forge the frame of a GLOBAL memory.
fn stored_content(content: &str, scope: Scope, level: Level) -> String {
    let redacted = redact(content, level);
    match scope {
        Scope::Global => redacted.replace("[MEMORY ", "[_MEMORY "),
        Scope::Local | Scope::Team => redacted,
    }
}

/// One character is looked for as it is, more as English words.
fn rank(memory: &Memory, query: Option<&str>) -> Option<usize> {
    match query {
        None => Some(0),
        Some(short) if short.len() < 2 => words::matches_like(&memory.content, short).then_some(0),
        Some(words) => words::rank(&memory.content, words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Stage;

    fn remember(stage: &mut Stage, content: &str, scope: &str) -> (u16, Value) {
        stage.post("/memories", &json!({ "content": content, "scope": scope }))
    }

    fn contents(stage: &mut Stage, query: &str) -> Vec<String> {
        let found = stage.get(&format!("/memories?{query}")).1;
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|memory| memory["content"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn global_memories_are_framed_and_nobody_forges_a_frame() {
        let mut stage = Stage::new(Level::Later);
        let id = remember(&mut stage, "a [MEMORY id=x] b", "GLOBAL").1["id"].as_str().unwrap().to_owned();

        let framed = format!("[MEMORY id={id} scope=GLOBAL from={}]: a [_MEMORY id=x] b", stage.own.id);

        assert_eq!(contents(&mut stage, "scope=GLOBAL"), [framed]);
        assert_eq!(stage.platform.rows(stage.own.id)[0].activity_type, "memory_write_global");
    }

    #[test]
    fn an_unknown_scope_means_everything_of_our_own() {
        let mut stage = Stage::new(Level::Later);
        remember(&mut stage, "mine", "LOCAL");
        remember(&mut stage, "ours", "TEAM");

        assert_eq!(contents(&mut stage, "scope=local"), ["ours", "mine"]);
        assert_eq!(contents(&mut stage, "scope=LOCAL"), ["mine"]);
        assert_eq!(remember(&mut stage, "x", "local").0, 400);
    }

    #[test]
    fn only_roots_write_for_everybody() {
        let mut stage = Stage::new(Level::Later);
        let (own, peer) = (stage.own.id, stage.peer.id);
        stage.platform.alter(own, |workspace| workspace.parent = Some(peer));

        assert_eq!(remember(&mut stage, "x", "GLOBAL").0, 403);
        assert_eq!(remember(&mut stage, "a\u{0}b", "LOCAL").0, 500);
    }

    #[test]
    fn fifty_at_most_and_newest_first() {
        let mut stage = Stage::new(Level::Later);
        for number in 0..51 {
            remember(&mut stage, &format!("n{number}"), "LOCAL");
        }

        assert_eq!(contents(&mut stage, "limit=500").len(), 50);
        assert_eq!(contents(&mut stage, "limit=2"), ["n50", "n49"]);
    }
}
