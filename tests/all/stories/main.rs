//! Stories: the real component and the real driver on a paused clock. Minutes pass in no time.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a helper of a test that fails is a test that fails"
)]

mod answers;
mod delegation;
mod delegation_trouble;
mod determinism;
mod files;
mod hints;
mod inbox;
mod inbox_recovery;
mod inbox_rows;
mod memory;
mod messaging;
mod peers_and_info;
mod presence;
mod props;
mod renewal;
mod rings;
mod secrets;
mod tasks;
mod traps;
mod wake_up;
