//! Which endpoint a method and a path name.

use percent_encoding::percent_decode_str;

use crate::switches::Level;

/// A path, decoded and cut at its slashes.
pub(crate) struct Segments(Vec<String>);

impl Segments {
    pub(crate) fn of(path: &str) -> Self {
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let inner = decoded.strip_prefix('/').unwrap_or(&decoded);
        Self(inner.split('/').map(str::to_owned).collect())
    }

    pub(crate) fn as_text(&self) -> String {
        format!("/{}", self.0.join("/"))
    }

    fn parts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

/// An endpoint with the ids from its path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Abilities(&'a str),
    BuildInfo,
    CheckAccess,
    Create,
    Delete(&'a str),
    Discover(&'a str),
    Health,
    Heartbeat,
    Identity,
    List,
    Metrics,
    MintToken(&'a str),
    Own(&'a str, Own<'a>),
    Peers(&'a str),
    QueueStatus(&'a str),
    Read(&'a str),
    Register,
    Send(&'a str),
    TestToken(&'a str),
    UpdateCard,
    UploadLimits,
    WebSocket,
}

/// An endpoint behind the workspace gate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Own<'a> {
    Acknowledge(&'a str),
    Activity,
    AmendMemory(&'a str),
    Broadcast,
    ChatHistory,
    Connection,
    Content(&'a str),
    Delegate,
    Delegations,
    Download,
    ForgetMemory(&'a str),
    ForgetPluginMemory(&'a str),
    MemoryPlugin,
    MintToken,
    Namespaces,
    Notify,
    PluginMemories,
    RecallMemories,
    RecordDelegation,
    RememberMemory,
    Report,
    Restart,
    RevokeToken(&'a str),
    Rotate,
    Search,
    State,
    Stream,
    Tokens,
    Update,
    UpdateDelegation(&'a str),
    Upload,
}

pub(crate) fn route<'a>(level: Level, method: &str, path: &'a Segments) -> Option<Route<'a>> {
    find(level, method, &path.parts())
}

/// Where to go instead, if only a trailing slash is wrong with the path.
pub(crate) fn redirect(level: Level, method: &str, path: &Segments) -> Option<String> {
    let parts = path.parts();
    let (last, bare) = parts.split_last()?;
    let known = last.is_empty() && find(level, method, bare).is_some();
    known.then(|| format!("/{}", bare.join("/")))
}

fn find<'a>(level: Level, method: &str, path: &[&'a str]) -> Option<Route<'a>> {
    if path.iter().any(|part| part.is_empty()) {
        return None;
    }
    match (method, path) {
        ("GET", ["health"]) => Some(Route::Health),
        ("GET", ["buildinfo"]) => Some(Route::BuildInfo),
        ("GET", ["metrics"]) => Some(Route::Metrics),
        ("GET", ["ws"]) => Some(Route::WebSocket),
        ("GET", ["uploads", "limits"]) if level >= Level::Later => Some(Route::UploadLimits),
        ("GET", ["org", "identity"]) if level >= Level::Newest => Some(Route::Identity),
        ("POST", ["admin", "workspaces", id, "tokens"]) if level >= Level::Newest => {
            Some(Route::MintToken(id))
        }
        ("GET", ["admin", "workspaces", id, "test-token"]) if level < Level::Newest => {
            Some(Route::TestToken(id))
        }
        ("POST", ["registry", "register"]) => Some(Route::Register),
        ("POST", ["registry", "heartbeat"]) => Some(Route::Heartbeat),
        ("POST", ["registry", "update-card"]) => Some(Route::UpdateCard),
        ("POST", ["registry", "check-access"]) => Some(Route::CheckAccess),
        ("GET", ["registry", "discover", id]) => Some(Route::Discover(id)),
        ("GET", ["registry", id, "peers"]) => Some(Route::Peers(id)),
        ("POST", ["workspaces"]) => Some(Route::Create),
        ("GET", ["workspaces"]) => Some(Route::List),
        ("GET", ["workspaces", id]) => Some(Route::Read(id)),
        ("DELETE", ["workspaces", id]) => Some(Route::Delete(id)),
        ("PATCH", ["workspaces", id, "abilities"]) if level >= Level::Later => Some(Route::Abilities(id)),
        ("POST", ["workspaces", id, "a2a"]) => Some(Route::Send(id)),
        ("GET", ["workspaces", _, "a2a", "queue", entry]) => Some(Route::QueueStatus(entry)),
        (_, ["workspaces", id, rest @ ..]) => {
            let own = match level {
                Level::Baseline => own(method, rest).or_else(|| own_memory(method, rest)),
                Level::Later => own(method, rest)
                    .or_else(|| own_memory(method, rest))
                    .or_else(|| own_later(method, rest))
                    .or_else(|| own_later_memory(method, rest)),
                Level::Newest => own(method, rest)
                    .or_else(|| own_later(method, rest))
                    .or_else(|| own_newest_memory(method, rest)),
            };
            Some(Route::Own(id, own?))
        }
        _ => None,
    }
}

fn own<'a>(method: &str, path: &[&'a str]) -> Option<Own<'a>> {
    match (method, path) {
        ("PATCH", []) => Some(Own::Update),
        ("GET", ["state"]) => Some(Own::State),
        ("POST", ["restart"]) => Some(Own::Restart),
        ("POST", ["tokens"]) => Some(Own::MintToken),
        ("GET", ["tokens"]) => Some(Own::Tokens),
        ("DELETE", ["tokens", id]) => Some(Own::RevokeToken(id)),
        ("GET", ["activity"]) => Some(Own::Activity),
        ("POST", ["activity"]) => Some(Own::Report),
        ("GET", ["session-search"]) => Some(Own::Search),
        ("POST", ["delegate"]) => Some(Own::Delegate),
        ("GET", ["delegations"]) => Some(Own::Delegations),
        ("POST", ["delegations", "record"]) => Some(Own::RecordDelegation),
        ("POST", ["delegations", id, "update"]) => Some(Own::UpdateDelegation(id)),
        ("POST", ["notify"]) => Some(Own::Notify),
        ("POST", ["chat", "uploads"]) => Some(Own::Upload),
        ("GET", ["chat", "download"]) => Some(Own::Download),
        ("POST", ["memories"]) => Some(Own::RememberMemory),
        ("GET", ["memories"]) => Some(Own::RecallMemories),
        ("GET", ["events", "stream"]) => Some(Own::Stream),
        _ => None,
    }
}

fn own_later<'a>(method: &str, path: &[&'a str]) -> Option<Own<'a>> {
    match (method, path) {
        ("POST", ["external", "rotate"]) => Some(Own::Rotate),
        ("GET", ["external", "connection"]) => Some(Own::Connection),
        ("GET", ["chat-history"]) => Some(Own::ChatHistory),
        ("GET", ["pending-uploads", file, "content"]) => Some(Own::Content(file)),
        ("POST", ["pending-uploads", file, "ack"]) => Some(Own::Acknowledge(file)),
        ("POST", ["broadcast"]) => Some(Own::Broadcast),
        _ => None,
    }
}

fn own_memory<'a>(method: &str, path: &[&'a str]) -> Option<Own<'a>> {
    match (method, path) {
        ("DELETE", ["memories", id]) => Some(Own::ForgetMemory(id)),
        _ => None,
    }
}

/// The plugin has routes, but is not configured.
fn own_later_memory<'a>(method: &str, path: &[&'a str]) -> Option<Own<'a>> {
    match (method, path) {
        ("PATCH", ["memories", id]) => Some(Own::AmendMemory(id)),
        ("GET", ["v2", "memories" | "namespaces"]) | ("DELETE", ["v2", "memories", _]) => {
            Some(Own::MemoryPlugin)
        }
        _ => None,
    }
}

/// Memories are in the plugin, and nowhere else.
fn own_newest_memory<'a>(method: &str, path: &[&'a str]) -> Option<Own<'a>> {
    match (method, path) {
        ("GET", ["v2", "namespaces"]) => Some(Own::Namespaces),
        ("GET", ["v2", "memories"]) => Some(Own::PluginMemories),
        ("DELETE", ["v2", "memories", id]) => Some(Own::ForgetPluginMemory(id)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_superfluous_slash_is_redirected() {
        let to = |method, path| redirect(Level::Baseline, method, &Segments::of(path));

        assert_eq!(to("POST", "/registry/heartbeat/").as_deref(), Some("/registry/heartbeat"));
        assert_eq!(to("HEAD", "/health/"), None);
        assert_eq!(to("GET", "//registry/register"), None);
    }

    #[test]
    fn later_routes_do_not_exist_at_the_baseline() {
        let path = Segments::of("/workspaces/w/chat-history");

        assert_eq!(route(Level::Baseline, "GET", &path), None);
        assert_eq!(route(Level::Later, "GET", &path), Some(Route::Own("w", Own::ChatHistory)));
    }
}
