//! The tools as exports of a component, and nothing else.

#![cfg(any(target_family = "wasm", test))]

mod bindings;
#[cfg(target_family = "wasm")]
mod exports;
mod facts;
