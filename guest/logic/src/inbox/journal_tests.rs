//! What survives a crash, a damage and a full disk.
