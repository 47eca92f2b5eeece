//! `wmma.load` and `wmma.store`: each lane accesses the elements that it holds.

use crate::access::split;
use crate::block::Block;
use crate::error::{Fault, FaultKind};
use crate::instruction::{Access, Strength};
use crate::ops::wmma::{FragmentAccess, Order};
use crate::registers::lanes;
use crate::warp::Warp;

impl Warp {
    /// Every lane names the same matrix. Its start must be aligned to what a lane holds of it, its rows (or columns) to
    /// 16 bytes.
    pub(crate) fn fragment(
        &mut self,
        block: &mut Block,
        x: &FragmentAccess,
        mask: u32,
    ) -> Result<(), Box<Fault>> {
        let FragmentAccess { fragment, order, .. } = x;
        let bytes = fragment.bytes;
        let leading = if *order == Order::Row { fragment.columns } else { fragment.rows };
        let starts = self.addresses(&x.address);
        let strides = x.stride.map_or([leading as u32; 32], |slot| *self.registers.get(slot));
        let (start, stride) = (starts[0], u64::from(strides[0]) * bytes as u64);
        if let Some(lane) = lanes(mask).find(|&lane| starts[lane] != start || strides[lane] != strides[0]) {
            return Err(self.fault(block, lane, FaultKind::Disagreement { what: "wmma" }));
        }
        for (address, bytes) in [(start, 4 * fragment.registers.len()), (start.wrapping_add(stride), 16)] {
            if !address.is_multiple_of(bytes as u64) {
                let (space, address) = split(x.address.space, address);
                return Err(self.fault(block, 0, FaultKind::Misaligned { space, address, bytes }));
            }
        }
        let address = |i: usize| {
            let (row, column) = (i / fragment.columns, i % fragment.columns);
            let (major, minor) = if *order == Order::Row { (row, column) } else { (column, row) };
            start.wrapping_add(major as u64 * stride + (minor * bytes) as u64)
        };
        let (ty, register) = x.element();
        let access =
            Access { address: x.address, ty, registers: vec![register], strength: Strength::default() };
        let (elements, per_lane) = (fragment.rows * fragment.columns, fragment.per_lane());
        for i in 0..32 * per_lane {
            let lane = i / per_lane;
            let (slot, shift) = fragment.register(i % per_lane);
            let word = self.registers.lane::<u32>(slot, lane);
            if x.stores {
                let values = [u64::from(word >> shift), 0, 0, 0];
                self.store_lane(block, &access, lane, address(i), values)
                    .map_err(|kind| self.fault(block, lane, kind))?;
            } else {
                let values = self.load_lane(block, &access, lane, address(i % elements));
                let value = values.map_err(|kind| self.fault(block, lane, kind))?[0] as u32;
                let kept = if shift == 0 { 0 } else { word & 0xffff };
                self.registers.set_lane(slot, lane, kept | value << shift);
            }
        }
        block.count_matrix(x.address.space, (0..elements).map(address), x.stores);
        Ok(())
    }
}
