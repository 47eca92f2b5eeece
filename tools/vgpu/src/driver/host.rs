//! Page-locked host memory: here, memory of the host like any other. Kernels cannot reach it.

use super::code::Code;
use super::pointer::put;
use super::state::with_context;
use super::{answer, explain};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, PoisonError};

/// What was allocated and not yet freed.
static LAYOUTS: LazyLock<Mutex<HashMap<usize, Layout>>> = LazyLock::new(Mutex::default);

/// A page.
const ALIGNMENT: usize = 4096;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemHostAlloc(out: *mut *mut c_void, bytes: usize, _flags: u32) -> Code {
    answer(|| {
        with_context(|_| Ok(()))?;
        if bytes == 0 || out.is_null() {
            return Err(Code::InvalidValue);
        }
        let layout = Layout::from_size_align(bytes, ALIGNMENT).map_err(|_| Code::InvalidValue)?;
        // SAFETY: the layout has a size.
        let block = unsafe { alloc_zeroed(layout) };
        if block.is_null() {
            return Err(explain(Code::OutOfMemory, format!("the host has no {bytes} bytes")));
        }
        LAYOUTS.lock().unwrap_or_else(PoisonError::into_inner).insert(block.addr(), layout);
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(out, block.cast()) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemFreeHost(block: *mut c_void) -> Code {
    answer(|| {
        with_context(|_| Ok(()))?;
        let layout = LAYOUTS.lock().unwrap_or_else(PoisonError::into_inner).remove(&block.addr());
        let layout = layout.ok_or(Code::InvalidValue)?;
        // SAFETY: `block` was allocated with this layout, and is forgotten, so that it is freed once.
        unsafe { dealloc(block.cast(), layout) };
        Ok(())
    })
}
