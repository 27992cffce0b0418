//! The small files of a workspace: read whole, replaced whole.
