//! The primary context: retained, made current, waited for.

use super::answer;
use super::code::Code;
use super::pointer::{put, put_if_wanted};
use super::record::waits;
use super::state::{self, Handle, profile, with_context, with_state};

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut Handle, device: i32) -> Code {
    answer(|| {
        profile(device)?;
        let handle = with_state(state::State::retain)?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(context, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuDevicePrimaryCtxRelease_v2(device: i32) -> Code {
    answer(|| {
        profile(device)?;
        with_state(state::State::release)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCurrent(context: *mut Handle) -> Code {
    answer(|| {
        with_state(|_| Ok(()))?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(context, state::current()) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCurrent(context: Handle) -> Code {
    answer(|| {
        with_state(|state| match &state.context {
            _ if context == 0 => Ok(()),
            Some(live) if live.handle == context => Ok(()),
            _ => Err(Code::InvalidContext),
        })?;
        state::set_current(context);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetDevice(device: *mut i32) -> Code {
    answer(|| {
        with_context(|_| Ok(()))?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(device, 0) }
    })
}

/// Nothing is ever left to wait for.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSynchronize() -> Code {
    waits("cuCtxSynchronize");
    answer(|| with_context(|_| Ok(())))
}

/// The flags say how to wait, and there is no waiting.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSetFlags(_flags: u32) -> Code {
    answer(|| with_context(|_| Ok(())))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetLimit(value: *mut usize, limit: u32) -> Code {
    answer(|| {
        let found = with_context(|c| c.limits.get(limit as usize).copied().ok_or(Code::UnsupportedLimit))?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(value, found) }
    })
}

/// Limits are remembered; stacks and heaps of this device have none.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSetLimit(limit: u32, value: usize) -> Code {
    answer(|| {
        with_context(|context| {
            *context.limits.get_mut(limit as usize).ok_or(Code::UnsupportedLimit)? = value;
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetCacheConfig(config: *mut u32) -> Code {
    answer(|| {
        with_context(|_| Ok(()))?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(config, 0) }
    })
}

/// A preference, of which a device may make what it likes.
#[unsafe(no_mangle)]
extern "C" fn cuCtxSetCacheConfig(_config: u32) -> Code {
    answer(|| with_context(|_| Ok(())))
}

/// Every stream has the one priority 0.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) -> Code {
    answer(|| {
        with_context(|_| Ok(()))?;
        // SAFETY: null or valid, as the caller promises.
        unsafe {
            put_if_wanted(least, 0);
            put_if_wanted(greatest, 0);
        }
        Ok(())
    })
}
