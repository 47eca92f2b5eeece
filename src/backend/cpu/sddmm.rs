//! A dense product at the entries of a pattern: `ds += (dyᵀ · x)` where ds is set.

use super::{
    Cpu,
    dots::dots,
    plan::Entries,
    slab::{self, Cut, Lanes, Slab},
    strided::View,
    turn::SIDE,
};
use crate::{
    backend::Write,
    num::to_usize,
    sparse::{Csr, CsrPattern},
    tensor::Matrix,
};
use rayon::prelude::*;

/// Entries for each row and column, on average, from which on a tile of few features has four lines, not two: more lines share
/// the cost of summing the lanes.
const MANY: usize = 20;

/// Rows and columns of which slabs of four lines stay in the second cache.
const FEATURES: usize = 2560;

/// Chunks of entries of one parallel piece: equal work, whatever the rows look like.
const PIECE: usize = 64;

/// Entries of one parallel piece of what the groups' sums are added to.
const ADDED: usize = 4096;

/// Groups of consecutive tiles, at most: each has slabs and sums of its own, so that threads need not wait for each other after
/// every tile.
const GROUPS: usize = 2;

/// Tiles of a group from which on its thread takes them whole.
const TILES: usize = 4;

pub(super) fn sddmm_add(cpu: &Cpu, dy: &Matrix<Cpu>, x: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    if ds.nnz() == 0 || x.is_empty() {
        return;
    }
    let features = dy.cols() + x.cols();
    if features <= FEATURES && ds.nnz() >= MANY * features && x.rows() >= 4 * GROUPS * SIDE {
        tiles_add::<4>(cpu, dy, x, ds);
    } else {
        tiles_add::<2>(cpu, dy, x, ds);
    }
}

/// Tiles of `16·L` tokens.
fn tiles_add<const L: usize>(cpu: &Cpu, dy: &Matrix<Cpu>, x: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    let pattern = ds.pattern().clone();
    let entries = pattern.entries();
    let tile = L * SIDE;
    let tokens = tile * x.rows().div_ceil(tile).div_ceil(GROUPS);
    let groups = x.rows().div_ceil(tokens);
    // Threads need not meet within a tile where each has a group of several.
    let cut =
        if cpu.threads() <= groups && x.rows() >= TILES * groups * tile { Cut::Tiles } else { Cut::Pieces };
    let mut sums = Slab::<1>::unwritten(cpu, groups * entries.chunks().len());
    cpu.pooled(|| {
        let (dy, x) = (View::of(dy), View::of(x));
        sums.par_chunks_mut(entries.chunks().len()).enumerate().for_each(|(group, sums)| {
            let tokens = group * tokens..x.rows().min((group + 1) * tokens);
            let (dy, x) = (dy.block(tokens.clone(), 0..dy.cols()), x.block(tokens, 0..x.cols()));
            group_sums::<L>(cpu, &pattern, entries, cut, dy, x, sums);
        });
        let pieces = ds.values_mut().par_chunks_mut(ADDED).zip(entries.places().par_chunks(ADDED));
        pieces.for_each(|(ds, places)| {
            for sums in sums.chunks(entries.chunks().len()) {
                let sums = slab::flat(sums);
                ds.iter_mut().zip(places).for_each(|(ds, &place)| *ds += sums[to_usize(place)]);
            }
        });
    });
}

/// The sums over consecutive tokens, tile by tile.
fn group_sums<const L: usize>(
    cpu: &Cpu,
    pattern: &CsrPattern<Cpu>,
    entries: &Entries,
    cut: Cut,
    dy: View<'_>,
    x: View<'_>,
    sums: &mut [Lanes<1>],
) {
    let (mut dy_slab, mut x_slab) =
        (Slab::<L>::unwritten(cpu, dy.cols()), Slab::<L>::unwritten(cpu, x.cols()));
    for first in (0..x.rows()).step_by(L * SIDE) {
        let tokens = first..x.rows().min(first + L * SIDE);
        let (dy, x) = (dy.block(tokens.clone(), 0..dy.cols()), x.block(tokens, 0..x.cols()));
        rayon::join(
            || slab::fill(cpu, cut, dy, &pattern.row_offsets, &mut dy_slab),
            || slab::fill(cpu, cut, x, &pattern.transpose.row_offsets, &mut x_slab),
        );
        let write = if first == 0 { Write::Overwrite } else { Write::Add };
        sums.par_chunks_mut(PIECE).enumerate().with_min_len(cut.least()).for_each(|(piece, sums)| {
            let chunks = piece * PIECE..piece * PIECE + sums.len();
            dots(cpu, entries, chunks, &dy_slab, &x_slab, write, sums);
        });
    }
}
