//! Memories at the newest level: in a plugin, by namespaces.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::Call;
use crate::http::{Answer, Response};
use crate::ids::database_uuid;
use crate::memory::{Memory, Scope};
use crate::platform::Platform;
use crate::words;

const PAGE: usize = 50;
const PAGE_MAX: usize = 100;
const KINDS: [&str; 3] = ["fact", "summary", "checkpoint"];

/// A place for memories, as one workspace sees it.
struct Namespace {
    kind: &'static str,
    name: String,
    label: String,
    writable: bool,
}

pub(crate) fn no_plugin() -> Response {
    Response::error(503, "memory plugin is not configured (set MEMORY_PLUGIN_URL)")
}

impl Platform {
    pub(crate) fn require_plugin(&self) -> Result<(), Response> {
        if self.switches.memory_plugin { Ok(()) } else { Err(no_plugin()) }
    }

    pub(crate) fn plugin_namespaces(&self, id: &str) -> Answer {
        self.require_plugin()?;
        let namespaces = self.namespaces(id)?;
        let shown = |namespace: &Namespace| json!({ "kind": namespace.kind, "label": namespace.label, "name": namespace.name });
        let readable: Vec<Value> = namespaces.iter().map(shown).collect();
        let writable: Vec<Value> =
            namespaces.iter().filter(|namespace| namespace.writable).map(shown).collect();
        Ok(Response::json(200, json!({ "readable": readable, "writable": writable })))
    }

    /// What a workspace may read: its own, its team's, and the whole tree's.
    fn namespaces(&self, id: &str) -> Result<[Namespace; 3], Response> {
        let failed = || Response::error(500, "failed to resolve namespaces");
        let own = self.workspaces.find(id).ok_or_else(failed)?;
        let team = own.parent.unwrap_or(own.id);
        let root = self.workspaces.root_of(own.id);
        let label = |word: &str, id: Uuid| format!("{word} ({})", self.name_of(id));
        let place = |kind, word: &str, id: Uuid, writable| Namespace {
            kind,
            name: format!("{kind}:{id}"),
            label: label(word, id),
            writable,
        };
        Ok([
            place("workspace", "Workspace", own.id, true),
            place("team", "Team", team, true),
            place("org", "Org", root, root == own.id),
        ])
    }

    /// The namespace that a memory was written to.
    fn namespace_of(&self, memory: &Memory) -> String {
        let parent = self.workspaces.get(memory.workspace).and_then(|workspace| workspace.parent);
        match memory.scope {
            Scope::Global => format!("org:{}", self.workspaces.root_of(memory.workspace)),
            Scope::Local => format!("workspace:{}", memory.workspace),
            Scope::Team => format!("team:{}", parent.unwrap_or(memory.workspace)),
        }
    }

    /// All that a workspace may read, newest first.
    fn readable(&self, id: &str) -> Result<Vec<(&Memory, String)>, Response> {
        let namespaces = self.namespaces(id)?;
        let places = self.memories.newest_first().map(|memory| (memory, self.namespace_of(memory)));
        let readable = |name: &str| namespaces.iter().any(|namespace| namespace.name == name);
        Ok(places.filter(|(_, name)| readable(name)).collect())
    }

    /// The older endpoint looks at no parameter.
    pub(crate) fn recall_from_plugin(&self, id: &str) -> Answer {
        self.require_plugin()?;
        let found = self.searched(id)?;
        let shown = found.into_iter().take(PAGE).map(|(memory, _)| {
            json!({
                "content": memory.content,
                "created_at": memory.created_at.to_second().rfc3339(),
                "id": memory.id.to_string(),
                "scope": memory.scope.as_str(),
            })
        });
        Ok(Response::json(200, shown.collect()))
    }

    fn searched(&self, id: &str) -> Result<Vec<(&Memory, String)>, Response> {
        if self.memories.down { Err(search_failed()) } else { self.readable(id) }
    }

    pub(crate) fn plugin_memories(&self, call: &Call, id: &str) -> Answer {
        self.require_plugin()?;
        let kind = call.filled("kind");
        if kind.is_some_and(|kind| !KINDS.contains(&kind)) {
            return Err(search_failed());
        }
        let namespace = call.filled("namespace");
        let query = call.filled("q");
        let limit = call.query("limit").and_then(|text| text.parse::<usize>().ok());
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(PAGE).min(PAGE_MAX);
        let mut found: Vec<(usize, Value)> = Vec::new();
        for (memory, name) in self.searched(id)? {
            let wanted =
                namespace.is_none_or(|wanted| wanted == name) && kind.is_none_or(|kind| kind == "fact");
            if let Some(rank) = rank(memory, query).filter(|_| wanted) {
                found.push((rank, item(memory, &name, (rank > 0).then_some(rank))));
            }
        }
        found.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        let memories: Vec<Value> = found.into_iter().take(limit).map(|(_, item)| item).collect();
        Ok(Response::json(200, json!({ "memories": memories })))
    }

    /// Only what is in the workspace's own namespace can be deleted.
    pub(crate) fn forget_plugin_memory(&mut self, id: &str, memory: &str) -> Answer {
        self.require_plugin()?;
        let memory = database_uuid(memory).filter(|_| !self.memories.down);
        let memory = memory.ok_or_else(|| Response::error(502, "memory plugin delete failed"))?;
        let gone = || Response::error(404, "memory not found");
        let own = database_uuid(id).ok_or_else(gone)?;
        let known = self.memories.of(own).any(|known| known.id == memory && known.scope == Scope::Local);
        if !known || !self.memories.forget(memory) {
            return Err(gone());
        }
        Ok(Response::json(200, json!({ "status": "deleted" })))
    }
}

fn search_failed() -> Response {
    Response::error(502, "memory plugin search failed")
}

/// One character is looked for as it is, more as English words; those have a rank above 0.
fn rank(memory: &Memory, query: Option<&str>) -> Option<usize> {
    match query {
        None => Some(0),
        Some(short) if short.len() < 2 => words::matches_like(&memory.content, short).then_some(0),
        Some(words) => words::rank(&memory.content, words).map(|rank| rank.max(1)),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rank is a count of words")]
fn item(memory: &Memory, namespace: &str, rank: Option<usize>) -> Value {
    let mut item = json!({
        "content": memory.content,
        "created_at": memory.created_at.rfc3339(),
        "id": memory.id.to_string(),
        "kind": "fact",
        "namespace": namespace,
        "pin": false,
        "source": "user",
        "source_workspace_id": memory.workspace.to_string(),
    });
    if let Some(rank) = rank {
        crate::json::put(&mut item, "score", json!(0.1 - 0.04 / rank as f64));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;
    use crate::switches::Level;
    use crate::testing::Stage;

    fn remember(stage: &mut Stage, content: &str, scope: &str) -> String {
        let (status, answer) = stage.post("/memories", &json!({ "content": content, "scope": scope }));
        assert_eq!(status, 201, "{answer}");
        answer["id"].as_str().unwrap_or_default().to_owned()
    }

    fn contents(stage: &mut Stage, query: &str) -> Vec<String> {
        let found = stage.get(&format!("/v2/memories?{query}")).1;
        let items = found["memories"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["content"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn memories_are_found_by_namespace_and_by_all_words() {
        let mut stage = Stage::new(Level::Newest);
        remember(&mut stage, "we deploy on friday", "LOCAL");
        remember(&mut stage, "the team deploys", "TEAM");
        let own = stage.own.id;

        assert_eq!(contents(&mut stage, "q=deploying"), ["the team deploys", "we deploy on friday"]);
        assert_eq!(contents(&mut stage, "q=deploy%20friday"), ["we deploy on friday"]);
        assert_eq!(contents(&mut stage, &format!("namespace=workspace:{own}")), ["we deploy on friday"]);
        assert!(contents(&mut stage, "namespace=LOCAL").is_empty());
        assert_eq!(stage.get("/v2/memories?kind=odd").0, 502);
    }

    #[test]
    fn a_child_reads_the_memories_of_its_team_and_of_the_tree() {
        let mut stage = Stage::new(Level::Newest);
        for scope in ["LOCAL", "TEAM", "GLOBAL"] {
            remember(&mut stage, scope, scope);
        }
        let peer = stage.peer.clone();
        let path = format!("/workspaces/{}/memories", peer.id);

        let seen = stage.answer(&Request::new("GET", &path).bearer(&peer.token)).body_json();

        let seen: Vec<_> = seen.as_array().unwrap().iter().map(|item| item["content"].clone()).collect();
        assert_eq!(seen, [json!("GLOBAL"), json!("TEAM")]);
        let write = Request::new("POST", &path).bearer(&peer.token);
        let write = write.json(&json!({ "content": "x", "scope": "GLOBAL" }));
        assert_eq!(stage.answer(&write).status, 403);
    }

    #[test]
    fn only_own_local_memories_can_be_deleted_and_the_older_route_is_gone() {
        let mut stage = Stage::new(Level::Newest);
        let (local, team) = (remember(&mut stage, "x", "LOCAL"), remember(&mut stage, "y", "TEAM"));
        let own = stage.own.clone();
        let mut delete = |path: &str| {
            let path = format!("/workspaces/{}{path}", own.id);
            stage.answer(&Request::new("DELETE", &path).bearer(&own.token)).status
        };

        assert_eq!(delete(&format!("/memories/{local}")), 404);
        assert_eq!(delete(&format!("/v2/memories/{team}")), 404);
        assert_eq!(delete(&format!("/v2/memories/{local}")), 200);
        assert_eq!(delete(&format!("/v2/memories/{local}")), 404);
        assert_eq!(delete("/v2/memories/x"), 502);
    }

    #[test]
    fn without_the_plugin_there_are_no_memories() {
        let mut stage = Stage::new(Level::Newest);
        stage.platform.switches_mut().memory_plugin = false;
        let memory = json!({ "content": "x", "scope": "LOCAL" });

        assert_eq!(stage.post("/memories", &memory).0, 503);
        assert_eq!(stage.post("/memories", &json!({})).0, 400);
        for path in ["/memories", "/v2/memories", "/v2/namespaces"] {
            assert_eq!(stage.get(path).0, 503, "{path}");
        }
    }
}
