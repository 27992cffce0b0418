//! The component as it is built into this program.
//!
//! Its compiled code lies on pages of its own and is run there: the kernel reads what is used from the program's
//! file, and processes share it.

use std::sync::{Mutex, PoisonError};

use wasmtime::{Engine, component::Component};

use super::engine;

/// The compiled component, on pages of its own. The largest pages of x86-64 that matter have 4 KiB, those of
/// other processors up to 64 KiB.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Pages<const LENGTH: usize>([u8; LENGTH]);

static COMPONENT: Pages<{ include_bytes!(concat!(env!("OUT_DIR"), "/component.cwasm")).len() }> =
    Pages(*include_bytes!(concat!(env!("OUT_DIR"), "/component.cwasm")));

/// Code can be registered once in a process, and is never given up.
static LOADED: Mutex<Option<(Engine, Component)>> = Mutex::new(None);

/// The component and its engine, of which a process has one.
///
/// # Errors
/// When the component does not fit this machine, or the system lets nothing be executed that was not from the start.
pub(super) fn load() -> wasmtime::Result<(Engine, Component)> {
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = &*loaded {
        return Ok(loaded.clone());
    }
    let engine = in_place::engine()?;
    let component = in_place::component(&engine)?;
    Ok(loaded.insert((engine, component)).clone())
}

#[cfg(target_os = "linux")]
mod in_place {
    use std::{ptr::NonNull, sync::Arc};

    use rustix::{
        mm::{MprotectFlags, mprotect},
        param::page_size,
    };
    use wasmtime::{CustomCodeMemory, Engine, component::Component};

    use super::{COMPONENT, engine};

    pub(super) fn engine() -> wasmtime::Result<Engine> {
        Engine::new(engine::config().with_custom_code_memory(Some(Arc::new(OwnPages))))
    }

    #[expect(unsafe_code, reason = "the bytes are this build's own output, compiled in, and never a file's")]
    pub(super) fn component(engine: &Engine) -> wasmtime::Result<Component> {
        let bytes = NonNull::from(COMPONENT.0.as_slice());
        // SAFETY: `COMPONENT` was written by `build.rs` with the same wasmtime and the same configuration, it is
        // constant, and lives as long as the process.
        unsafe { Component::deserialize_raw(engine, bytes) }
    }

    /// Makes parts of [`COMPONENT`] executable.
    struct OwnPages;

    impl CustomCodeMemory for OwnPages {
        fn required_alignment(&self) -> usize {
            page_size()
        }

        #[expect(unsafe_code, reason = "nothing else makes memory executable")]
        fn publish_executable(&self, code: *const u8, length: usize) -> wasmtime::Result<()> {
            let own = COMPONENT.0.as_ptr_range();
            wasmtime::ensure!(own.contains(&code) && length <= COMPONENT.0.len(), "not the component's code");
            // SAFETY: whole pages of `COMPONENT`, which stay readable, and which nobody has ever been able to write.
            unsafe { mprotect(code.cast_mut().cast(), length, MprotectFlags::READ | MprotectFlags::EXEC) }?;
            Ok(())
        }

        /// Never asked for, because what was loaded stays; and harmless if it is.
        fn unpublish_executable(&self, _: *const u8, _: usize) -> wasmtime::Result<()> {
            Ok(())
        }
    }
}

/// Elsewhere the code is copied, as the system may have rules of its own for a program's pages.
#[cfg(not(target_os = "linux"))]
mod in_place {
    use wasmtime::{Engine, component::Component};

    use super::{COMPONENT, engine};

    pub(super) fn engine() -> wasmtime::Result<Engine> {
        Engine::new(&engine::config())
    }

    #[expect(unsafe_code, reason = "the bytes are this build's own output, compiled in, and never a file's")]
    pub(super) fn component(engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: `COMPONENT` was written by `build.rs` with the same wasmtime and the same configuration.
        unsafe { Component::deserialize(engine, &COMPONENT.0) }
    }
}
