//! The device's memory pool, from which `cuMemAllocAsync` takes. Here it keeps nothing: what is freed is free at once.

use super::answer;
use super::code::{Answer, Code};
use super::pointer::put;
use super::state::{Handle, profile, with_context};
use std::ffi::c_void;

/// The one pool there is.
const POOL: Handle = 1;

/// Number of the first attribute that only the pool itself sets: how much it holds.
const FIRST_COUNTER: u32 = 5;

fn check(pool: Handle) -> Answer<()> {
    if pool == POOL { Ok(()) } else { Err(Code::InvalidValue) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetDefaultMemPool(out: *mut Handle, device: i32) -> Code {
    answer(|| {
        profile(device)?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(out, POOL) }
    })
}

/// Takes any of the settings, of which none changes what a pool that keeps nothing does.
#[unsafe(no_mangle)]
extern "C" fn cuMemPoolSetAttribute(pool: Handle, attribute: u32, value: *const c_void) -> Code {
    answer(|| {
        check(pool)?;
        if !(1..FIRST_COUNTER).contains(&attribute) || value.is_null() {
            return Err(Code::InvalidValue);
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuMemPoolTrimTo(pool: Handle, _keep: usize) -> Code {
    answer(|| {
        check(pool)?;
        with_context(|_| Ok(()))
    })
}
