//! The harness: what every test of the whole stands on.

pub mod story;
