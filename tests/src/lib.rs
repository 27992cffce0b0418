//! The harness: what every test of the whole stands on.

pub mod kill9;
pub mod launch;
pub mod process;
pub mod served;
pub mod simulation;
pub mod story;
mod target;
