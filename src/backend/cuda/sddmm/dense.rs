//! The dense form: every element of a tile, of which those of the pattern are kept.

use super::{
    Operands,
    form::{DENSE_STAGE_BYTES, dense_is_aligned},
};
use crate::{
    backend::cuda::{
        Buffer, Cuda,
        driver::{Grid, Kernel},
        kernels::{
            SDDMM_DENSE_COLS, SDDMM_DENSE_ROWS, SDDMM_DENSE_STAGES, SDDMM_DENSE_THREADS, SddmmDenseArgs,
        },
        plan::HostPattern,
    },
    error::Result,
    num::{to_u32, to_usize},
    sparse::CsrPattern,
};

const DENSE: Kernel<SddmmDenseArgs> = Kernel::new("sddmm_dense", "sddmm_dense");
const DENSE_UNALIGNED: Kernel<SddmmDenseArgs> = Kernel::new("sddmm_dense", "sddmm_dense_unaligned");

/// Where the entries of each row and tile of columns start.
pub(in crate::backend::cuda) struct Plan {
    column_tiles: u32,
    starts: Buffer<u32>,
}

impl Plan {
    pub(super) fn new(cuda: &Cuda, pattern: &HostPattern) -> Result<Self> {
        let column_tiles = to_u32("tiles", pattern.cols.div_ceil(to_usize(SDDMM_DENSE_COLS)))?;
        Ok(Self { column_tiles, starts: cuda.driver.upload(&starts(pattern, column_tiles))? })
    }

    /// # Safety
    /// As for [`super::Plan::add`].
    pub(super) unsafe fn add(
        &self,
        cuda: &Cuda,
        operands: Operands,
        pattern: &CsrPattern<Cuda>,
    ) -> Result<()> {
        let driver = &cuda.driver;
        let grid = Grid {
            blocks: [operands.rows.div_ceil(SDDMM_DENSE_ROWS), self.column_tiles, 1],
            threads: SDDMM_DENSE_THREADS,
            shared: SDDMM_DENSE_STAGES * DENSE_STAGE_BYTES,
        };
        let aligned = dense_is_aligned(to_usize(operands.rows), to_usize(operands.cols));
        let args = SddmmDenseArgs {
            tokens: operands.tokens,
            rows: operands.rows,
            cols: operands.cols,
            column_tiles: self.column_tiles,
            dy: operands.dy,
            x: operands.x,
            starts: driver.input(&self.starts),
            col_indices: driver.input(&pattern.col_indices),
            ds: operands.ds,
        };
        // SAFETY: the operands are the caller's promise; the starts are those of this pattern.
        unsafe { driver.launch(if aligned { &DENSE } else { &DENSE_UNALIGNED }, grid, args) }
    }
}

/// For each tile and one more, the first entry of each row that does not lie before it.
fn starts(pattern: &HostPattern, column_tiles: u32) -> Vec<u32> {
    let mut starts = Vec::with_capacity((to_usize(column_tiles) + 1) * pattern.rows);
    let mut next = pattern.row_offsets[..pattern.rows].to_vec();
    for tile in 0..=column_tiles {
        for (row, next) in next.iter_mut().enumerate() {
            let end = pattern.row_offsets[row + 1];
            while *next < end && pattern.col_indices[to_usize(*next)] / SDDMM_DENSE_COLS < tile {
                *next += 1;
            }
            starts.push(*next);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_cut_at_the_tiles() {
        let pattern = HostPattern {
            rows: 3,
            cols: 600,
            row_offsets: vec![0, 4, 4, 6],
            col_indices: vec![0, 255, 256, 599, 511, 512],
        };
        assert_eq!(starts(&pattern, 3), [0, 4, 4, 2, 4, 4, 3, 4, 5, 4, 4, 6]);
    }
}
