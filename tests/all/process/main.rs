//! The real binary over real pipes, with its input kept open.

#![expect(clippy::indexing_slicing, reason = "a test, and what helps it, may fail by a panic")]

mod calls;
mod crash;
mod doctor;
mod embedding;
mod ends;
mod errors;
mod events;
mod faults;
mod files;
mod identities;
mod kill9;
mod limits;
mod lines;
mod logs;
mod memory;
mod openings;
mod proxies;
mod secrets;
mod sessions;
mod settings;
mod setup;
mod several;
mod status;
mod streams;
mod twins;
mod wake_up;
mod wakes;
