//! A pattern's transpose and row order, found once when the mask is made.

use super::{Cpu, Elements, PatternPlan};
use crate::{
    backend::Selected,
    num::to_usize,
    sparse::{CsrPattern, Transpose},
};

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
    let row_order = by_falling_length(&row_offsets);
    CsrPattern { rows, cols, row_offsets, col_indices, row_order, transpose, plan: PatternPlan::default() }
}

/// The rows by falling length, ties by rising index: a counting sort too.
fn by_falling_length(row_offsets: &[u32]) -> Elements<u32> {
    let lengths = || row_offsets.windows(2).map(|bounds| to_usize(bounds[1] - bounds[0]));
    // Where the rows of each length begin: behind all that are longer.
    let mut next = vec![0; lengths().max().unwrap_or(0) + 1];
    lengths().for_each(|length| next[length] += 1);
    let mut longer = 0;
    for count in next.iter_mut().rev() {
        (*count, longer) = (longer, longer + *count);
    }
    let mut order = vec![0; longer];
    for (row, length) in (0..).zip(lengths()) {
        order[next[length]] = row;
        next[length] += 1;
    }
    order.into()
}
