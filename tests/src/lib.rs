//! The harness: what every test of the whole stands on.

pub mod launch;
pub mod process;
pub mod served;
pub mod story;
