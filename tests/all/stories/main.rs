//! Stories: the real component and the real driver on a paused clock. Minutes pass in no time.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what fails in a helper of a test has failed in the test"
)]

mod delegation;
mod delegation_trouble;
mod memory;
mod messaging;
mod peers_and_info;
mod props;
mod secrets;
mod tasks;
mod traps;
