//! Pages of activity rows, whatever they are.

#![no_main]

#[allow(dead_code, reason = "the other target uses the rest")]
#[path = "../src/inbox.rs"]
mod inbox;

libfuzzer_sys::fuzz_target!(|body: &[u8]| inbox::page(body));
