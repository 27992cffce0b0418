//! Time that goes on while the machine sleeps.
