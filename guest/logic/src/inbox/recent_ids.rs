//! Ids of rows dealt with, which are recognised when the rows come again.

use std::{
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

/// As many ids as are kept.
const REMEMBERED: usize = 4_096;

/// The latest ids, each known at once.
#[derive(Default)]
pub(super) struct RecentIds {
    order: VecDeque<Rc<str>>,
    known: BTreeSet<Rc<str>>,
}

impl RecentIds {
    /// Oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &Rc<str>> {
        self.order.iter()
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    pub(super) fn remove(&mut self, id: &str) {
        if self.known.remove(id) {
            self.order.retain(|known| **known != *id);
        }
    }

    pub(super) fn insert(&mut self, id: Rc<str>) {
        if !self.known.insert(Rc::clone(&id)) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
