//! Streams: each is an order of calls, and a call is over when it returns.

use super::answer;
use super::code::{Answer, Code};
use super::pointer::put;
use super::record::waits;
use super::state::{Context, Handle, with_context};
use std::ffi::c_void;

/// The streams that need not be created: the default one, the legacy one, the thread's own.
const BUILT_IN: Handle = 2;

/// # Errors
/// There is no such stream.
pub(super) fn check(context: &Context, stream: Handle) -> Answer<()> {
    if stream <= BUILT_IN || context.streams.contains(&stream) { Ok(()) } else { Err(Code::InvalidHandle) }
}

fn checked(stream: Handle) -> Answer<()> {
    with_context(|context| check(context, stream))
}

/// # Safety
/// `stream` is null or valid for a write.
unsafe fn create(stream: *mut Handle) -> Answer<()> {
    let handle = with_context(|context| {
        let handle = context.new_handle();
        context.streams.insert(handle);
        Ok(handle)
    })?;
    // SAFETY: as the caller promises.
    unsafe { put(stream, handle) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreate(stream: *mut Handle, _flags: u32) -> Code {
    // SAFETY: null or valid, as the caller promises.
    answer(|| unsafe { create(stream) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuStreamCreateWithPriority(stream: *mut Handle, _flags: u32, _priority: i32) -> Code {
    // SAFETY: null or valid, as the caller promises.
    answer(|| unsafe { create(stream) })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamDestroy_v2(stream: Handle) -> Code {
    answer(|| {
        with_context(
            |context| {
                if context.streams.remove(&stream) { Ok(()) } else { Err(Code::InvalidHandle) }
            },
        )
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamSynchronize(stream: Handle) -> Code {
    waits("cuStreamSynchronize");
    answer(|| checked(stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamQuery(stream: Handle) -> Code {
    answer(|| checked(stream))
}

#[unsafe(no_mangle)]
extern "C" fn cuStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) -> Code {
    answer(|| {
        with_context(|context| {
            check(context, stream)?;
            context.events.get(&event).map(|_| ()).ok_or(Code::InvalidHandle)
        })
    })
}

/// Calls the function at once: all that stands before it in the stream is done.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuLaunchHostFunc(
    stream: Handle,
    function: Option<unsafe extern "C" fn(*mut c_void)>,
    data: *mut c_void,
) -> Code {
    answer(|| {
        checked(stream)?;
        let function = function.ok_or(Code::InvalidValue)?;
        // SAFETY: the caller wants it called with this, once.
        unsafe { function(data) };
        Ok(())
    })
}
