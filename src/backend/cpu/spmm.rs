//! Sparse times dense: `y += x · sᵀ` and `dx += dy · s`, one kernel over either form of the pattern.

use super::{
    Cpu,
    row_pieces::{row_pieces, split},
    slab::{self, Lanes, Line},
    strided::{View, ViewMut},
    turn::SIDE,
};
use crate::{num::to_usize, sparse::Csr, tensor::Matrix};
use rayon::prelude::*;
use std::{array::from_fn, ops::Range};

/// Lines of a tile where there are tokens for more than one: one entry is one multiply-add of so many vectors. Of 1, 2, 4 and 8, two are the fastest or
/// nearly so at every size from 576 to 4096 features and from 0.15 to 2.4 %.
const LINES: usize = 2;

/// A tile of so few tokens is not worth transposing.
const FEW: usize = 8;

/// Rows with so many entries, or more, need no order: what one mistaken branch costs is small beside their work.
const LONG: usize = 63;

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
    let pieces = row_pieces(s.offsets);
    if x.rows() <= FEW {
        cpu.pooled(|| few_add(cpu, s, &pieces, View::of(x), ViewMut::of(y)));
    } else if x.rows() <= SIDE {
        tiles_add::<1>(cpu, s, column_offsets, pieces, x, y);
    } else {
        tiles_add::<LINES>(cpu, s, column_offsets, pieces, x, y);
    }
}

/// Tiles of `16·L` tokens, one after the other or side by side.
fn tiles_add<const L: usize>(
    cpu: &Cpu,
    s: Rows<'_>,
    column_offsets: &[u32],
    pieces: Vec<Range<usize>>,
    x: &Matrix<Cpu>,
    y: &mut Matrix<Cpu>,
) {
    let (in_features, out_features) = (x.cols(), y.cols());
    let pattern = Pattern { s, column_offsets, orders: orders(s.offsets, &pieces), pieces };
    let (x, y) = (x.buffer(), y.buffer_mut());
    let tokens = L * SIDE;
    cpu.pooled(|| {
        let tiles = y.par_chunks_mut(tokens * out_features).zip(x.par_chunks(tokens * in_features));
        let slabs = || (slab::slab::<L>(in_features), slab::slab::<L>(out_features));
        tiles.for_each_init(slabs, |(slab, sums), (y, x)| {
            let tokens = x.len() / in_features;
            let (x, y) = (View::new(x, tokens, in_features), ViewMut::new(y, tokens, out_features));
            if tokens <= FEW {
                few_add(cpu, s, &pattern.pieces, x, y);
            } else {
                pattern.tile_add(cpu, x, slab, sums, y);
            }
        });
    });
}

/// The tokens of `x` one by one.
fn few_add(cpu: &Cpu, s: Rows<'_>, pieces: &[Range<usize>], x: View<'_>, y: ViewMut<'_>) {
    pieces.par_iter().zip(columns(y, pieces)).for_each(|(rows, mut y)| {
        cpu.vectorize(
            #[inline(always)]
            || by_token(s, rows.clone(), x, y.reborrow()),
        );
    });
}

/// A sparse matrix, and how its rows are taken.
struct Pattern<'a> {
    s: Rows<'a>,
    column_offsets: &'a [u32],
    pieces: Vec<Range<usize>>,
    /// The rows of each piece, in the order in which they are summed.
    orders: Vec<Vec<usize>>,
}

impl Pattern<'_> {
    /// A tile of tokens at once, by way of two slabs.
    fn tile_add<const L: usize>(
        &self,
        cpu: &Cpu,
        x: View<'_>,
        slab: &mut [Lanes<L>],
        sums: &mut [Lanes<L>],
        y: ViewMut<'_>,
    ) {
        slab::fill(cpu, x, self.column_offsets, slab);
        let slab = &*slab;
        let sums = split(sums, self.pieces.iter().map(Range::len));
        let pieces = self.pieces.par_iter().zip(&self.orders).zip(sums).zip(columns(y, &self.pieces));
        pieces.for_each(|(((rows, order), sums), mut y)| {
            cpu.vectorize(
                #[inline(always)]
                || {
                    by_slab(self.s, rows.start, order, slab, sums);
                    slab::add(cpu, sums, self.s.offsets, rows.start, y.reborrow());
                },
            );
        });
    }
}

/// Consecutive ranges of the columns of `y`.
fn columns<'y>(y: ViewMut<'y>, ranges: &[Range<usize>]) -> Vec<ViewMut<'y>> {
    let mut rest = Some(y);
    let cut = |range: &Range<usize>| {
        let (part, others) = rest.take()?.cut_cols(range.len());
        rest = Some(others);
        Some(part)
    };
    ranges.iter().filter_map(cut).collect()
}

/// The rows of each piece by rising length: a loop whose number of rounds seldom changes is one that the processor foresees.
fn orders(offsets: &[u32], pieces: &[Range<usize>]) -> Vec<Vec<usize>> {
    pieces.iter().map(|rows| by_length(offsets, rows.clone())).collect()
}

fn by_length(offsets: &[u32], rows: Range<usize>) -> Vec<usize> {
    let length = |row| to_usize(offsets[row + 1] - offsets[row]).min(LONG);
    let mut ends = [0; LONG + 1];
    rows.clone().for_each(|row| ends[length(row)] += 1);
    let mut end = 0;
    for count in &mut ends {
        end += *count;
        *count = end;
    }
    let mut order = vec![0; rows.len()];
    for row in rows.rev() {
        let place = &mut ends[length(row)];
        *place -= 1;
        order[*place] = row;
    }
    order
}

/// Each token on its own, gathering its features; `y[t]` holds the elements of `rows`.
#[inline(always)]
fn by_token(s: Rows<'_>, rows: Range<usize>, x: View<'_>, mut y: ViewMut<'_>) {
    let mut first = 0;
    while first < x.rows() {
        first += match x.rows() - first {
            4.. => tokens::<4>(s, rows.clone(), x, first, &mut y),
            _ => tokens::<1>(s, rows.clone(), x, first, &mut y),
        };
    }
}

/// N tokens from `first` on, which share the walk over the entries; returns N.
#[inline(always)]
fn tokens<const N: usize>(
    s: Rows<'_>,
    rows: Range<usize>,
    x: View<'_>,
    first: usize,
    y: &mut ViewMut<'_>,
) -> usize {
    let x: [_; N] = from_fn(|n| x.row(first + n));
    for (i, row) in rows.enumerate() {
        let mut sums = [NOTHING; N];
        for (column, value) in s.entries(row) {
            for (sum, x) in sums.iter_mut().zip(&x) {
                *sum = value.mul_add(x[column], *sum);
            }
        }
        for (token, sum) in (first..).zip(sums) {
            y.row(token)[i] += sum;
        }
    }
    N
}

/// All tokens of the tile at once, a lane each: `slab[j][t]` is `x[t,j]`, and `sums[0][t]` becomes the sum of row `first`.
#[inline(always)]
fn by_slab<const L: usize>(
    s: Rows<'_>,
    first: usize,
    order: &[usize],
    slab: &[Lanes<L>],
    sums: &mut [Lanes<L>],
) {
    for &row in order {
        let mut sum = [Line::splat(NOTHING); L];
        for (column, value) in s.entries(row) {
            let value = Line::splat(value);
            for (sum, x) in sum.iter_mut().zip(&slab[column]) {
                sum.add_product(&value, x);
            }
        }
        sums[row - first] = sum;
    }
}
