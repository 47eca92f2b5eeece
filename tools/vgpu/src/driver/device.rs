//! What the device says of itself: the numbers of the chosen profile.

use super::code::Code;
use super::pointer::put;
use super::settings::settings;
use super::state::profile;
use super::{answer, explain};
use crate::profile::{BLOCK, Profile, REGISTERS, SHARED_DEFAULT, SHARED_RESERVED, WARP};
use std::ffi::c_char;

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetCount(count: *mut i32) -> Code {
    answer(|| {
        profile(0)?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(count, 1) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGet(device: *mut i32, ordinal: i32) -> Code {
    answer(|| {
        profile(ordinal)?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(device, ordinal) }
    })
}

/// Writes at most `length` bytes to `name`, the last of them a zero.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: i32, device: i32) -> Code {
    answer(|| {
        let text = format!("vgpu ({})", profile(device)?.name);
        let room = usize::try_from(length).ok().and_then(|n| n.checked_sub(1)).ok_or(Code::InvalidValue)?;
        if name.is_null() {
            return Err(Code::InvalidValue);
        }
        let bytes = &text.as_bytes()[..text.len().min(room)];
        // SAFETY: the caller promises `length` bytes at `name`; at most `length - 1` and a zero are written.
        unsafe {
            name.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            name.cast::<u8>().add(bytes.len()).write(0);
        }
        Ok(())
    })
}

fn capability() -> Result<u64, Code> {
    let settings = settings().map_err(|why| explain(Code::InvalidValue, why))?;
    u64::try_from(settings.capability).map_err(|_| Code::InvalidValue)
}

fn memory(device: i32) -> Result<usize, Code> {
    profile(device)?;
    settings().map(|settings| settings.memory).map_err(|why| explain(Code::InvalidValue, why))
}

fn uuid(device: i32) -> Result<[u8; 16], Code> {
    let mut uuid = *b"vgpu            ";
    let key = profile(device)?.key.as_bytes();
    uuid[5..5 + key.len()].copy_from_slice(key);
    Ok(uuid)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid(out: *mut [u8; 16], device: i32) -> Code {
    // SAFETY: null or valid, as the caller promises.
    answer(|| unsafe { put(out, uuid(device)?) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetUuid_v2(out: *mut [u8; 16], device: i32) -> Code {
    // SAFETY: null or valid, as the caller promises.
    answer(|| unsafe { put(out, uuid(device)?) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: i32) -> Code {
    // SAFETY: null or valid, as the caller promises.
    answer(|| unsafe { put(bytes, memory(device)?) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuDeviceGetAttribute(value: *mut i32, attribute: u32, device: i32) -> Code {
    answer(|| {
        let found = attribute_of(profile(device)?, attribute)?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(value, found) }
    })
}

/// Number of the last attribute of CUDA 13.0.
const LAST_ATTRIBUTE: u32 = 146;

/// An attribute by the manual's number; what this device does not have is 0.
fn attribute_of(profile: &Profile, attribute: u32) -> Result<i32, Code> {
    let kilohertz = |hertz: f64| (hertz / 1e3) as u64;
    let value = match attribute {
        // Threads of a block, and its size and the grid's along x, y and z.
        1..=3 => BLOCK.into(),
        4 => 64,
        5 => i32::MAX as u64,
        6 | 7 => 65_535,
        // Shared memory of a block, constant memory, threads of a warp, pitch, registers of a block.
        8 => SHARED_DEFAULT as u64,
        9 => 64 << 10,
        10 => WARP.into(),
        11 => i32::MAX as u64,
        12 => REGISTERS.into(),
        // Clock in kHz, multiprocessors, whether kernels may overlap.
        13 => kilohertz(profile.clock),
        16 => profile.multiprocessors.into(),
        31 => 1,
        // Memory: clock in kHz, bus in bits, L2 cache.
        36 => kilohertz(profile.memory_clock),
        37 => profile.memory_bus.into(),
        38 => profile.l2_bytes.into(),
        // Resident threads, unified addresses, compute capability.
        39 => profile.threads.into(),
        41 => 1,
        75 => capability()? / 10,
        76 => capability()? % 10,
        // Stream priorities, caches of global and of local accesses.
        78..=80 => 1,
        // Of a multiprocessor: shared memory and registers; of a block that opts in: shared memory.
        81 => profile.shared as u64,
        82 => REGISTERS.into(),
        97 => profile.shared_per_block as u64,
        // Resident blocks; shared memory kept for each; memory pools, which `cuMemAllocAsync` needs.
        106 => profile.blocks.into(),
        111 => SHARED_RESERVED as u64,
        115 => 1,
        0 => return Err(Code::InvalidValue),
        _ if attribute > LAST_ATTRIBUTE => return Err(Code::InvalidValue),
        _ => 0,
    };
    i32::try_from(value).map_err(|_| Code::InvalidValue)
}
