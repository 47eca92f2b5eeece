//! Events: points in an order of calls. The time between two is the host's, not a GPU's.

use super::answer;
use super::code::Code;
use super::pointer::put;
use super::record::waits;
use super::state::{Handle, with_context};
use super::stream::check as check_stream;
use std::time::Instant;

/// An event.
pub(super) struct Event {
    timed: bool,
    recorded: Option<Instant>,
}

/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventCreate(event: *mut Handle, flags: u32) -> Code {
    answer(|| {
        let handle = with_context(|context| {
            let handle = context.new_handle();
            let new = Event { timed: flags & DISABLE_TIMING == 0, recorded: None };
            context.events.insert(handle, new);
            Ok(handle)
        })?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(event, handle) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuEventDestroy_v2(event: Handle) -> Code {
    answer(|| with_context(|context| context.events.remove(&event).map(|_| ()).ok_or(Code::InvalidHandle)))
}

#[unsafe(no_mangle)]
extern "C" fn cuEventRecord(event: Handle, stream: Handle) -> Code {
    answer(|| {
        with_context(|context| {
            check_stream(context, stream)?;
            let event = context.events.get_mut(&event).ok_or(Code::InvalidHandle)?;
            event.recorded = Some(Instant::now());
            Ok(())
        })
    })
}

/// All that was recorded is done.
#[unsafe(no_mangle)]
extern "C" fn cuEventQuery(event: Handle) -> Code {
    answer(|| with_context(|context| context.events.get(&event).map(|_| ()).ok_or(Code::InvalidHandle)))
}

/// All that was recorded is done.
#[unsafe(no_mangle)]
extern "C" fn cuEventSynchronize(event: Handle) -> Code {
    waits("cuEventSynchronize");
    cuEventQuery(event)
}

/// Milliseconds from one event to another; both must be recorded, and created for timing.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime(out: *mut f32, start: Handle, end: Handle) -> Code {
    answer(|| {
        let (start, end) = with_context(|context| {
            let at = |event| {
                let event = context.events.get(&event).filter(|event| event.timed);
                event.and_then(|event| event.recorded).ok_or(Code::InvalidHandle)
            };
            Ok((at(start)?, at(end)?))
        })?;
        let forward = end.saturating_duration_since(start).as_secs_f64();
        let backward = start.saturating_duration_since(end).as_secs_f64();
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(out, ((forward - backward) * 1e3) as f32) }
    })
}

/// The same; newer programs ask for it under this name.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuEventElapsedTime_v2(out: *mut f32, start: Handle, end: Handle) -> Code {
    // SAFETY: null or valid, as the caller promises.
    unsafe { cuEventElapsedTime(out, start, end) }
}
