//! Sparse times dense: `y += x · sᵀ` and `dx += dy · s`, one kernel over either form of the pattern.

use super::{
    Cpu,
    plan::{Piece, Row},
    slab::{self, Cut, Lanes, Line, Slab},
    strided::{View, ViewMut},
    turn::SIDE,
};
use crate::{num::to_usize, sparse::Csr, tensor::Matrix};
use rayon::prelude::*;
use std::{array::from_fn, ops::Range};

/// Lines of a tile where there are tokens for more than one: one entry is one multiply-add of so many vectors. Of 1, 2, 4
/// and 8, two are the fastest or nearly so at every size from 576 to 4096 features and from 0.15 to 2.4 %.
const LINES: usize = 2;

/// A tile of so few tokens is not worth transposing.
const FEW: usize = 8;

/// Tiles of a thread from which on it takes them whole.
const TILES: usize = 4;

/// Numbers from a row of the output to the next from which on a block of it is asked for before its sums are made: no
/// processor foresees such reads. Where rows lie closer together, most of them are near already.
const FAR: usize = 4096;

/// What every sum starts from: adding −0 changes no number, not even −0, so an empty row leaves y
/// as it is.
const NOTHING: f32 = -0.0;

pub(super) fn spmm_add(cpu: &Cpu, s: &Csr<Cpu>, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    let pattern = s.pattern();
    let rows = Rows {
        offsets: &pattern.row_offsets,
        columns: &pattern.col_indices,
        values: s.values(),
        column_offsets: &pattern.transpose.row_offsets,
        pieces: pattern.pieces(),
    };
    product_add(cpu, rows, x, y);
}

pub(super) fn spmm_t_add(cpu: &Cpu, s: &Csr<Cpu>, dy: &Matrix<Cpu>, dx: &mut Matrix<Cpu>) {
    let (pattern, transpose) = (s.pattern(), &s.pattern().transpose);
    let values: Vec<f32> = transpose.permutation.iter().map(|&entry| s.values()[to_usize(entry)]).collect();
    let rows = Rows {
        offsets: &transpose.row_offsets,
        columns: &transpose.col_indices,
        values: &values,
        column_offsets: &pattern.row_offsets,
        pieces: pattern.transposed_pieces(),
    };
    product_add(cpu, rows, dy, dx);
}

/// A sparse matrix by its rows.
#[derive(Clone, Copy)]
struct Rows<'a> {
    offsets: &'a [u32],
    columns: &'a [u32],
    values: &'a [f32],
    /// Where each column's entries would start.
    column_offsets: &'a [u32],
    pieces: &'a [Piece],
}

impl<'a> Rows<'a> {
    /// Columns and values of some entries.
    #[inline(always)]
    fn entries(self, entries: Range<usize>) -> impl Iterator<Item = (usize, f32)> + 'a {
        let columns = self.columns[entries.clone()].iter().map(|&column| to_usize(column));
        columns.zip(self.values[entries].iter().copied())
    }
}

/// `y[t,i] += Σ_j s[i,j]·x[t,j]`: tiles of tokens, and within each tile pieces of rows.
///
/// Either form of a tile sums an element's products in the same order, j rising, each by a fused
/// multiply-add: a token's result does not depend on the tokens around it.
fn product_add(cpu: &Cpu, s: Rows<'_>, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    if s.columns.is_empty() {
        return;
    }
    if x.rows() <= FEW {
        cpu.pooled(|| few_add(cpu, s, View::of(x), ViewMut::of(y)));
    } else if x.rows() <= SIDE {
        tiles_add::<1>(cpu, s, x, y);
    } else {
        tiles_add::<LINES>(cpu, s, x, y);
    }
}

/// Tiles of `16·L` tokens, one after the other or side by side.
fn tiles_add<const L: usize>(cpu: &Cpu, s: Rows<'_>, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    let (in_features, out_features) = (x.cols(), y.cols());
    let (x, y) = (x.buffer(), y.buffer_mut());
    let tokens = L * SIDE;
    // Threads need not meet within a tile where each has several.
    let cut = if x.len() / in_features >= TILES * cpu.threads() * tokens { Cut::Tiles } else { Cut::Pieces };
    cpu.pooled(|| {
        let tiles = y.par_chunks_mut(tokens * out_features).zip(x.par_chunks(tokens * in_features));
        // The features of a tile, and the sums of a block of rows.
        let block = s.pieces.iter().flat_map(|piece| &piece.blocks).map(|block| block.rows.len()).max();
        let block = block.unwrap_or_default();
        let room = || (Slab::<L>::unwritten(cpu, in_features), Slab::<L>::unwritten(cpu, block));
        tiles.for_each_init(room, |(slab, sums), (y, x)| {
            let tokens = x.len() / in_features;
            let (x, y) = (View::new(x, tokens, in_features), ViewMut::new(y, tokens, out_features));
            if tokens <= FEW {
                return few_add(cpu, s, x, y);
            }
            slab::fill(cpu, cut, x, s.column_offsets, slab);
            match cut {
                Cut::Tiles => {
                    let pieces = s.pieces.iter().zip(columns(y, s.pieces));
                    pieces.for_each(|(piece, y)| piece_add(cpu, s, piece, slab, sums, y));
                }
                Cut::Pieces => {
                    let pieces = s.pieces.par_iter().zip(columns(y, s.pieces));
                    let sums = || vec![[Line::splat(NOTHING); L]; block];
                    pieces.for_each_init(sums, |sums, (piece, y)| piece_add(cpu, s, piece, slab, sums, y));
                }
            }
        });
    });
}

/// The tokens of `x` one by one.
fn few_add(cpu: &Cpu, s: Rows<'_>, x: View<'_>, y: ViewMut<'_>) {
    s.pieces.par_iter().zip(columns(y, s.pieces)).for_each(|(piece, mut y)| {
        cpu.vectorize(
            #[inline(always)]
            || by_token(s, piece.rows.clone(), x, y.reborrow()),
        );
    });
}

/// A piece of the rows for a tile of tokens at once, by way of its slab; `sums` has room for those of a block.
fn piece_add<const L: usize>(
    cpu: &Cpu,
    s: Rows<'_>,
    piece: &Piece,
    slab: &[Lanes<L>],
    sums: &mut [Lanes<L>],
    mut y: ViewMut<'_>,
) {
    cpu.vectorize(
        #[inline(always)]
        || {
            for block in &piece.blocks {
                let first = block.rows.start - piece.rows.start;
                let tokens = 0..y.rows();
                let y = y.reborrow().block(tokens, first..first + block.rows.len());
                y.ask(FAR);
                by_slab(s, &block.order, slab, sums);
                slab::add(cpu, &sums[..block.rows.len()], s.offsets, block.rows.start, y);
            }
        },
    );
}

/// Consecutive pieces of the columns of `y`.
fn columns<'y>(y: ViewMut<'y>, pieces: &[Piece]) -> Vec<ViewMut<'y>> {
    let mut rest = Some(y);
    let cut = |piece: &Piece| {
        let (part, others) = rest.take()?.cut_cols(piece.rows.len());
        rest = Some(others);
        Some(part)
    };
    pieces.iter().filter_map(cut).collect()
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
        for (column, value) in s.entries(to_usize(s.offsets[row])..to_usize(s.offsets[row + 1])) {
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

/// All tokens of the tile at once, a lane each: `slab[j][t]` is `x[t,j]`, and `sums[i][t]` becomes the sum of the row in
/// place i.
#[inline(always)]
fn by_slab<const L: usize>(s: Rows<'_>, order: &[Row], slab: &[Lanes<L>], sums: &mut [Lanes<L>]) {
    for row in order {
        let mut sum = [Line::splat(NOTHING); L];
        for (column, value) in s.entries(row.entries()) {
            let value = Line::splat(value);
            for (sum, x) in sum.iter_mut().zip(&slab[column]) {
                sum.add_product(&value, x);
            }
        }
        sums[row.place()] = sum;
    }
}
