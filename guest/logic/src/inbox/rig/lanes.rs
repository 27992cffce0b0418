//! The dialogues of files, driven by hand.

use std::{collections::BTreeMap, rc::Rc};

use super::Rig;
use crate::{
    dialogue::Dialogue,
    inbox,
    wire::{FetchRequest, FetchedFile, Finish, Instant, Next, Outcome, Turn},
};

const LANES: u32 = 3;

/// What the lanes do, and what comes of it.
#[derive(Default)]
pub(crate) struct Lanes {
    on: bool,
    resting: Vec<(Dialogue, Instant, u64)>,
    /// Fetches that have not ended.
    slow: Vec<(Dialogue, FetchRequest)>,
    /// What a fetch comes to, in place of the file.
    pub(crate) fails: Option<Outcome>,
    /// No fetch ends by itself.
    pub(crate) is_slow: bool,
    /// Every fetch that was asked for.
    pub(crate) fetches: Vec<FetchRequest>,
    /// Paths on the disk, by the ids of their files.
    pub(crate) disk: BTreeMap<String, String>,
    /// What was to be kept at each sweep.
    pub(crate) sweeps: Vec<Vec<String>>,
    /// What the next sweep finds too old.
    pub(crate) old: Vec<String>,
}

impl Rig {
    /// Files are taken care of.
    pub(crate) fn with_lanes(mut self) -> Self {
        self.lanes.on = true;
        self
    }

    pub(crate) fn lanes(&mut self) -> &mut Lanes {
        &mut self.lanes
    }

    pub(super) fn open_lanes(&mut self) {
        self.lanes.resting.clear();
        self.lanes.slow.clear();
        if !self.lanes.on {
            return;
        }
        for lane in 0..LANES {
            let world = Rc::clone(&self.world);
            let (dialogue, turn) =
                Dialogue::open(self.now, |host| async move { inbox::keep_files(host, world, 0, lane).await });
            self.carry_out_lane(dialogue, turn);
        }
        self.run_lanes(self.now);
    }

    /// Lets the lanes do what is due up to `end`.
    pub(super) fn run_lanes(&mut self, end: Instant) {
        for _ in 0..10_000 {
            let arrived = self.news;
            let woken = |(_, until, seen): &&(Dialogue, Instant, u64)| arrived > *seen || *until <= end;
            let Some(place) = self.lanes.resting.iter().position(|lane| woken(&lane)) else { return };
            let (mut dialogue, until, seen) = self.lanes.resting.remove(place);
            if arrived <= seen {
                self.advance(until.max(self.now));
            }
            let turn = dialogue.resume(Outcome::Rested, self.now);
            self.carry_out_lane(dialogue, turn);
        }
        panic!("the lanes go round in circles");
    }

    /// The agent has sent a file to the user.
    pub(crate) fn sends(&mut self, address: &str) {
        let (world, address) = (Rc::clone(&self.world), address.to_owned());
        world.own_uploads.borrow_mut().note(&address);
        let (mut dialogue, mut turn) = Dialogue::open(self.now, |host| async move {
            inbox::sent_files(&host, &world, 0, &[&address]).await;
            Finish::Done
        });
        while let Next::Store(update) = turn.next.clone() {
            let outcome = self.store(update.change);
            turn = dialogue.resume(outcome, self.now);
        }
    }

    /// The slow fetches end.
    pub(crate) fn fetches_end(&mut self) {
        self.lanes.is_slow = false;
        for (mut dialogue, request) in std::mem::take(&mut self.lanes.slow) {
            let outcome = self.lanes.fetched(&request);
            let turn = dialogue.resume(outcome, self.now);
            self.carry_out_lane(dialogue, turn);
        }
        self.run_lanes(self.now);
    }

    fn carry_out_lane(&mut self, mut dialogue: Dialogue, mut turn: Turn) {
        loop {
            self.perform(&turn);
            let outcome = match turn.next {
                Next::Fetch(request) => {
                    self.lanes.fetches.push(request.clone());
                    if self.lanes.is_slow {
                        self.lanes.slow.push((dialogue, request));
                        return;
                    }
                    self.lanes.fetched(&request)
                }
                Next::Rest(rest) => {
                    let over = rest.arrivals_over.unwrap();
                    self.lanes.resting.push((dialogue, rest.until, over));
                    return;
                }
                Next::Send(request) => self.platform.handle(&request),
                Next::Store(update) => self.store(update.change),
                Next::Sweep(request) => {
                    self.lanes.sweeps.push(request.keep);
                    Outcome::Swept(std::mem::take(&mut self.lanes.old))
                }
                Next::Finish(_) | Next::Listen(_) | Next::Reply(_) | Next::TakeOver(_) | Next::Upload(_) => {
                    panic!("a lane does not do this: {:?}", turn.next)
                }
            };
            turn = dialogue.resume(outcome, self.now);
        }
    }
}

impl Lanes {
    fn fetched(&mut self, request: &FetchRequest) -> Outcome {
        if let Some(outcome) = &self.fails {
            return outcome.clone();
        }
        let path = format!("/files/{}-{}", request.id, request.name);
        self.disk.insert(request.id.clone(), path.clone());
        let bytes = request.bytes.unwrap_or(3);
        Outcome::Fetched(FetchedFile { path, bytes, mime_type: "image/webp".to_owned() })
    }
}
