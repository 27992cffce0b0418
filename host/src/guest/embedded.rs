//! The component as it is built into this program.

use wasmtime::{Engine, component::Component};

static COMPONENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/component.cwasm"));

/// Loads the component, and gives the memory of its compiled-in copy back.
///
/// # Errors
/// When it does not fit this machine.
#[expect(unsafe_code, reason = "the bytes are this build's own output, compiled in, and never a file's")]
pub(super) fn load(engine: &Engine) -> wasmtime::Result<Component> {
    // SAFETY: `COMPONENT` was written by `build.rs` with the same wasmtime and the same configuration.
    let component = unsafe { Component::deserialize(engine, COMPONENT) }?;
    give_back(COMPONENT);
    Ok(component)
}

/// Lets the kernel forget the pages of `bytes`, which it reads again from the program if they are needed.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the kernel is told something about memory that Rust takes for constant")]
fn give_back(bytes: &'static [u8]) {
    use rustix::{
        mm::{Advice, madvise},
        param::page_size,
    };

    let page = page_size();
    let start = bytes.as_ptr().addr().next_multiple_of(page);
    let end = (bytes.as_ptr().addr() + bytes.len()) / page * page;
    let Some(length) = end.checked_sub(start) else { return };
    let whole_pages = bytes.as_ptr().with_addr(start).cast_mut().cast();
    // SAFETY: constant data without pointers is never written, so what the file holds is what was there.
    // Where this is refused, the memory just stays in use.
    let _ = unsafe { madvise(whole_pages, length, Advice::LinuxDontNeed) };
}

#[cfg(not(target_os = "linux"))]
fn give_back(_: &'static [u8]) {}
