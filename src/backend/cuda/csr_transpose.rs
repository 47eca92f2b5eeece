//! A pattern's transpose, row order and plan.

use super::{
    Cuda,
    plan::{HostPattern, PatternPlan},
};
use crate::{
    backend::Selected,
    error::Result,
    num::{to_u32, to_usize},
    sparse::{CsrPattern, Transpose},
};
use std::cmp::Reverse;

pub(super) fn csr_transpose(
    cuda: &Cuda,
    rows: usize,
    cols: usize,
    selected: Selected<Cuda>,
) -> Result<CsrPattern<Cuda>> {
    let driver = &cuda.driver;
    let row_offsets = driver.download(&selected.row_offsets)?;
    let col_indices = driver.download(&selected.col_indices)?;
    let mut offsets = vec![0; cols + 1];
    for &column in &col_indices {
        offsets[to_usize(column) + 1] += 1;
    }
    for column in 0..cols {
        offsets[column + 1] += offsets[column];
    }
    let (mut next, mut indices, mut permutation) =
        (offsets.clone(), vec![0; col_indices.len()], vec![0; col_indices.len()]);
    for (row, bounds) in row_offsets.windows(2).enumerate() {
        for entry in bounds[0]..bounds[1] {
            let place = &mut next[to_usize(col_indices[to_usize(entry)])];
            indices[to_usize(*place)] = to_u32("rows", row)?;
            permutation[to_usize(*place)] = entry;
            *place += 1;
        }
    }
    let mut row_order: Vec<u32> = (0..to_u32("rows", rows)?).collect();
    row_order.sort_by_key(|&row| Reverse(row_offsets[to_usize(row) + 1] - row_offsets[to_usize(row)]));
    let transpose = Transpose {
        row_offsets: driver.upload(&offsets)?,
        col_indices: driver.upload(&indices)?,
        permutation: driver.upload(&permutation)?,
    };
    let pattern = HostPattern { rows, cols, row_offsets, col_indices };
    let transposed = HostPattern { rows: cols, cols: rows, row_offsets: offsets, col_indices: indices };
    let plan = PatternPlan::new(cuda, &pattern, &transposed)?;
    let Selected { row_offsets, col_indices } = selected;
    Ok(CsrPattern {
        rows,
        cols,
        row_offsets,
        col_indices,
        row_order: driver.upload(&row_order)?,
        transpose,
        plan,
    })
}
