//! Atomics on global and shared memory.

use crate::access::{aligned, bounded, count_turns, global, split};
use crate::block::Block;
use crate::error::{Fault, FaultKind};
use crate::instruction::{Atomic, AtomicFunction};
use crate::memory::Region;
use crate::race::Touch;
use crate::registers::lanes;
use crate::rounding::{BF16, F16, Format, Rounding, two_sum};
use crate::types::{Space, Type};
use crate::warp::Warp;
use crate::watch::Manner;

impl Warp {
    pub(crate) fn atomic(&mut self, block: &mut Block, a: &Atomic, active: u32) -> Result<(), Box<Fault>> {
        let addresses = self.addresses(&a.address);
        let (mut in_global, mut in_shared) = (0, 0);
        for lane in lanes(active) {
            let (space, address) = split(a.address.space, addresses[lane]);
            in_global |= u32::from(space == Space::Global) << lane;
            in_shared |= u32::from(space == Space::Shared) << lane;
            let b = self.value(a.b, lane);
            let c = a.c.map_or(0, |c| self.value(c, lane));
            let generic = space.base() + address;
            block.publish(self.index, generic, a.strength);
            let old = self.update(block, a, lane, space, address, [b, c]);
            let old = old.map_err(|kind| self.fault(block, lane, kind))?;
            block.observe(self.index, generic, a.strength);
            match a.d {
                Some(d) if d.bits == 64 => self.registers.set_lane(d.slot, lane, old),
                Some(d) => self.registers.set_lane(d.slot, lane, old as u32),
                None => {}
            }
        }
        if in_global != 0 {
            block.count_sectors(&addresses, in_global, true);
        }
        if in_shared != 0 {
            count_turns(&mut block.counters, &addresses, in_shared, a.ty.bytes());
        }
        Ok(())
    }

    fn update(
        &self,
        block: &mut Block,
        a: &Atomic,
        lane: usize,
        space: Space,
        address: u64,
        [b, c]: [u64; 2],
    ) -> Result<u64, FaultKind> {
        let bytes = a.ty.bytes();
        aligned(space, address, bytes)?;
        let apply = |region: &Region, offset: usize| {
            region.check_read(offset, bytes).map_err(|why| why.fault(space, address, bytes))?;
            Ok(region.update(offset, bytes, |old| combine(a.function, a.ty, old, b, c)))
        };
        match space {
            Space::Shared => {
                let offset = bounded(space, block.shared.len(), address, bytes)?;
                let thread = 32 * self.index + lane;
                if let Some((at, other)) = block.races.strong_write(Touch { thread, offset, bytes }) {
                    let other = block.launch.thread(other);
                    return Err(FaultKind::SharedRace { address: at as u64, other, writes: true });
                }
                block.proxy.write(thread, offset, bytes);
                apply(&block.shared, offset)
            }
            Space::Global => {
                let (allocation, offset) = global(block.launch.memory, &mut block.hint, address, bytes)?;
                if allocation.read_only {
                    return Err(FaultKind::ReadOnly { space, address });
                }
                // An atomic of the block's scope is none to other blocks.
                block.watch(address, offset, bytes, Manner { writes: true, strong: !a.strength.narrow })?;
                apply(&allocation.region, offset)
            }
            _ => Err(FaultKind::ReadOnly { space, address }),
        }
    }
}

/// What an atomic leaves in memory that held `a`.
pub(crate) fn combine(function: AtomicFunction, ty: Type, a: u64, b: u64, c: u64) -> u64 {
    let signed = |x: u64| if ty.bytes() == 8 { x as i64 } else { i64::from(x as u32 as i32) };
    match function {
        AtomicFunction::Add => add(ty, a, b),
        AtomicFunction::Min if ty.is_signed() => signed(a).min(signed(b)) as u64,
        AtomicFunction::Max if ty.is_signed() => signed(a).max(signed(b)) as u64,
        AtomicFunction::Min => a.min(b),
        AtomicFunction::Max => a.max(b),
        AtomicFunction::And => a & b,
        AtomicFunction::Or => a | b,
        AtomicFunction::Xor => a ^ b,
        AtomicFunction::Inc => {
            if a >= b {
                0
            } else {
                a + 1
            }
        }
        AtomicFunction::Dec => {
            if a == 0 || a > b {
                b
            } else {
                a - 1
            }
        }
        AtomicFunction::Exchange => b,
        AtomicFunction::CompareAndSwap => {
            if a == b {
                c
            } else {
                a
            }
        }
    }
}

fn add(ty: Type, a: u64, b: u64) -> u64 {
    let half = |format: Format, a: u64, b: u64| {
        let (sum, rest) = two_sum(format.value(a & 0xffff), format.value(b & 0xffff));
        format.round_sum(sum, rest, Rounding::Nearest)
    };
    match ty {
        Type::F32 => (f32::from_bits(a as u32) + f32::from_bits(b as u32)).to_bits().into(),
        Type::F64 => (f64::from_bits(a) + f64::from_bits(b)).to_bits(),
        Type::F16 => half(F16, a, b),
        Type::BF16 => half(BF16, a, b),
        Type::F16x2 => half(F16, a >> 16, b >> 16) << 16 | half(F16, a, b),
        Type::BF16x2 => half(BF16, a >> 16, b >> 16) << 16 | half(BF16, a, b),
        _ => a.wrapping_add(b),
    }
}
