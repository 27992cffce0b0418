//! The real binary, killed again and again while messages flow.
//!
//! ```text
//! 7 peers ──► platform ──► molecule-mcp ──► agent: waits, pops
//!                              ▲   ▲
//!                 SIGKILL, at any moment, and another one starts on the same disk
//! ```
//!
//! `repeatedly` kills one process after the other, `takeover` the leader of two, or asks it to hand over.

mod flow;
mod ledger;
mod repeatedly;
mod takeover;

pub use self::{
    repeatedly::{Kills, repeatedly},
    takeover::{How, Takeovers, takeover},
};

/// Told now and then how many kills there were.
pub type Progress<'a> = &'a mut dyn FnMut(u64);
