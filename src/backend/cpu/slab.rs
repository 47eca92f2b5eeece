//! Activations turned so that the tokens of one feature are contiguous: the form in which one
//! sparse entry is a handful of full-width vector operations.

use super::{
    Cpu,
    elements::Elements,
    strided::{View, ViewMut},
    turn::{HALF, SIDE, turn, turn_columns},
};
use crate::backend::Write;
use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use std::ops::{Deref, DerefMut, Range};

/// Features of one parallel piece of a transposition.
const PIECE: usize = 512;

/// Features of a block of sums from which on few tokens at a time are added to.
const WIDE: usize = 32;

/// One feature of [`SIDE`] tokens: a cache line.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; SIDE]);

impl Line {
    /// All lanes the same.
    pub(super) const fn splat(value: f32) -> Self {
        Self([value; SIDE])
    }

    /// `self += a·b` in each lane, rounded once.
    #[inline(always)]
    pub(super) fn add_product(&mut self, a: &Self, b: &Self) {
        for ((sum, &a), &b) in self.0.iter_mut().zip(&a.0).zip(&b.0) {
            *sum = a.mul_add(b, *sum);
        }
    }
}

/// One feature of `16·L` tokens.
pub(super) type Lanes<const L: usize> = [Line; L];

/// How the work on a slab is cut for the thread pool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// By tiles of tokens: a thread has a slab of its own, and does all with it.
    Tiles,
    /// Within a tile too, by its features.
    Pieces,
}

impl Cut {
    /// The fewest pieces of a tile that a thread takes.
    pub(super) fn least(self) -> usize {
        if self == Self::Tiles { usize::MAX } else { 1 }
    }
}

/// Some features of `16·L` tokens.
pub(super) struct Slab<const L: usize>(Elements<Line>);

impl<const L: usize> Slab<L> {
    /// Any numbers, for so many features.
    pub(super) fn unwritten(cpu: &Cpu, features: usize) -> Self {
        Self(Elements::unwritten(cpu.scratch(), features * L))
    }
}

impl<const L: usize> Deref for Slab<L> {
    type Target = [Lanes<L>];

    fn deref(&self) -> &[Lanes<L>] {
        self.0.as_chunks().0
    }
}

impl<const L: usize> DerefMut for Slab<L> {
    fn deref_mut(&mut self) -> &mut [Lanes<L>] {
        self.0.as_chunks_mut().0
    }
}

/// Overwrites `slab[j][t]` with `x[t,j]`, x `[16·L or fewer, features]`, and with 0 for the tokens that are
/// missing.
///
/// A block of features is left alone when `offsets` (a compressed-row form over the features) has
/// no entry in it: nothing will read it.
pub(super) fn fill<const L: usize>(cpu: &Cpu, cut: Cut, x: View<'_>, offsets: &[u32], slab: &mut [Lanes<L>]) {
    slab.par_chunks_mut(PIECE).enumerate().with_min_len(cut.least()).for_each(|(piece, slab)| {
        cpu.vectorize(
            #[inline(always)]
            || {
                let (first, features) = (piece * PIECE, slab.len());
                let mut slab = ViewMut::new(flat_mut(slab), features, L * SIDE);
                for token in (0..L * SIDE).step_by(SIDE) {
                    let tokens = token.min(x.rows())..x.rows().min(token + SIDE);
                    for block in ranges(0..features, SIDE).filter(|block| any(offsets, first, block)) {
                        let from = x.block(tokens.clone(), first + block.start..first + block.end);
                        let to = slab.reborrow().block(block, token..token + SIDE);
                        turn(cpu.arch, from, Write::Overwrite, to);
                    }
                }
            },
        );
    });
}

/// `y[t,j] += sums[j][t]`, y `[16·L or fewer, features]`, feature 0 being row `first` of `offsets`; blocks without
/// an entry are left alone. The caller's loop is compiled for the CPU.
#[inline(always)]
pub(super) fn add<const L: usize>(
    cpu: &Cpu,
    sums: &[Lanes<L>],
    offsets: &[u32],
    first: usize,
    y: ViewMut<'_>,
) {
    // As few rows of y at a time as a cache has lines in a set; in few lines of each, that gains nothing.
    if sums.len() > WIDE {
        add_columns::<L, HALF>(cpu, sums, offsets, first, y);
    } else {
        add_columns::<L, SIDE>(cpu, sums, offsets, first, y);
    }
}

/// [`add`] for so many tokens at a time.
#[inline(always)]
fn add_columns<const L: usize, const TOKENS: usize>(
    cpu: &Cpu,
    sums: &[Lanes<L>],
    offsets: &[u32],
    first: usize,
    mut y: ViewMut<'_>,
) {
    let from = View::new(flat(sums), sums.len(), L * SIDE);
    for token in (0..y.rows()).step_by(TOKENS) {
        let tokens = token..y.rows().min(token + TOKENS);
        for block in ranges(0..sums.len(), SIDE).filter(|block| any(offsets, first, block)) {
            let from = from.block(block.clone(), token..token + TOKENS);
            turn_columns::<TOKENS>(cpu.arch, from, Write::Add, y.reborrow().block(tokens.clone(), block));
        }
    }
}

/// Consecutive ranges of `len` features, the last one with what is left.
#[inline(always)]
fn ranges(features: Range<usize>, len: usize) -> impl Iterator<Item = Range<usize>> {
    let end = features.end;
    features.step_by(len).map(move |start| start..end.min(start + len))
}

/// Whether `first + block` has an entry.
#[inline(always)]
fn any(offsets: &[u32], first: usize, block: &Range<usize>) -> bool {
    offsets[first + block.start] < offsets[first + block.end]
}

/// The numbers of a slab, row-major.
pub(super) fn flat<const L: usize>(slab: &[Lanes<L>]) -> &[f32] {
    bytemuck::cast_slice(slab.as_flattened())
}

/// The numbers of a slab, row-major, to be written.
pub(super) fn flat_mut<const L: usize>(slab: &mut [Lanes<L>]) -> &mut [f32] {
    bytemuck::cast_slice_mut(slab.as_flattened_mut())
}
