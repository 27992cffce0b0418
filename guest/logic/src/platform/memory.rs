//! What a workspace has committed to memory.
//!
//! Platforms of three ages differ. All of them take a memory by `POST memories`. The newest ones are
//! asked by `GET v2/memories`, where a memory lies in a namespace; the others by `GET memories`,
//! where it has a scope. Some have no memory at all, and say so.

use serde_json::{Map, Value, json};

use super::{Limits, MIB, PlatformError, READ, fetch, get, post, read, send_again_if_unsent};
use crate::{dialogue::Host, wire::Workspace};

/// Several dozen memories, some of them long.
const SEARCH: Limits = Limits { body_bytes: 8 * MIB, ..READ };

/// Who can read a memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scope {
    /// This workspace.
    Local,
    /// Its parent, and the parent's children.
    Team,
    /// The whole organisation.
    Global,
}

impl Scope {
    const ALL: [Self; 3] = [Self::Local, Self::Team, Self::Global];

    /// The scope of this name, in any spelling.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name().eq_ignore_ascii_case(name.trim()))
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Local => "LOCAL",
            Self::Team => "TEAM",
            Self::Global => "GLOBAL",
        }
    }

    /// The kind of the namespace that holds it.
    const fn kind(self) -> &'static str {
        match self {
            Self::Local => "workspace",
            Self::Team => "team",
            Self::Global => "org",
        }
    }
}

/// A memory as it was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Memory {
    /// Not told by every platform.
    pub(crate) scope: Option<Scope>,
    pub(crate) content: String,
    /// The workspace that wrote it; not told by every platform.
    pub(crate) writer: Option<String>,
}

/// Why memory could not be used.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MemoryError {
    Failed(PlatformError),
    /// A success, but not a list.
    NoList(Value),
    /// This platform has no memory.
    SwitchedOff,
}

impl From<PlatformError> for MemoryError {
    fn from(why: PlatformError) -> Self {
        match why {
            PlatformError::Status { status: 503, ref said, .. }
                if said.contains("memory plugin is not configured") =>
            {
                Self::SwitchedOff
            }
            PlatformError::Overflowed
            | PlatformError::Refused(_)
            | PlatformError::Shape(_)
            | PlatformError::Status { .. }
            | PlatformError::Unreachable { .. } => Self::Failed(why),
        }
    }
}

/// Saves a memory of `id`: its own id, or null where the platform tells none.
///
/// Every call that arrives saves it again, so after a lost answer it is not repeated.
pub(crate) async fn save(
    host: &Host,
    workspace: Workspace,
    id: &str,
    content: &str,
    scope: Scope,
) -> Result<Value, MemoryError> {
    let body = json!({ "content": content, "scope": scope.name(), "workspace_id": id });
    let request = post(workspace, ["workspaces", id, "memories"], &body);
    let response = send_again_if_unsent(host, request).await?;
    let mut saved: Map<String, Value> = read(&response)?;
    Ok(saved.remove("id").unwrap_or_default())
}

/// The memories that `id` can read, best or newest first; without `query` all, without `scope` of
/// every scope. The platform gives some 50 at most.
pub(crate) async fn search(
    host: &Host,
    workspace: Workspace,
    id: &str,
    query: &str,
    scope: Option<Scope>,
) -> Result<Vec<Memory>, MemoryError> {
    match search_namespaces(host, workspace, id, query, scope).await {
        Ok(memories) => Ok(memories),
        // There are no namespaces here, or they are switched off.
        Err(PlatformError::Status { status: 404 | 503, .. } | PlatformError::Shape(_)) => {
            search_scopes(host, workspace, id, query, scope).await
        }
        Err(
            why @ (PlatformError::Overflowed
            | PlatformError::Refused(_)
            | PlatformError::Status { .. }
            | PlatformError::Unreachable { .. }),
        ) => Err(why.into()),
    }
}

async fn search_namespaces(
    host: &Host,
    workspace: Workspace,
    id: &str,
    query: &str,
    scope: Option<Scope>,
) -> Result<Vec<Memory>, PlatformError> {
    let mut request = get(workspace, ["workspaces", id, "v2", "memories"]);
    request.limits = SEARCH;
    if let Some(scope) = scope {
        let Some(namespace) = namespace(host, workspace, id, scope).await? else {
            return Ok(Vec::new());
        };
        request.query.push(("namespace".to_owned(), namespace));
    }
    if !query.is_empty() {
        request.query.push(("q".to_owned(), query.to_owned()));
    }
    let found = list(fetch(host, request).await?, "memories")?;
    Ok(found.iter().filter_map(|row| memory(row, "source_workspace_id")).collect())
}

/// The full name of the namespace in which `id` reads memories of `scope`, if there is one.
async fn namespace(
    host: &Host,
    workspace: Workspace,
    id: &str,
    scope: Scope,
) -> Result<Option<String>, PlatformError> {
    let request = get(workspace, ["workspaces", id, "v2", "namespaces"]);
    let readable = list(fetch(host, request).await?, "readable")?;
    let named = readable.iter().find(|namespace| namespace["kind"] == scope.kind());
    Ok(named.and_then(|namespace| namespace["name"].as_str()).map(str::to_owned))
}

async fn search_scopes(
    host: &Host,
    workspace: Workspace,
    id: &str,
    query: &str,
    scope: Option<Scope>,
) -> Result<Vec<Memory>, MemoryError> {
    let mut request = get(workspace, ["workspaces", id, "memories"]);
    request.limits = SEARCH;
    request.query.push(("workspace_id".to_owned(), id.to_owned()));
    if !query.is_empty() {
        request.query.push(("q".to_owned(), query.to_owned()));
    }
    if let Some(scope) = scope {
        request.query.push(("scope".to_owned(), scope.name().to_owned()));
    }
    let response = host.send(request).await.map_err(PlatformError::from)?;
    let found = match read(&response)? {
        Value::Array(rows) => rows,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            return Err(MemoryError::NoList(other));
        }
    };
    // The newest platforms ignore the parameters, and are known by rows without a namespace.
    let filtered = found.iter().any(|row| row.get("namespace").is_some_and(|name| !name.is_null()));
    let memories = found.iter().filter_map(|row| memory(row, "workspace_id"));
    Ok(memories.filter(|memory| filtered || matches(memory, query, scope)).collect())
}

/// The list `key` of an answer.
fn list(mut answer: Value, key: &str) -> Result<Vec<Value>, PlatformError> {
    match answer.get_mut(key).map(Value::take) {
        Some(Value::Array(rows)) => Ok(rows),
        Some(_) | None => Err(PlatformError::Shape(format!("has no list of {key}"))),
    }
}

/// Reads a row; `writer` is the key of the workspace that wrote it. Without a scope its namespace
/// tells the scope.
fn memory(row: &Value, writer: &str) -> Option<Memory> {
    let row = row.as_object()?;
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let kind = text("namespace").and_then(|namespace| namespace.split(':').next());
    let scope = text("scope")
        .and_then(Scope::parse)
        .or_else(|| Scope::ALL.into_iter().find(|scope| Some(scope.kind()) == kind));
    Some(Memory {
        scope,
        content: text("content").unwrap_or_default().to_owned(),
        writer: text(writer).map(str::to_owned),
    })
}

/// Whether a memory has every word of `query`, and the scope.
fn matches(memory: &Memory, query: &str, scope: Option<Scope>) -> bool {
    let content = memory.content.to_lowercase();
    (scope.is_none() || memory.scope == scope)
        && query.to_lowercase().split_whitespace().all(|word| content.contains(word))
}
