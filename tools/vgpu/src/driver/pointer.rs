//! What callers point at.

use super::code::{Answer, Code};
use std::ffi::{CStr, c_char};

/// Stores a result where the caller wants it.
///
/// # Errors
/// [`Code::InvalidValue`] when that is null.
///
/// # Safety
/// `to` is null or valid for a write of a `T`.
pub(super) unsafe fn put<T>(to: *mut T, value: T) -> Answer<()> {
    if to.is_null() {
        return Err(Code::InvalidValue);
    }
    // SAFETY: not null, so valid as the caller promises.
    unsafe { to.write(value) };
    Ok(())
}

/// The same where null means that the result is not wanted.
///
/// # Safety
/// As for [`put`].
pub(super) unsafe fn put_if_wanted<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, so valid as the caller promises.
        unsafe { to.write(value) };
    }
}

/// A C string as UTF-8.
///
/// # Errors
/// [`Code::InvalidValue`] when it is null or something else.
///
/// # Safety
/// `text` is null or points at a string that ends with a zero and lives for `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char) -> Answer<&'a str> {
    if text.is_null() {
        return Err(Code::InvalidValue);
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| Code::InvalidValue)
}
