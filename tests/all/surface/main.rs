//! What the program shows and needs.
