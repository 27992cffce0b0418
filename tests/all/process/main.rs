//! The real binary over real pipes.
