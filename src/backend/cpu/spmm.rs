//! Sparse times dense: `y += x · sᵀ` and `dx += dy · s`, one kernel over either form of the pattern.

use super::{
    Cpu,
    row_pieces::{row_pieces, split},
    slab,
};
use crate::{num::to_usize, sparse::Csr, tensor::Matrix};
use rayon::prelude::*;
use std::ops::Range;

/// Tokens of a tile: one entry is one multiply-add of this many lanes.
const LANES: usize = 32;

/// A tile of so few tokens is not worth transposing.
const FEW: usize = 8;

/// Rows whose sums are added to y together: 16 floats of a token are a cache line of y.
const BLOCK: usize = 16;

/// What every sum starts from: adding −0 changes no number, not even −0, so an empty row leaves y
/// as it is.
const NOTHING: f32 = -0.0;

pub(super) fn spmm_add(cpu: &Cpu, s: &Csr<Cpu>, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    let pattern = s.pattern();
    let rows = Rows { offsets: &pattern.row_offsets, columns: &pattern.col_indices, values: s.values() };
    product_add(cpu, rows, &pattern.transpose.row_offsets, x, y);
}

pub(super) fn spmm_t_add(cpu: &Cpu, s: &Csr<Cpu>, dy: &Matrix<Cpu>, dx: &mut Matrix<Cpu>) {
    let (pattern, transpose) = (s.pattern(), &s.pattern().transpose);
    let values: Vec<f32> = transpose.permutation.iter().map(|&entry| s.values()[to_usize(entry)]).collect();
    let rows = Rows { offsets: &transpose.row_offsets, columns: &transpose.col_indices, values: &values };
    product_add(cpu, rows, &pattern.row_offsets, dy, dx);
}

/// A sparse matrix by its rows.
#[derive(Clone, Copy)]
struct Rows<'a> {
    offsets: &'a [u32],
    columns: &'a [u32],
    values: &'a [f32],
}

impl<'a> Rows<'a> {
    /// Columns and values of one row.
    #[inline(always)]
    fn entries(self, row: usize) -> impl Iterator<Item = (usize, f32)> + 'a {
        let entries = to_usize(self.offsets[row])..to_usize(self.offsets[row + 1]);
        let columns = self.columns[entries.clone()].iter().map(|&column| to_usize(column));
        columns.zip(self.values[entries].iter().copied())
    }
}

/// `y[t,i] += Σ_j s[i,j]·x[t,j]`: tiles of tokens, and within each tile pieces of rows.
///
/// Either form of a tile sums an element's products in the same order, j rising, each by a fused
/// multiply-add: a token's result does not depend on the tokens around it.
fn product_add(cpu: &Cpu, s: Rows<'_>, column_offsets: &[u32], x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    if s.columns.is_empty() {
        return;
    }
    let (in_features, out_features) = (x.cols(), y.cols());
    let pieces = row_pieces(s.offsets);
    let (x, y) = (x.buffer(), y.buffer_mut());
    cpu.install(|| {
        let tiles = y.par_chunks_mut(LANES * out_features).zip(x.par_chunks(LANES * in_features));
        tiles.for_each(|(y, x)| {
            let few = x.len() <= FEW * in_features;
            let mut slab = vec![[0.0; LANES]; if few { 0 } else { in_features }];
            if !few {
                slab::transpose(cpu, x, column_offsets, &mut slab);
            }
            let parts = split_columns(y, out_features, &pieces);
            parts.into_par_iter().zip(&pieces).for_each(|(mut y, rows)| {
                cpu.vectorize(
                    #[inline(always)]
                    || {
                        if few {
                            by_token(s, rows.clone(), x, in_features, &mut y);
                        } else {
                            by_slab(s, rows.clone(), &slab, &mut y);
                        }
                    },
                );
            });
        });
    });
}

/// For each range of columns, its part of every row of `y` (rows of `width`).
fn split_columns<'y>(y: &'y mut [f32], width: usize, ranges: &[Range<usize>]) -> Vec<Vec<&'y mut [f32]>> {
    let mut parts: Vec<_> = ranges.iter().map(|_| Vec::with_capacity(LANES)).collect();
    for row in y.chunks_mut(width) {
        for (part, columns) in parts.iter_mut().zip(split(row, ranges.iter().map(Range::len))) {
            part.push(columns);
        }
    }
    parts
}

/// Each token on its own, gathering its features; `y[t]` holds the elements of `rows`.
#[inline(always)]
fn by_token(s: Rows<'_>, rows: Range<usize>, x: &[f32], in_features: usize, y: &mut [&mut [f32]]) {
    for (x, y) in x.chunks_exact(in_features).zip(y) {
        for (row, y) in rows.clone().zip(y.iter_mut()) {
            *y += s.entries(row).fold(NOTHING, |sum, (column, value)| value.mul_add(x[column], sum));
        }
    }
}

/// All tokens of the tile at once, a lane each: `slab[j][t]` is `x[t,j]`.
#[inline(always)]
fn by_slab(s: Rows<'_>, rows: Range<usize>, slab: &[[f32; LANES]], y: &mut [&mut [f32]]) {
    for start in rows.clone().step_by(BLOCK) {
        let end = rows.end.min(start + BLOCK);
        if s.offsets[start] == s.offsets[end] {
            continue;
        }
        let mut sums = [[NOTHING; LANES]; BLOCK];
        for (row, sums) in (start..end).zip(&mut sums) {
            let mut sum = [NOTHING; LANES];
            for (column, value) in s.entries(row) {
                for (sum, &x) in sum.iter_mut().zip(&slab[column]) {
                    *sum = value.mul_add(x, *sum);
                }
            }
            *sums = sum;
        }
        for (t, y) in y.iter_mut().enumerate() {
            for (y, sums) in y[start - rows.start..end - rows.start].iter_mut().zip(&sums) {
                *y += sums[t];
            }
        }
    }
}
