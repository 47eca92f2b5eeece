//! A pattern's transpose and row order, found once when the mask is made.

use super::Cpu;
use crate::{
    backend::Selected,
    num::to_usize,
    sparse::{CsrPattern, Transpose},
};
use std::cmp::Reverse;

/// A counting sort by column; it is stable, so rows rise within a column.
pub(super) fn csr_transpose(rows: usize, cols: usize, selected: Selected<Cpu>) -> CsrPattern<Cpu> {
    let Selected { row_offsets, col_indices } = selected;
    let mut next = vec![0; cols + 1];
    for &column in &col_indices {
        next[to_usize(column) + 1] += 1;
    }
    for column in 0..cols {
        next[column + 1] += next[column];
    }
    let mut transpose = Transpose::<Cpu> {
        row_offsets: next.clone().into(),
        col_indices: vec![0; col_indices.len()].into(),
        permutation: vec![0; col_indices.len()].into(),
    };
    for (row, bounds) in (0..).zip(row_offsets.windows(2)) {
        for entry in bounds[0]..bounds[1] {
            let place = &mut next[to_usize(col_indices[to_usize(entry)])];
            transpose.col_indices[to_usize(*place)] = row;
            transpose.permutation[to_usize(*place)] = entry;
            *place += 1;
        }
    }
    let mut row_order: Vec<(u32, u32)> =
        (0..).zip(row_offsets.windows(2).map(|bounds| bounds[1] - bounds[0])).collect();
    row_order.sort_by_key(|&(_, length)| Reverse(length));
    let row_order = row_order.into_iter().map(|(row, _)| row).collect();
    CsrPattern { rows, cols, row_offsets, col_indices, row_order, transpose, plan: () }
}
