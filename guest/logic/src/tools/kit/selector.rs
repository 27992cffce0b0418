//! Which of the workspaces a call acts for: the one that the agent names, else the one that was written to.
//!
//! ```text
//! named ─────────────────────────────────────────────────► that one
//! not named: one workspace has a shown message of theirs ─► that one
//!            several have ────────────────────────────────► refused: the agent has to say which
//!            none has ──► where they wrote before ──► whose list has them ──► the primary one
//! ```
//!
//! A process that acts for one workspace has nothing to choose, and shows its agent no argument for it.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Failure, arguments::Text};
use crate::{inbox::Kind, text::untrusted, wire::Workspace, world::World};

/// What a schema says of an argument that only a process with several workspaces has.
const MARK: &str = "x-several-workspaces";

/// How many workspaces are asked in one call where none is named.
pub(in crate::tools) const MOST_ASKED: usize = 25;

/// How many ids an error repeats.
const IDS_SHOWN: usize = 10;

/// Shortest beginning of an id that stands for it: as long as the tags in lists.
const TAG_CHARS: usize = 8;

/// Longest wrong id that is repeated.
const ID_CHARS: usize = 64;

/// An argument that names one of the workspaces that the process acts for; empty: none is named.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(in crate::tools) struct Selector(Text);

impl JsonSchema for Selector {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Selector".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", (MARK): true })
    }
}

/// Leaves selectors out of the schema of arguments where there is nothing to select.
pub(in crate::tools) fn fit_schema(schema: &mut Value, acts_for_several: bool) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    properties.retain(|_, property| {
        let is_selector = property.as_object_mut().is_some_and(|property| property.remove(MARK).is_some());
        acts_for_several || !is_selector
    });
}

impl Selector {
    /// The workspace that is named, if one is; an error if this process does not act for it.
    pub(in crate::tools) fn named(&self, world: &World) -> Result<Option<Workspace>, Failure> {
        let id = self.0.0.trim();
        if id.is_empty() {
            return Ok(None);
        }
        let spelled = Uuid::try_parse(id).map_or_else(|_| id.to_owned(), |uuid| uuid.to_string());
        let is_tag = id.chars().count() >= TAG_CHARS;
        let exact = world.workspaces().find(|workspace| world.id(*workspace) == spelled);
        let mut begins =
            world.workspaces().filter(|workspace| is_tag && world.id(*workspace).starts_with(id));
        match exact.or_else(|| begins.next().filter(|_| begins.next().is_none())) {
            Some(workspace) => Ok(Some(workspace)),
            None => Err(Failure::new(format!(
                "Error: this server does not act for workspace {}. It acts for {}. Nothing was done.",
                untrusted::excerpt(id, ID_CHARS),
                ids(world, world.workspaces())
            ))),
        }
    }

    /// The workspace that is named, else the primary one.
    pub(in crate::tools) fn or_primary(&self, world: &World) -> Result<Workspace, Failure> {
        Ok(self.named(world)?.unwrap_or_else(|| world.primary()))
    }

    /// The workspace that is named, else all, [`MOST_ASKED`] of them at most.
    pub(in crate::tools) fn or_all(&self, world: &World) -> Result<Vec<Workspace>, Failure> {
        Ok(match self.named(world)? {
            Some(named) => vec![named],
            None => world.workspaces().take(MOST_ASKED).collect(),
        })
    }

    /// The workspace that is named, else the one that talks to `peer`.
    pub(in crate::tools) fn or_of_peer(&self, world: &World, peer: &str) -> Result<Workspace, Failure> {
        if let Some(named) = self.named(world)? {
            return Ok(named);
        }
        let (wrote_to, listed_by) = {
            let peers = world.peers.borrow();
            peers.of(peer).map(|peer| (peer.wrote_to.clone(), peer.listed_by.clone())).unwrap_or_default()
        };
        let writes = Writer { who: "This peer", argument: "source_workspace_id" };
        if let Some(workspace) =
            writes.to(world, wrote_to, |kind, id| kind == Kind::PeerAgent && id == peer)?
        {
            return Ok(workspace);
        }
        let primary = world.primary();
        Ok(listed_by.first().filter(|_| !listed_by.contains(&primary)).copied().unwrap_or(primary))
    }

    /// The workspace that is named, else the one whose user has written.
    pub(in crate::tools) fn or_of_user(&self, world: &World) -> Result<Workspace, Failure> {
        if let Some(named) = self.named(world)? {
            return Ok(named);
        }
        let wrote_to = world.users_wrote_to.borrow().clone();
        let writes = Writer { who: "The user", argument: "workspace_id" };
        let found = writes.to(world, wrote_to, |kind, _| kind == Kind::CanvasUser)?;
        Ok(found.unwrap_or_else(|| world.primary()))
    }
}

/// Who is answered, and which argument of the tool says as whom.
struct Writer {
    who: &'static str,
    argument: &'static str,
}

impl Writer {
    /// The workspace whose messages from them wait, shown; else the one they wrote to before.
    fn to(
        &self,
        world: &World,
        wrote_to: BTreeSet<Workspace>,
        are_theirs: impl Fn(Kind, &str) -> bool,
    ) -> Result<Option<Workspace>, Failure> {
        if !world.acts_for_several() {
            return Ok(None);
        }
        let waiting: BTreeSet<Workspace> = {
            let inbox = world.inbox.borrow();
            let shown = inbox.queue().ready().filter(|staged| staged.starts() > 0);
            let theirs = shown.filter(|staged| are_theirs(staged.message.kind, &staged.message.peer_id));
            theirs.map(|staged| staged.message.workspace).collect()
        };
        let candidates = if waiting.is_empty() { wrote_to } else { waiting };
        if candidates.len() > 1 {
            return Err(Failure::new(format!(
                "Error: {} has written to {} of your workspaces: {}. Nothing was sent. Call again with {} = the \
                 arrival_workspace_id of the message that you answer.",
                self.who,
                candidates.len(),
                ids(world, candidates.iter().copied()),
                self.argument
            )));
        }
        Ok(candidates.first().copied())
    }
}

/// Ids in a sentence, not too many.
fn ids(world: &World, workspaces: impl Iterator<Item = Workspace>) -> String {
    let ids: Vec<&str> = workspaces.map(|workspace| world.id(workspace)).collect();
    let shown = ids.iter().take(IDS_SHOWN).copied().collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(IDS_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests;
