//! The gather form: a lane for each entry.

use super::Operands;
use crate::{
    backend::cuda::{
        Cuda,
        driver::{Grid, Kernel},
        kernels::{SDDMM_ENTRY_THREADS, SddmmGatherArgs},
    },
    error::Result,
    num::to_u32,
    sparse::CsrPattern,
};

const GATHER: Kernel<SddmmGatherArgs> = Kernel::new("sddmm_gather", "sddmm_gather");

/// # Safety
/// The operands live until the call returns, with the sizes that they state, and `pattern` is that of ds.
pub(super) unsafe fn add(cuda: &Cuda, operands: Operands, pattern: &CsrPattern<Cuda>) -> Result<()> {
    let driver = &cuda.driver;
    let entries = to_u32("nnz", pattern.nnz())?;
    let args = SddmmGatherArgs {
        tokens: operands.tokens,
        rows: operands.rows,
        cols: operands.cols,
        entries,
        dy: operands.dy,
        x: operands.x,
        row_offsets: driver.input(&pattern.row_offsets),
        col_indices: driver.input(&pattern.col_indices),
        ds: operands.ds,
    };
    let blocks = entries.div_ceil(SDDMM_ENTRY_THREADS);
    // SAFETY: the operands are the caller's promise; a pattern's arrays keep its invariants.
    unsafe { driver.launch(&GATHER, Grid::row(blocks, SDDMM_ENTRY_THREADS), args) }
}
