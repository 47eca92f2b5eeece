//! A pattern's transpose, row order and plan.

use super::{
    Cuda,
    driver::{Grid, Kernel},
    kernels::{
        CSR_TRANSPOSE_CHUNK, CSR_TRANSPOSE_SCAN_THREADS, CSR_TRANSPOSE_THREADS, CSR_WINDOW, CsrTransposeArgs,
    },
    plan::{HostPattern, PatternPlan},
};
use crate::{
    backend::Selected,
    error::Result,
    num::{to_u32, to_usize},
    sparse::{CsrPattern, Transpose},
};
use std::cmp::Reverse;

const COUNT: Kernel<CsrTransposeArgs> = Kernel::new("csr_transpose", "csr_transpose_count");
const COLUMNS: Kernel<CsrTransposeArgs> = Kernel::new("csr_transpose", "csr_transpose_columns");
const OFFSETS: Kernel<CsrTransposeArgs> = Kernel::new("csr_transpose", "csr_transpose_offsets");
const PLACE: Kernel<CsrTransposeArgs> = Kernel::new("csr_transpose", "csr_transpose_place");

pub(super) fn csr_transpose(
    cuda: &Cuda,
    rows: usize,
    cols: usize,
    selected: Selected<Cuda>,
) -> Result<CsrPattern<Cuda>> {
    let driver = &cuda.driver;
    let transpose = transpose(cuda, rows, cols, &selected)?;
    let pattern = HostPattern {
        rows,
        cols,
        row_offsets: driver.download(&selected.row_offsets)?,
        col_indices: driver.download(&selected.col_indices)?,
    };
    let transposed = HostPattern {
        rows: cols,
        cols: rows,
        row_offsets: driver.download(&transpose.row_offsets)?,
        col_indices: driver.download(&transpose.col_indices)?,
    };
    let plan = PatternPlan::new(cuda, &pattern, &transposed)?;
    let row_order = driver.upload(&row_order(&pattern.row_offsets)?)?;
    let Selected { row_offsets, col_indices } = selected;
    Ok(CsrPattern { rows, cols, row_offsets, col_indices, row_order, transpose, plan })
}

/// The columns of `selected`, found on the device.
fn transpose(cuda: &Cuda, rows: usize, cols: usize, selected: &Selected<Cuda>) -> Result<Transpose<Cuda>> {
    let driver = &cuda.driver;
    let nnz = selected.col_indices.len();
    if nnz == 0 {
        return Ok(Transpose {
            row_offsets: driver.zeros(cols + 1)?,
            col_indices: driver.uninit(0)?,
            permutation: driver.uninit(0)?,
        });
    }
    // As few chunks as keep the counts below 4 numbers per entry.
    let chunk = cols.div_ceil(4).next_multiple_of(to_usize(CSR_WINDOW)).max(to_usize(CSR_TRANSPOSE_CHUNK));
    let chunks = nnz.div_ceil(chunk);
    let mut counts = driver.zeros::<u32>(chunks * cols)?;
    let mut transpose = Transpose::<Cuda> {
        row_offsets: driver.uninit(cols + 1)?,
        col_indices: driver.uninit(nnz)?,
        permutation: driver.uninit(nnz)?,
    };
    let args = CsrTransposeArgs {
        rows: to_u32("rows of a pattern", rows)?,
        cols: to_u32("columns of a pattern", cols)?,
        nnz: to_u32("entries of a pattern", nnz)?,
        chunk: to_u32("entries of a chunk", chunk)?,
        row_offsets: driver.input(&selected.row_offsets),
        col_indices: driver.input(&selected.col_indices),
        counts: driver.output(&mut counts),
        offsets: driver.output(&mut transpose.row_offsets),
        indices: driver.output(&mut transpose.col_indices),
        permutation: driver.output(&mut transpose.permutation),
    };
    let threads = |steps| Grid::row(cuda.blocks_for(steps, CSR_TRANSPOSE_THREADS), CSR_TRANSPOSE_THREADS);
    let warps = to_u32("chunks", chunks)?.div_ceil(CSR_TRANSPOSE_THREADS / 32);
    // SAFETY: selected forms a pattern of this shape, by the contract of the op; the other arrays have the lengths that
    // the struct says, and the counts are zeros.
    unsafe {
        driver.launch(&COUNT, threads(nnz), args)?;
        driver.launch(&COLUMNS, threads(cols), args)?;
        driver.launch(&OFFSETS, Grid::row(1, CSR_TRANSPOSE_SCAN_THREADS), args)?;
        driver.launch(&PLACE, Grid::row(warps, CSR_TRANSPOSE_THREADS), args)?;
    }
    Ok(transpose)
}

/// The rows by falling length, ties by rising index; on the host, where the offsets are for the plan.
fn row_order(row_offsets: &[u32]) -> Result<Vec<u32>> {
    let mut rows: Vec<u32> = (0..to_u32("rows of a pattern", row_offsets.len() - 1)?).collect();
    rows.sort_by_key(|&row| Reverse(row_offsets[to_usize(row) + 1] - row_offsets[to_usize(row)]));
    Ok(rows)
}
