//! Bugs that the simulator has to find: the test of the test.
//!
//! Each is one `if planted(Bug::…)` where the right thing is done. Only the tests switch the feature
//! `planted-bugs` on, and even then there is none until one is planted. Without the feature [`planted`] is
//! the constant `false`.

/// A mistake that would be easy to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A pop is answered before it would survive a power cut.
    AckNotSynced,
    /// A pop is answered and written nowhere.
    AckNotWritten,
    /// A clock of the platform that was set back is not noticed.
    ClockBelieved,
    /// The cursor file names the row that was fetched last, whatever waits.
    CursorPastWaiting,
    /// A journal with a hole is believed as if it had none.
    DamageIgnored,
    /// The oldest message makes room for a new one.
    DropsOldest,
    /// A pop that could not be written is answered as if it had been.
    FailureNotTold,
    /// A file is taken away from the user before the agent is done with it.
    FileAckedUnhandled,
    /// A file that is fetched again gets another name.
    FileNameChanges,
    /// The position is on disk before the messages up to it.
    FloorBeforeStage,
    /// After another implementation has run, rows are looked for that it may have shown.
    HandoverLooksFurtherBack,
    /// A rewritten journal begins with the position instead of a row before all messages.
    HighFloorFirst,
    /// There may be more rings than the operator allows.
    NoRingLimit,
    /// A message that is shown again does not say so.
    NoRedeliveredFlag,
    /// Rows that become visible late are not looked for.
    NoSweep,
    /// What comes while another message is rung for is never rung for.
    RingMissesNewer,
    /// An agent that has dealt with its messages is told of them.
    RingsForHandled,
    /// Of a window only the newest page is fetched.
    WindowNotPagedBack,
}

/// All of them.
#[cfg(feature = "planted-bugs")]
pub const BUGS: [Bug; 18] = [
    Bug::AckNotSynced,
    Bug::AckNotWritten,
    Bug::ClockBelieved,
    Bug::CursorPastWaiting,
    Bug::DamageIgnored,
    Bug::DropsOldest,
    Bug::FailureNotTold,
    Bug::FileAckedUnhandled,
    Bug::FileNameChanges,
    Bug::FloorBeforeStage,
    Bug::HandoverLooksFurtherBack,
    Bug::HighFloorFirst,
    Bug::NoRedeliveredFlag,
    Bug::NoRingLimit,
    Bug::NoSweep,
    Bug::RingMissesNewer,
    Bug::RingsForHandled,
    Bug::WindowNotPagedBack,
];

#[cfg(feature = "planted-bugs")]
mod here {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// From here on this thread's component has this bug; with none it has no bug that was planted.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}

#[cfg(feature = "planted-bugs")]
pub use here::plant;
#[cfg(feature = "planted-bugs")]
pub(crate) use here::planted;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_bug: Bug) -> bool {
    false
}
