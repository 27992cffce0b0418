//! The names and states that peers were last seen with.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::wire::{Instant, Workspace};

/// More than any list shows; the peer seen longest ago makes room.
const REMEMBERED: usize = 1_024;

/// What is known of a peer. Names are cleaned to one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Its presence as the platform last told it, such as `online`; empty if it did not.
    pub(crate) status: String,
    /// What it is there for; empty if the platform did not tell.
    pub(crate) role: String,
    pub(crate) seen: Instant,
    /// The own workspaces that a message from it was shown for.
    pub(crate) wrote_to: BTreeSet<Workspace>,
    /// The own workspaces that have it in their list of peers.
    pub(crate) listed_by: BTreeSet<Workspace>,
}

/// Peers by id.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Peers {
    known: BTreeMap<String, Peer>,
}

impl Peers {
    /// Remembers a peer. An empty status keeps the one already known.
    pub(crate) fn saw(&mut self, id: &str, name: &str, status: &str, now: Instant) {
        let peer = self.entry(id, now);
        name.clone_into(&mut peer.name);
        if !status.is_empty() {
            status.clone_into(&mut peer.status);
        }
        peer.seen = now;
    }

    /// Remembers that a message from a peer was shown that came to `workspace`.
    pub(crate) fn wrote(&mut self, id: &str, workspace: Workspace, now: Instant) {
        self.entry(id, now).wrote_to.insert(workspace);
    }

    /// Remembers that `workspace` has a peer in its list.
    pub(crate) fn listed(&mut self, id: &str, workspace: Workspace, now: Instant) {
        self.entry(id, now).listed_by.insert(workspace);
    }

    fn entry(&mut self, id: &str, now: Instant) -> &mut Peer {
        if self.known.len() >= REMEMBERED
            && !self.known.contains_key(id)
            && let Some(oldest) =
                self.known.iter().min_by_key(|(_, peer)| peer.seen).map(|(id, _)| id.clone())
        {
            self.known.remove(&oldest);
        }
        self.known.entry(id.to_owned()).or_insert_with(|| Peer {
            name: String::new(),
            status: String::new(),
            role: String::new(),
            seen: now,
            wrote_to: BTreeSet::new(),
            listed_by: BTreeSet::new(),
        })
    }

    /// Remembers what a known peer is there for.
    pub(crate) fn plays(&mut self, id: &str, role: &str) {
        if let Some(peer) = self.known.get_mut(id) {
            role.clone_into(&mut peer.role);
        }
    }

    pub(crate) fn of(&self, id: &str) -> Option<&Peer> {
        self.known.get(id)
    }

    /// The name to show for an id: the known one, else the first 8 characters of the id.
    pub(crate) fn name(&self, id: &str) -> String {
        match self.known.get(id) {
            Some(peer) if !peer.name.is_empty() => peer.name.clone(),
            Some(_) | None => id.chars().take(8).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_seen_longest_ago_makes_room() {
        let mut peers = Peers::default();
        for seen in 0..=REMEMBERED as u64 {
            peers.saw(&format!("p{seen}"), "name", "online", seen);
        }

        assert_eq!(peers.of("p0"), None);
        assert!(peers.of("p1").is_some());
    }

    #[test]
    fn a_lookup_without_status_keeps_the_known_one() {
        let mut peers = Peers::default();
        peers.saw("p", "Research", "online", 1);
        peers.saw("p", "Research", "", 2);

        assert_eq!(peers.of("p").map(|peer| peer.status.as_str()), Some("online"));
    }

    #[test]
    fn an_unknown_peer_goes_by_the_start_of_its_id() {
        assert_eq!(Peers::default().name("0a1b2c3d-4e5f"), "0a1b2c3d");
    }
}
