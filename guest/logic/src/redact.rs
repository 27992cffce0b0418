//! Takes credentials out of texts.
