//! `w += s`: merging the sparse adapter into a dense matrix.

use super::{
    Cpu,
    row_pieces::{row_pieces, split},
};
use crate::{device::Float, num::to_usize, sparse::Csr, tensor::Matrix};
use rayon::prelude::*;

pub(super) fn csr_add<T: Float>(cpu: &Cpu, s: &Csr<Cpu>, w: &mut Matrix<Cpu, T>) {
    if s.nnz() == 0 {
        return;
    }
    let (pattern, width) = (s.pattern(), w.cols());
    let pieces = row_pieces(&pattern.row_offsets);
    let parts = split(w.buffer_mut(), pieces.iter().map(|rows| rows.len() * width));
    cpu.pooled(|| {
        parts.into_par_iter().zip(pieces).for_each(|(w, rows)| {
            for (row, start) in rows.zip((0..).step_by(width)) {
                let entries = to_usize(pattern.row_offsets[row])..to_usize(pattern.row_offsets[row + 1]);
                for (&column, value) in pattern.col_indices[entries.clone()].iter().zip(&s.values()[entries])
                {
                    let w = &mut w[start + to_usize(column)];
                    *w = T::from_f32(w.to_f32() + value);
                }
            }
        });
    });
}
