//! A dense product at the entries of a pattern: `ds += (dyᵀ · x)` where ds is set.

use super::{Cpu, slab};
use crate::{num::to_usize, sparse::Csr, tensor::Matrix};
use rayon::prelude::*;
use std::array::from_fn;

/// Tokens of a slab: one entry is one multiply-add of this many lanes per slab.
const LANES: usize = 64;

/// Slabs of a tile: more share the cost of summing the lanes, fewer stay in the cache (two are
/// 2 MB of x at 4096 features).
const SLABS: usize = 2;

/// Entries of one parallel piece: equal work, whatever the rows look like.
const PIECE: usize = 1024;

/// One slab of either side: all features of the same [`LANES`] tokens.
struct Slab {
    dy: Vec<[f32; LANES]>,
    x: Vec<[f32; LANES]>,
}

pub(super) fn sddmm_add(cpu: &Cpu, dy: &Matrix<Cpu>, x: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    if ds.nnz() == 0 || x.is_empty() {
        return;
    }
    let pattern = ds.pattern().clone();
    let (out_features, in_features) = (dy.cols(), x.cols());
    let slabs = x.rows().div_ceil(LANES).min(SLABS);
    let mut tile: Vec<Slab> = (0..slabs)
        .map(|_| Slab { dy: vec![[0.0; LANES]; out_features], x: vec![[0.0; LANES]; in_features] })
        .collect();
    let tokens = LANES * SLABS;
    cpu.install(|| {
        let tiles = dy.buffer().chunks(tokens * out_features).zip(x.buffer().chunks(tokens * in_features));
        for (dy, x) in tiles {
            let parts = dy.par_chunks(LANES * out_features).zip(x.par_chunks(LANES * in_features));
            let filled = parts.len();
            tile.par_iter_mut().zip(parts).for_each(|(slab, (dy, x))| {
                slab::transpose(cpu, dy, &pattern.row_offsets, &mut slab.dy);
                slab::transpose(cpu, x, &pattern.transpose.row_offsets, &mut slab.x);
            });
            ds.values_mut().par_chunks_mut(PIECE).enumerate().for_each(|(piece, ds)| {
                cpu.vectorize(
                    #[inline(always)]
                    || {
                        tile_add(
                            &tile[..filled],
                            &pattern.row_offsets,
                            &pattern.col_indices,
                            piece * PIECE,
                            ds,
                        )
                    },
                );
            });
        }
    });
}

/// Adds a tile's part to the entries `first..` of the pattern.
#[inline(always)]
fn tile_add(tile: &[Slab], row_offsets: &[u32], columns: &[u32], first: usize, ds: &mut [f32]) {
    let mut row = row_offsets.partition_point(|&offset| to_usize(offset) <= first) - 1;
    for ((entry, &column), ds) in (first..).zip(&columns[first..]).zip(ds) {
        while to_usize(row_offsets[row + 1]) <= entry {
            row += 1;
        }
        let mut lanes = [0.0; LANES];
        for slab in tile {
            for ((lane, &dy), &x) in lanes.iter_mut().zip(&slab.dy[row]).zip(&slab.x[to_usize(column)]) {
                *lane = dy.mul_add(x, *lane);
            }
        }
        *ds += sum(&lanes);
    }
}

/// The sum of all lanes: eight partial sums, then a tree. Every size is a constant, which is what
/// keeps the lanes in registers.
#[inline(always)]
fn sum(lanes: &[f32; LANES]) -> f32 {
    let parts = lanes.as_chunks::<8>().0;
    let eight: [f32; 8] = parts.iter().fold([0.0; 8], |sum, part| from_fn(|l| sum[l] + part[l]));
    let four: [f32; 4] = from_fn(|l| eight[l] + eight[l + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}
