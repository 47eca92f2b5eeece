//! The sparse adapter of an embedding table: rows of s chosen by token ids, and the gradient.

use super::Cpu;
use crate::{
    num::to_usize,
    sparse::{Csr, CsrPattern},
    tensor::{Ids, Matrix},
};
use rayon::prelude::*;
use std::ops::Range;

/// Tokens, or table rows, of one parallel piece.
const PIECE: usize = 64;

pub(super) fn csr_embedding_add(cpu: &Cpu, s: &Csr<Cpu>, ids: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    if s.nnz() == 0 {
        return;
    }
    let (pattern, width) = (s.pattern(), y.cols());
    cpu.pooled(|| {
        let tokens = y.buffer_mut().par_chunks_exact_mut(width).zip(ids.buffer().par_iter());
        tokens.with_min_len(PIECE).for_each(|(y, &id)| {
            let entries = row_entries(pattern, id);
            for (&column, value) in pattern.col_indices[entries.clone()].iter().zip(&s.values()[entries]) {
                y[to_usize(column)] += value;
            }
        });
    });
}

pub(super) fn csr_embedding_grad_add(cpu: &Cpu, ids: &Ids<Cpu>, dy: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    let pattern = ds.pattern().clone();
    let ids = ids.buffer();
    // A stable sort: the tokens of one id stay in order, and each id's row has a single owner.
    let mut tokens: Vec<usize> = (0..ids.len()).collect();
    tokens.sort_by_key(|&t| ids[t]);
    let mut rest = &mut ds.values_mut()[..];
    let mut cut = 0;
    let mut rows = Vec::new();
    for tokens in tokens.chunk_by(|&a, &b| ids[a] == ids[b]) {
        let entries = row_entries(&pattern, ids[tokens[0]]);
        let values = &mut std::mem::take(&mut rest)[entries.start - cut..];
        let (values, after) = values.split_at_mut(entries.len());
        cut = entries.end;
        rest = after;
        rows.push((tokens, &pattern.col_indices[entries], values));
    }
    cpu.pooled(|| {
        rows.into_par_iter().with_min_len(PIECE).for_each(|(tokens, columns, values)| {
            for &t in tokens {
                let dy = &dy.buffer()[t * dy.cols()..];
                for (value, &column) in values.iter_mut().zip(columns) {
                    *value += dy[to_usize(column)];
                }
            }
        });
    });
}

/// The entries of row `id`.
fn row_entries(pattern: &CsrPattern<Cpu>, id: u32) -> Range<usize> {
    let row = to_usize(id);
    to_usize(pattern.row_offsets[row])..to_usize(pattern.row_offsets[row + 1])
}
