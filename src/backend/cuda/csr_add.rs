//! `w += s`: merging the sparse adapter into a dense matrix.

use super::{
    Cuda,
    driver::{Buffer, Grid, Kernel},
    kernels::{CSR_ADD_THREADS, CSR_WINDOW, CsrAddArgs},
    plan::HostPattern,
};
use crate::{
    device::Float,
    error::Result,
    num::{to_u32, to_usize},
    sparse::Csr,
    tensor::Matrix,
};
use std::any::TypeId;

const F32: Kernel<CsrAddArgs> = Kernel::new("csr_add", "csr_add_f32");
const BF16: Kernel<CsrAddArgs> = Kernel::new("csr_add", "csr_add_bf16");

/// Where a pattern's windows of [`CSR_WINDOW`] entries start.
pub(super) struct Windows {
    /// The row of each window's first entry.
    rows: Buffer<u32>,
}

impl Windows {
    pub(super) fn new(cuda: &Cuda, pattern: &HostPattern) -> Result<Self> {
        let mut rows = Vec::with_capacity(pattern.col_indices.len().div_ceil(to_usize(CSR_WINDOW)));
        let mut row = 0;
        for first in (0..pattern.col_indices.len()).step_by(to_usize(CSR_WINDOW)) {
            while to_usize(pattern.row_offsets[row + 1]) <= first {
                row += 1;
            }
            rows.push(to_u32("rows of a pattern", row)?);
        }
        Ok(Self { rows: cuda.driver.upload(&rows)? })
    }
}

pub(super) fn csr_add<T: Float>(cuda: &Cuda, s: &Csr<Cuda>, w: &mut Matrix<Cuda, T>) -> Result<()> {
    let kernel = if TypeId::of::<T>() == TypeId::of::<f32>() { F32 } else { BF16 };
    let (driver, pattern) = (&cuda.driver, s.pattern());
    let windows = &pattern.plan.csr_add.rows;
    let args = CsrAddArgs {
        rows: to_u32("rows of a pattern", s.rows())?,
        cols: to_u32("columns of a pattern", s.cols())?,
        nnz: to_u32("entries of a pattern", s.nnz())?,
        windows: to_u32("entries of a pattern", windows.len())?,
        row_offsets: driver.input(&pattern.row_offsets),
        col_indices: driver.input(&pattern.col_indices),
        values: driver.input(s.values()),
        window_rows: driver.input(windows),
        w: driver.output(w.buffer_mut()),
    };
    let grid = Grid::row(args.windows.div_ceil(CSR_ADD_THREADS / 32), CSR_ADD_THREADS);
    // SAFETY: the pattern's invariants and plan; w has its shape, by the contract of the op, and the kernel's type: the
    // two that implement Float.
    unsafe { driver.launch(&kernel, grid, args) }
}
