//! Initialisation, version, error texts.

use super::code::Code;
use super::pointer::put;
use super::settings::settings;
use super::state;
use super::{answer, explain};
use std::ffi::c_char;

#[unsafe(no_mangle)]
extern "C" fn cuInit(flags: u32) -> Code {
    answer(|| {
        if flags != 0 {
            return Err(Code::InvalidValue);
        }
        let settings = settings().map_err(|why| explain(Code::InvalidValue, why))?;
        if settings.capability == 0 {
            return Err(Code::NoDevice);
        }
        state::initialise();
        Ok(())
    })
}

/// # Safety
/// `version` is null or valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDriverGetVersion(version: *mut i32) -> Code {
    answer(|| {
        let settings = settings().map_err(|why| explain(Code::InvalidValue, why))?;
        // SAFETY: as the caller promises.
        unsafe { put(version, settings.driver) }
    })
}

/// # Safety
/// `text` is null or valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorName(code: u32, text: *mut *const c_char) -> Code {
    answer(|| {
        let code = Code::from_number(code).ok_or(Code::InvalidValue)?;
        // SAFETY: as the caller promises.
        unsafe { put(text, code.c_name().as_ptr()) }
    })
}

/// # Safety
/// `text` is null or valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuGetErrorString(code: u32, text: *mut *const c_char) -> Code {
    answer(|| {
        let code = Code::from_number(code).ok_or(Code::InvalidValue)?;
        // SAFETY: as the caller promises.
        unsafe { put(text, code.c_text().as_ptr()) }
    })
}

/// There is nothing to profile.
#[unsafe(no_mangle)]
extern "C" fn cuProfilerStart() -> Code {
    Code::Success
}

/// There is nothing to profile.
#[unsafe(no_mangle)]
extern "C" fn cuProfilerStop() -> Code {
    Code::Success
}
