//! Registers the workspace and keeps it alive.
