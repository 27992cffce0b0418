//! What the program shows to others, and the rules that keep its parts apart.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails is a test that fails")]

mod boundaries;
mod circles;
mod component;
mod links;
mod shown;
