//! One engine configuration for the build, which compiles the component, and the program, which runs it.
//!
//! This file is part of both: a precompiled component fits only the configuration it was made with.

use wasmtime::Config;

/// The most memory that the guest may use: room for one message of the largest size the platform has, several
/// times over.
pub(crate) const MEMORY_BYTES: usize = 256 << 20;
/// Kept free behind the memory, which accesses with an offset reach when the memory is full.
const GUARD_BYTES: u64 = 64 << 10;

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
        // Where in the guest a trap came from is not shown to anybody; the tables would stay in memory.
        .generate_address_map(false)
        .native_unwind_info(false)
        .wasm_backtrace_max_frames(None)
        // No more address space than the guest may use, because some machines ration it. The memory never
        // moves, so that every access is checked against a constant.
        .memory_reservation(MEMORY_BYTES as u64)
        .memory_may_move(false)
        .memory_guard_size(GUARD_BYTES)
        .guard_before_linear_memory(false)
        .max_wasm_stack(1 << 20);
    config
}
