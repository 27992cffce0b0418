//! One engine configuration for the build, which compiles the component, and the program, which runs it.
//!
//! This file is part of both: a precompiled component fits only the configuration it was made with.

use wasmtime::Config;

/// What the embedded component was compiled for.
pub(crate) fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // The guest is interrupted when it computes for too long.
        .epoch_interruption(true)
        // The guest uses neither: refusing them keeps both sides of the build alike.
        .concurrency_support(false)
        .gc_support(false)
        // Where in the guest a trap came from is not shown to anybody; the table would stay in memory.
        .generate_address_map(false)
        .max_wasm_stack(1 << 20);
    config
}
