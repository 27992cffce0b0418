//! Stories: the real component and the real driver on a paused clock. Minutes pass in no time.

mod tools;
