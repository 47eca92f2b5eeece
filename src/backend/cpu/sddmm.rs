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

/// Lines of a tile: more would share the cost of summing the lanes, but what two slabs hold of them would not stay in the caches
/// that blocks of entries are made for.
const LINES: usize = 2;

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
    let pattern = ds.pattern().clone();
    let entries = pattern.entries();
    let tile = LINES * SIDE;
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
            group_sums(cpu, &pattern, entries, cut, dy, x, sums);
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
fn group_sums(
    cpu: &Cpu,
    pattern: &CsrPattern<Cpu>,
    entries: &Entries,
    cut: Cut,
    dy: View<'_>,
    x: View<'_>,
    sums: &mut [Lanes<1>],
) {
    let (mut dy_slab, mut x_slab) =
        (Slab::<LINES>::unwritten(cpu, dy.cols()), Slab::<LINES>::unwritten(cpu, x.cols()));
    for first in (0..x.rows()).step_by(LINES * SIDE) {
        let tokens = first..x.rows().min(first + LINES * SIDE);
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
