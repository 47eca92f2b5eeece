//! Occupancy queries. Where the PTX does not tell a kernel's registers, they are taken not to be what limits it.

use super::answer;
use super::code::{Answer, Code};
use super::function::Kernel;
use super::pointer::put;
use super::state::{Handle, with_context};
use crate::occupancy::{Occupancy, shared_for};
use crate::profile::{BLOCK, Profile, WARP};
use std::sync::Arc;

fn kernel(function: Handle) -> Answer<(Arc<Kernel>, &'static Profile)> {
    with_context(|context| Ok((Arc::clone(context.function(function)?), context.profile)))
}

fn blocks(kernel: &Kernel, profile: &Profile, threads: u32, dynamic: usize) -> Answer<u32> {
    let fixed = kernel.program()?.static_shared;
    let registers = kernel.resources(profile).map_or(0, |resources| resources.registers);
    Ok(Occupancy::new(profile, registers, threads, fixed.saturating_add(dynamic)).blocks)
}

fn positive(value: i32) -> Answer<u32> {
    u32::try_from(value).ok().filter(|&value| value != 0).ok_or(Code::InvalidValue)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    out: *mut i32,
    function: Handle,
    threads: i32,
    dynamic: usize,
) -> Code {
    answer(|| {
        let (kernel, profile) = kernel(function)?;
        let found = blocks(&kernel, profile, positive(threads)?, dynamic)?;
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(out, found as i32) }
    })
}

/// The flags are about caching, which makes no difference here.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    out: *mut i32,
    function: Handle,
    threads: i32,
    dynamic: usize,
    _flags: u32,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe { cuOccupancyMaxActiveBlocksPerMultiprocessor(out, function, threads, dynamic) }
}

/// Dynamic shared memory as a function of the threads of a block.
type SharedOfThreads = Option<unsafe extern "C" fn(i32) -> usize>;

/// The block with the most resident threads, of several the largest, and the blocks that fill the device.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxPotentialBlockSize(
    grid: *mut i32,
    block: *mut i32,
    function: Handle,
    shared_of_threads: SharedOfThreads,
    dynamic: usize,
    limit: i32,
) -> Code {
    answer(|| {
        let (kernel, profile) = kernel(function)?;
        let most = kernel.program()?.max_threads.unwrap_or(BLOCK).min(BLOCK);
        let most = if limit > 0 { most.min(limit as u32) } else { most };
        let mut best = (0, 0, 0);
        for threads in (WARP..=most).step_by(WARP as usize) {
            // SAFETY: the caller wants it called with sizes of blocks.
            let dynamic = shared_of_threads.map_or(dynamic, |f| unsafe { f(threads as i32) });
            let blocks = blocks(&kernel, profile, threads, dynamic)?;
            best = best.max((blocks * threads, threads, blocks));
        }
        let (_, threads, blocks) = best;
        // SAFETY: null or valid, as the caller promises.
        unsafe {
            put(grid, (blocks * profile.multiprocessors) as i32)?;
            put(block, threads as i32)
        }
    })
}

/// The flags are about caching, which makes no difference here.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyMaxPotentialBlockSizeWithFlags(
    grid: *mut i32,
    block: *mut i32,
    function: Handle,
    shared_of_threads: SharedOfThreads,
    dynamic: usize,
    limit: i32,
    _flags: u32,
) -> Code {
    // SAFETY: as the caller promises.
    unsafe { cuOccupancyMaxPotentialBlockSize(grid, block, function, shared_of_threads, dynamic, limit) }
}

/// The most dynamic shared memory with which so many blocks stand on a multiprocessor.
#[unsafe(no_mangle)]
unsafe extern "C" fn cuOccupancyAvailableDynamicSMemPerBlock(
    out: *mut usize,
    function: Handle,
    blocks: i32,
    threads: i32,
) -> Code {
    answer(|| {
        let (kernel, profile) = kernel(function)?;
        positive(threads)?;
        let fixed = kernel.program()?.static_shared;
        let found = shared_for(profile, positive(blocks)?).saturating_sub(fixed);
        // SAFETY: null or valid, as the caller promises.
        unsafe { put(out, found) }
    })
}
