//! How many blocks of a kernel a multiprocessor holds at once: the rules of NVIDIA's occupancy calculator for compute
//! capability 8.0 and later.

use crate::profile::{Profile, REGISTERS, SHARED_RESERVED, WARP};

/// Registers come in units of so many per warp.
const REGISTER_UNIT: u32 = 256;
/// Warps are shared out to the schedulers, each with its part of the registers: in fours.
const WARP_UNIT: u32 = 4;
/// Bytes of shared memory come in units of so many.
const SHARED_UNIT: usize = 128;

/// What stands on a multiprocessor at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Blocks; 0 where one needs more than there is.
    pub blocks: u32,
    /// Warps of these blocks.
    pub warps: u32,
    /// Warps that there is room for.
    pub room: u32,
}

impl Occupancy {
    /// Of blocks of `threads` threads with `registers` registers each, and `shared` bytes of shared memory, static and
    /// dynamic.
    #[must_use]
    pub fn new(profile: &Profile, registers: u32, threads: u32, shared: usize) -> Self {
        let warps = threads.div_ceil(WARP).max(1);
        let by_registers = match (registers * WARP).next_multiple_of(REGISTER_UNIT) {
            0 => u32::MAX,
            per_warp => REGISTERS / per_warp / WARP_UNIT * WARP_UNIT / warps,
        };
        let by_shared = profile.shared / shared_of_block(shared);
        let by_warps = profile.warps() / warps;
        let blocks =
            profile.blocks.min(by_registers).min(by_warps).min(u32::try_from(by_shared).unwrap_or(u32::MAX));
        Self { blocks, warps: blocks * warps, room: profile.warps() }
    }

    /// Warps over the room for them.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.warps) / f64::from(self.room)
    }
}

/// What a block with so many bytes takes of a multiprocessor's shared memory.
fn shared_of_block(bytes: usize) -> usize {
    bytes.saturating_add(SHARED_RESERVED).saturating_add(SHARED_UNIT - 1) / SHARED_UNIT * SHARED_UNIT
}

/// The most shared memory that each of `blocks` blocks on a multiprocessor can have.
#[must_use]
pub fn shared_for(profile: &Profile, blocks: u32) -> usize {
    let each = profile.shared / blocks.max(1) as usize / SHARED_UNIT * SHARED_UNIT;
    each.saturating_sub(SHARED_RESERVED).min(profile.shared_per_block)
}
