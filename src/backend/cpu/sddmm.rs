//! A dense product at the entries of a pattern: `ds += (dyᵀ · x)` where ds is set.

use super::{
    Cpu,
    slab::{self, Cut, Lanes, Line, Slab},
    strided::{View, ViewMut},
    turn::{SIDE, turn},
};
use crate::{
    backend::Write,
    num::to_usize,
    sparse::{Csr, CsrPattern},
    tensor::Matrix,
};
use rayon::prelude::*;
use std::iter;

/// Lines of a tile: more share the cost of summing the lanes, fewer stay in the cache. Of 2, 4, 8 and 16, four are the
/// fastest or within a sixth of it at every size from 576 to 4096 features and from 0.15 to 2.4 %.
const LINES: usize = 4;
/// Tokens of a tile.
const TOKENS: usize = LINES * SIDE;

/// Entries of one parallel piece: equal work, whatever the rows look like.
const PIECE: usize = 1024;

/// Groups of consecutive tiles, at most: each has slabs and sums of its own, so that threads need not wait for each other
/// after every tile.
const GROUPS: usize = 2;

pub(super) fn sddmm_add(cpu: &Cpu, dy: &Matrix<Cpu>, x: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    if ds.nnz() == 0 || x.is_empty() {
        return;
    }
    let pattern = ds.pattern().clone();
    let rows = row_of_each(&pattern.row_offsets);
    let tokens = TOKENS * x.rows().div_ceil(TOKENS).div_ceil(GROUPS);
    // The first group adds to ds itself.
    let mut sums = vec![vec![0.0; ds.nnz()]; x.rows().div_ceil(tokens) - 1];
    cpu.pooled(|| {
        let targets: Vec<_> =
            iter::once(&mut ds.values_mut()[..]).chain(sums.iter_mut().map(|s| &mut s[..])).collect();
        let (dy, x) = (View::of(dy), View::of(x));
        targets.into_par_iter().enumerate().for_each(|(group, ds)| {
            let tokens = group * tokens..x.rows().min((group + 1) * tokens);
            let (dy, x) = (dy.block(tokens.clone(), 0..dy.cols()), x.block(tokens, 0..x.cols()));
            group_add(cpu, &pattern, &rows, dy, x, ds);
        });
        for sums in &sums {
            let pieces = ds.values_mut().par_chunks_mut(PIECE).zip(sums.par_chunks(PIECE));
            pieces.for_each(|(ds, sums)| ds.iter_mut().zip(sums).for_each(|(ds, sum)| *ds += sum));
        }
    });
}

/// Adds the part of consecutive tokens, tile by tile.
fn group_add(cpu: &Cpu, pattern: &CsrPattern<Cpu>, rows: &[u32], dy: View<'_>, x: View<'_>, ds: &mut [f32]) {
    let (mut dy_slab, mut x_slab) = (Slab::unwritten(cpu, dy.cols()), Slab::unwritten(cpu, x.cols()));
    for first in (0..x.rows()).step_by(TOKENS) {
        let tokens = first..x.rows().min(first + TOKENS);
        let (dy, x) = (dy.block(tokens.clone(), 0..dy.cols()), x.block(tokens, 0..x.cols()));
        rayon::join(
            || slab::fill(cpu, Cut::Pieces, dy, &pattern.row_offsets, &mut dy_slab),
            || slab::fill(cpu, Cut::Pieces, x, &pattern.transpose.row_offsets, &mut x_slab),
        );
        let entries = rows.par_chunks(PIECE).zip(pattern.col_indices.par_chunks(PIECE));
        entries.zip(ds.par_chunks_mut(PIECE)).for_each(|((rows, columns), ds)| {
            cpu.vectorize(
                #[inline(always)]
                || tile_add(cpu, &dy_slab, &x_slab, (rows, columns), ds),
            );
        });
    }
}

/// The row of each entry.
pub(super) fn row_of_each(row_offsets: &[u32]) -> Vec<u32> {
    let mut rows = Vec::with_capacity(to_usize(row_offsets[row_offsets.len() - 1]));
    for (row, &end) in (0..).zip(&row_offsets[1..]) {
        rows.resize(to_usize(end), row);
    }
    rows
}

/// Adds a tile's part to the entries of these rows and columns.
#[inline(always)]
fn tile_add(
    cpu: &Cpu,
    dy: &[Lanes<LINES>],
    x: &[Lanes<LINES>],
    (rows, columns): (&[u32], &[u32]),
    ds: &mut [f32],
) {
    let mut products = [[Line::splat(0.0); SIDE]];
    let mut turned = products;
    for ((rows, columns), ds) in rows.chunks(SIDE).zip(columns.chunks(SIDE)).zip(ds.chunks_mut(SIDE)) {
        for ((product, &row), &column) in products[0].iter_mut().zip(rows).zip(columns) {
            let mut lanes = Line::splat(0.0);
            for (dy, x) in dy[to_usize(row)].iter().zip(&x[to_usize(column)]) {
                lanes.add_product(dy, x);
            }
            *product = lanes;
        }
        // Turned, the lanes of 16 entries are summed by 16 additions for all.
        let (from, to) = (slab::flat(&products), slab::flat_mut(&mut turned));
        turn(cpu.arch, View::new(from, SIDE, SIDE), Write::Overwrite, ViewMut::new(to, SIDE, SIDE));
        let mut sums = Line::splat(0.0);
        for lane in turned.as_flattened() {
            sums.0.iter_mut().zip(&lane.0).for_each(|(sum, lane)| *sum += lane);
        }
        ds.iter_mut().zip(&sums.0).for_each(|(ds, sum)| *ds += sum);
    }
}
