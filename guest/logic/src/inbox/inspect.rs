//! What is on disk, for people.

use std::rc::Rc;

use serde::Serialize;
use serde_json::json;

use super::{
    event::FORMAT,
    mailbox::State,
    message::Kind,
    queue::{Queue, Staged},
    recover::{self, Opened},
    watermarks::Mark,
};
use crate::{
    platform::stamp::Stamp,
    wire::{Saved, Workspace},
    world::World,
};

/// A message without its words.
#[derive(Serialize)]
struct Line {
    activity_id: Rc<str>,
    kind: Kind,
    peer_id: String,
    created_at: String,
    bytes: usize,
    /// How often `wait_for_message` has returned it; absent if never. A look at it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_count: Option<u32>,
    /// The agent has seen it, in whatever way.
    redelivered: bool,
}

impl Line {
    fn of(staged: &Staged) -> Self {
        let message = &staged.message;
        Self {
            activity_id: staged.id(),
            kind: message.kind,
            peer_id: message.peer_id.clone(),
            created_at: message.created_at.clone(),
            bytes: message.text.len(),
            delivery_count: (staged.deliveries > 0).then_some(staged.deliveries),
            redelivered: staged.redelivered,
        }
    }
}

/// A JSON object: messages without their words, and how far fetching and handling have come.
pub(crate) fn inspect(world: &World, workspace: Workspace, saved: Saved) -> String {
    let own = world.id(workspace);
    let Opened { mailbox, staged, trouble } = recover::open(own, workspace, Queue::default(), saved, 0);
    let lines = |parked: bool| -> Vec<Line> {
        staged.iter().filter(|staged| staged.parked == parked).map(Line::of).collect()
    };
    let place = |mark: &Mark| {
        let created_at = (mark.stamp > Stamp::UNKNOWN).then(|| mark.stamp.to_string());
        json!({"id": mark.id, "created_at": created_at})
    };
    let gaps: Vec<_> = mailbox
        .gaps
        .iter()
        .map(|gap| json!({"from": gap.from.to_string(), "to": gap.to.to_string()}))
        .collect();
    json!({
        "workspace": own,
        "format": FORMAT,
        "journal": match (mailbox.journal.state, trouble) {
            (State::Newer, _) => "of a newer version",
            (State::Fresh, _) => "none",
            (State::Behind, Some(_)) => "damaged",
            (State::Behind | State::Ready, _) => "ok",
        },
        "staged": lines(false),
        "parked": lines(true),
        "fetched_up_to": mailbox.watermarks.position().map(place),
        "handled_up_to": mailbox.watermarks.cursor().or(mailbox.named.as_ref()).map(place),
        "gaps": gaps,
        "user_files": mailbox.files.count(),
    })
    .to_string()
}
