//! Device memory: allocations, copies, fills. The asynchronous forms are done when they return.

use super::code::{Answer, Code};
use super::pointer::{put, put_if_wanted};
use super::record::waits;
use super::state::{Context, Handle, with_context};
use super::stream::check as check_stream;
use super::{answer, explain};
use crate::error::Error;
use std::ffi::c_void;

impl Context {
    fn allocate(&mut self, bytes: usize) -> Answer<u64> {
        if bytes == 0 {
            return Err(explain(Code::InvalidValue, "an allocation of 0 bytes"));
        }
        let free = self.memory.saturating_sub(self.used());
        if bytes > free {
            let why = format!("{bytes} bytes asked for, {free} of {} are free", self.memory);
            return Err(explain(Code::OutOfMemory, why));
        }
        let address = self.device.alloc(bytes);
        self.allocations.insert(address, bytes);
        Ok(address)
    }

    fn free(&mut self, address: u64) -> Answer<()> {
        if address == 0 {
            return Ok(());
        }
        if self.allocations.remove(&address).is_none() {
            return Err(explain(
                Code::InvalidValue,
                format!("free of {address:#x}, where no allocation begins"),
            ));
        }
        self.device.free(address).map_err(host_error)
    }
}

fn host_error(error: Error) -> Code {
    explain(Code::InvalidValue, error)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAlloc_v2(out: *mut u64, bytes: usize) -> Code {
    // SAFETY: null or valid, as the caller promises.
    answer(|| unsafe { put(out, with_context(|context| context.allocate(bytes))?) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemAllocAsync(out: *mut u64, bytes: usize, stream: Handle) -> Code {
    answer(|| {
        let address = with_context(|context| {
            check_stream(context, stream)?;
            context.allocate(bytes)
        })?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(out, address) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFree_v2(address: u64) -> Code {
    waits("cuMemFree");
    answer(|| with_context(|context| context.free(address)))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemFreeAsync(address: u64, stream: Handle) -> Code {
    answer(|| {
        with_context(|context| {
            check_stream(context, stream)?;
            context.free(address)
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Code {
    answer(|| {
        let (all, used) = with_context(|context| Ok((context.memory, context.used())))?;
        // SAFETY: null or valid, as the caller promises.
        unsafe {
            put_if_wanted(free, all - used);
            put_if_wanted(total, all);
        }
        Ok(())
    })
}

/// # Safety
/// `source` is valid for reads of `bytes` bytes.
unsafe fn upload(to: u64, source: *const c_void, bytes: usize, stream: Handle) -> Answer<()> {
    with_context(|context| {
        check_stream(context, stream)?;
        if bytes == 0 {
            return Ok(());
        }
        if source.is_null() {
            return Err(Code::InvalidValue);
        }
        // SAFETY: as the caller promises.
        let source = unsafe { std::slice::from_raw_parts(source.cast(), bytes) };
        context.device.write(to, source).map_err(host_error)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoD_v2(to: u64, source: *const c_void, bytes: usize) -> Code {
    waits("cuMemcpyHtoD");
    // SAFETY: the caller promises `bytes` bytes at `source`.
    answer(|| unsafe { upload(to, source, bytes, 0) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    to: u64,
    source: *const c_void,
    bytes: usize,
    stream: Handle,
) -> Code {
    // SAFETY: the caller promises `bytes` bytes at `source`.
    answer(|| unsafe { upload(to, source, bytes, stream) })
}

/// # Safety
/// `to` is valid for writes of `bytes` bytes.
unsafe fn download(to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> Answer<()> {
    let found = with_context(|context| {
        check_stream(context, stream)?;
        context.device.read(from, bytes).map_err(host_error)
    })?;
    if bytes != 0 && to.is_null() {
        return Err(Code::InvalidValue);
    }
    // SAFETY: as the caller promises; `found` has `bytes` bytes, and nobody else knows them.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(found.as_ptr(), bytes) };
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoH_v2(to: *mut c_void, from: u64, bytes: usize) -> Code {
    waits("cuMemcpyDtoH");
    // SAFETY: the caller promises `bytes` bytes at `to`.
    answer(|| unsafe { download(to, from, bytes, 0) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: u64, bytes: usize, stream: Handle) -> Code {
    waits("cuMemcpyDtoHAsync");
    // SAFETY: the caller promises `bytes` bytes at `to`.
    answer(|| unsafe { download(to, from, bytes, stream) })
}

fn copy(to: u64, from: u64, bytes: usize, stream: Handle) -> Answer<()> {
    with_context(|context| {
        check_stream(context, stream)?;
        if to.abs_diff(from) < bytes as u64 {
            let why = format!("a copy of {bytes} bytes from {from:#x} to {to:#x} overlaps itself");
            return Err(explain(Code::InvalidValue, why));
        }
        context.device.copy(from, to, bytes).map_err(host_error)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) -> Code {
    answer(|| copy(to, from, bytes, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle) -> Code {
    answer(|| copy(to, from, bytes, stream))
}

/// Writes `count` elements that all have the bytes `pattern`.
fn fill(to: u64, pattern: &[u8], count: usize, stream: Handle) -> Answer<()> {
    with_context(|context| {
        check_stream(context, stream)?;
        if !to.is_multiple_of(pattern.len() as u64) {
            let why = format!("{to:#x} is no multiple of the element's {} bytes", pattern.len());
            return Err(explain(Code::InvalidValue, why));
        }
        context.device.fill(to, pattern, count).map_err(host_error)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8_v2(to: u64, value: u8, count: usize) -> Code {
    answer(|| fill(to, &[value], count, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD8Async(to: u64, value: u8, count: usize, stream: Handle) -> Code {
    answer(|| fill(to, &[value], count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD16_v2(to: u64, value: u16, count: usize) -> Code {
    answer(|| fill(to, &value.to_le_bytes(), count, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD16Async(to: u64, value: u16, count: usize, stream: Handle) -> Code {
    answer(|| fill(to, &value.to_le_bytes(), count, stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32_v2(to: u64, value: u32, count: usize) -> Code {
    answer(|| fill(to, &value.to_le_bytes(), count, 0))
}

#[unsafe(no_mangle)]
extern "C" fn cuMemsetD32Async(to: u64, value: u32, count: usize, stream: Handle) -> Code {
    answer(|| fill(to, &value.to_le_bytes(), count, stream))
}
