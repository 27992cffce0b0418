//! The types of `wit/`, generated, and the exports.

#![cfg_attr(
    target_family = "wasm",
    expect(unsafe_code, reason = "generated exports are entry points of the component")
)]

wit_bindgen::generate!({ path: "wit", world: "plugin" });

#[cfg(target_family = "wasm")]
export!(Plugin);

#[cfg(target_family = "wasm")]
use crate::exports::Plugin;
