//! The system: its clocks.

mod alarm;
pub(crate) mod boot;
pub mod clock;
