//! The slab form: partials of every slot and slab, then their sums.

use super::{
    Operands,
    form::{SlabShape, slab_is_aligned},
    slots::Slots,
};
use crate::{
    backend::cuda::{
        Buffer, Cuda,
        driver::{Grid, Kernel},
        kernels::{SDDMM_ENTRY_THREADS, SDDMM_SLAB_THREADS, SddmmSlabArgs, SddmmSumArgs},
        plan::HostPattern,
    },
    error::Result,
    num::{to_u32, to_usize},
};

const SLAB_64: Kernel<SddmmSlabArgs> = Kernel::new("sddmm_slab", "sddmm_slab_64");
const SLAB_32: Kernel<SddmmSlabArgs> = Kernel::new("sddmm_slab", "sddmm_slab_32");
const SLAB_64_UNALIGNED: Kernel<SddmmSlabArgs> = Kernel::new("sddmm_slab", "sddmm_slab_64_unaligned");
const SLAB_32_UNALIGNED: Kernel<SddmmSlabArgs> = Kernel::new("sddmm_slab", "sddmm_slab_32_unaligned");
const SUM: Kernel<SddmmSumArgs> = Kernel::new("sddmm_slab", "sddmm_slab_sum");

/// Bytes of partials at a time: what stays in the L2 cache of a large device from one launch to the next. More slabs go
/// in rounds, each added to ds before the next begins.
const PARTIAL_BYTES: usize = 32 << 20;

/// The slots of a pattern on the device.
pub(in crate::backend::cuda) struct Plan {
    shape: SlabShape,
    columns: usize,
    slots: usize,
    chunks: usize,
    tile_count: usize,
    item_count: usize,
    tiles: Buffer<u32>,
    items: Buffer<u32>,
    codes: Buffer<u16>,
    entries: Buffer<u32>,
    partial_bytes: usize,
}

impl Plan {
    pub(super) fn new(cuda: &Cuda, pattern: &HostPattern, shape: SlabShape) -> Result<Self> {
        let slots = Slots::new(pattern, shape.columns)?;
        let driver = &cuda.driver;
        Ok(Self {
            shape,
            columns: slots.columns,
            slots: slots.entries.len(),
            chunks: to_usize(slots.chunks()?),
            tile_count: slots.tiles.len(),
            item_count: slots.items.len(),
            tiles: driver.upload(bytemuck::cast_slice(&slots.tiles))?,
            items: driver.upload(bytemuck::cast_slice(&slots.items))?,
            codes: driver.upload(&slots.codes)?,
            entries: driver.upload(&slots.entries)?,
            partial_bytes: PARTIAL_BYTES,
        })
    }

    /// The same plan with another limit on its partials.
    #[cfg(test)]
    pub(super) fn with_partial_bytes(self, partial_bytes: usize) -> Self {
        Self { partial_bytes, ..self }
    }

    /// Bytes of the partials of one slab.
    pub(super) fn slab_bytes(&self) -> usize {
        size_of::<f32>() * self.slots
    }

    /// # Safety
    /// As for [`super::Plan::add`].
    pub(super) unsafe fn add(&self, cuda: &Cuda, operands: Operands) -> Result<()> {
        let slabs = to_usize(operands.tokens).div_ceil(self.shape.tokens);
        let at_once = (self.partial_bytes / self.slab_bytes().max(1)).clamp(1, slabs);
        // Rounds of equal size, so that the last one fills the device as well.
        let at_once = slabs.div_ceil(slabs.div_ceil(at_once));
        let mut partials = cuda.driver.uninit(at_once * self.slots)?;
        for first in (0..slabs).step_by(at_once) {
            let first_token = to_u32("tokens", first * self.shape.tokens)?;
            let tokens = (operands.tokens - first_token).min(to_u32("tokens", at_once * self.shape.tokens)?);
            let bytes = |width: u32| 2 * u64::from(first_token) * u64::from(width);
            let round = Operands {
                tokens,
                dy: operands.dy + bytes(operands.rows),
                x: operands.x + bytes(operands.cols),
                ..operands
            };
            // SAFETY: the caller's promise for a part of the tokens; the partials have room for its slabs.
            unsafe { self.add_round(cuda, round, &mut partials)? };
        }
        Ok(())
    }

    /// # Safety
    /// As for [`add`](Self::add), with room for a partial of each slot and slab.
    unsafe fn add_round(&self, cuda: &Cuda, operands: Operands, partials: &mut Buffer<f32>) -> Result<()> {
        let driver = &cuda.driver;
        let slabs = to_usize(operands.tokens).div_ceil(self.shape.tokens);
        let multiprocessors = to_usize(cuda.properties().multiprocessors);
        let sharers = self.shape.sharers(
            self.columns,
            self.tile_count,
            slabs,
            self.item_count,
            self.chunks,
            multiprocessors,
        );
        let grid = Grid {
            blocks: [to_u32("slabs", slabs)?, to_u32("tiles", self.tile_count)?, to_u32("blocks", sharers)?],
            threads: SDDMM_SLAB_THREADS,
            shared: to_u32("shared memory", self.shape.bytes(self.columns))?,
        };
        let aligned = slab_is_aligned(to_usize(operands.rows), to_usize(operands.cols));
        let kernel = match (self.shape.tokens, aligned) {
            (64, true) => SLAB_64,
            (64, false) => SLAB_64_UNALIGNED,
            (_, true) => SLAB_32,
            (_, false) => SLAB_32_UNALIGNED,
        };
        let args = SddmmSlabArgs {
            tokens: operands.tokens,
            rows: operands.rows,
            cols: operands.cols,
            columns: to_u32("columns", self.columns)?,
            slots: self.slots as u64,
            dy: operands.dy,
            x: operands.x,
            tiles: driver.input(&self.tiles),
            items: driver.input(&self.items),
            codes: driver.input(&self.codes),
            partials: driver.output(partials),
        };
        let sum = SddmmSumArgs {
            slots: self.slots as u64,
            slabs: slabs as u64,
            entries: driver.input(&self.entries),
            partials: driver.input(partials),
            ds: operands.ds,
        };
        let sum_blocks = to_u32("slots", self.slots.div_ceil(to_usize(SDDMM_ENTRY_THREADS)))?;
        // SAFETY: the operands are the caller's promise; the lists are those of one pattern, which this plan holds.
        unsafe {
            driver.launch(&kernel, grid, args)?;
            driver.launch(&SUM, Grid::row(sum_blocks, SDDMM_ENTRY_THREADS), sum)
        }
    }
}
