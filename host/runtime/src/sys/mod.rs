//! The system: its clock.

pub mod clock;
