//! The dense form: every element of a tile, of which those of the pattern are kept.

use super::{Operands, form::dense_is_aligned};
use crate::{
    backend::cuda::{
        Buffer, Cuda,
        driver::{Grid, Kernel},
        kernels::{
            SDDMM_DENSE_COLS, SDDMM_DENSE_ROWS, SDDMM_DENSE_STAGES, SDDMM_DENSE_THREADS, SDDMM_DENSE_TOKENS,
            SddmmDenseArgs,
        },
        plan::HostPattern,
    },
    error::Result,
    num::{to_u32, to_usize},
    sparse::CsrPattern,
};

const DENSE: Kernel<SddmmDenseArgs> = Kernel::new("sddmm_dense", "sddmm_dense");
const DENSE_UNALIGNED: Kernel<SddmmDenseArgs> = Kernel::new("sddmm_dense", "sddmm_dense_unaligned");

/// A stage is 2 bytes for each row of a tile, and token.
const STAGE_BYTES: u32 = 2 * SDDMM_DENSE_TOKENS * SDDMM_DENSE_ROWS;
/// What a token of x takes in shared memory.
const HELD_TOKEN_BYTES: u32 = 2 * SDDMM_DENSE_COLS;
/// Where the entries of a tile's rows begin and end.
const FIXED_BYTES: u32 = 8 * SDDMM_DENSE_ROWS;

/// Where the entries of each row and tile of columns start, and how many blocks share the tiles.
pub(in crate::backend::cuda) struct Plan {
    blocks: u32,
    starts: Buffer<u32>,
}

impl Plan {
    pub(super) fn new(cuda: &Cuda, pattern: &HostPattern) -> Result<Self> {
        let column_tiles = to_u32("tiles", pattern.cols.div_ceil(to_usize(SDDMM_DENSE_COLS)))?;
        let row_tiles = pattern.rows.div_ceil(to_usize(SDDMM_DENSE_ROWS));
        let most = to_usize(cuda.properties().multiprocessors.max(1));
        let blocks = to_u32("blocks", (row_tiles * to_usize(column_tiles)).min(most))?;
        Ok(Self { blocks, starts: cuda.driver.upload(&starts(pattern, column_tiles))? })
    }

    /// The same plan with at most so many blocks.
    #[cfg(test)]
    pub(super) fn in_blocks(self, most: u32) -> Self {
        Self { blocks: self.blocks.min(most), ..self }
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
        let held_tokens = held_tokens(operands.tokens, cuda.properties().shared_memory);
        let grid = Grid {
            blocks: [self.blocks, 1, 1],
            threads: SDDMM_DENSE_THREADS,
            shared: SDDMM_DENSE_STAGES * STAGE_BYTES + held_tokens * HELD_TOKEN_BYTES,
        };
        let aligned = dense_is_aligned(to_usize(operands.rows), to_usize(operands.cols));
        let args = SddmmDenseArgs {
            tokens: operands.tokens,
            rows: operands.rows,
            cols: operands.cols,
            held_tokens,
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

/// The tokens of x that a block holds at a time: equal shares, as few as shared memory allows.
fn held_tokens(tokens: u32, shared_memory: u32) -> u32 {
    let room =
        shared_memory.saturating_sub(FIXED_BYTES + SDDMM_DENSE_STAGES * STAGE_BYTES) / HELD_TOKEN_BYTES;
    let most = (room / SDDMM_DENSE_TOKENS).max(1) * SDDMM_DENSE_TOKENS;
    tokens.div_ceil(tokens.div_ceil(most).max(1)).next_multiple_of(SDDMM_DENSE_TOKENS)
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
    fn as_many_tokens_are_held_as_shared_memory_allows() {
        // All of 512 on devices whose blocks have 163 KB, two halves where they have 99.
        assert_eq!(held_tokens(512, 163 << 10), 512);
        assert_eq!(held_tokens(512, 99 << 10), 256);
        assert_eq!(held_tokens(513, 163 << 10), 272);
        assert_eq!(held_tokens(768, 227 << 10), 768);
        assert_eq!(held_tokens(769, 227 << 10), 400);
        assert_eq!(held_tokens(1, 99 << 10), 16);
        assert_eq!(held_tokens(16, 0), 16);
    }

    #[test]
    fn every_row_is_cut_at_the_tiles() {
        let pattern = HostPattern {
            rows: 3,
            cols: 300,
            row_offsets: vec![0, 4, 4, 6],
            col_indices: vec![0, 127, 128, 299, 255, 256],
        };
        assert_eq!(starts(&pattern, 3), [0, 4, 4, 2, 4, 4, 3, 4, 5, 4, 4, 6]);
    }
}
