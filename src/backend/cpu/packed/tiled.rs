//! Blocks of the output, packed operands and the kernels that multiply them.

use super::{
    super::{
        Cpu,
        elements::Elements,
        linear::LowRank,
        strided::{View, ViewMut},
    },
    joined::Operand,
    kernel::{Extent, Kernel, Left, Square, Stores},
    low_rank::Factors,
    panels::{PANEL, ROUNDED, STEP, Split, Tile, WHOLE, pack_left},
};
use crate::backend::Write;
use bytemuck::Zeroable;
use rayon::prelude::*;
use std::{iter, ops::Range};

/// Rows of a band, at most: of the left operand so many are packed at a time, and pass through the cache once for each block
/// of the weight.
const BAND: usize = 2048;
/// Rows of a band, at least: each packs the weight anew.
const LEAST: usize = 128;
/// Tiles of the weight and of sums in progress that a block holds, of a KiB each: they stay in a second-level cache of
/// 2 MiB, beside the rows that pass. A training step's products take 0.63 s with 512, 0.66 s with 1088, 0.73 s with 128.
const BLOCK: usize = 512;
/// Steps of the depth that are packed at a time.
const STEPS: usize = 48;
/// Bytes of an output from which on it is stored past the cache: no second-level cache of 1 MiB would hold it for its
/// reader. On a Zen 4, products that fetch first what they overwrite do 6 % fewer operations a second.
const FAR: usize = 1 << 20;

/// `c ← [c +] scale · a · b`; of both operands, P parts. A product of low rank joins one without a scale.
pub(super) fn product<R: Split<P>, const P: usize>(
    cpu: &Cpu,
    kernel: Kernel,
    scale: f32,
    a: View<'_>,
    b: Operand<'_, R>,
    low_rank: Option<LowRank<'_>>,
    write: Write,
    mut c: ViewMut<'_>,
) {
    assert_eq!(a.rows(), c.rows(), "the rows of a product agree");
    assert!(low_rank.is_none() || scale == 1.0, "the term of low rank has a scale of its own");
    let steps = a.cols().div_ceil(STEP);
    if steps == 0 || c.rows() == 0 || c.cols() == 0 {
        low_rank.into_iter().for_each(|mut l| l.u.fill(0.0));
        if write == Write::Overwrite {
            c.fill(0.0);
        }
        return;
    }
    let stores = if size_of::<f32>() * c.rows() * c.cols() > FAR { Stores::Past } else { Stores::Near };
    let end = End { scale, write, stores };
    let part = part::<P>(steps);
    let (factors, u) = low_rank.map(LowRank::into_parts).unzip();
    let most = 2 * P * part + factors.map_or(0, Factors::tiles::<P>);
    let (rows, threads) = band(c.rows(), c.cols(), cpu.threads());
    let mut us = u.into_iter().flat_map(|u| u.bands(rows));
    cpu.pooled(|| {
        let bands: Vec<_> = c.bands(rows).enumerate().map(|(i, c)| (i, c, us.next())).collect();
        bands.into_par_iter().for_each(|(i, c, u)| {
            let a = a.block(i * rows..i * rows + c.rows(), 0..a.cols());
            let panels = a.rows().div_ceil(PANEL);
            let mut u: Vec<_> = u.into_iter().flat_map(|u| u.bands(PANEL)).collect();
            let sums = if part < steps { 4 * panels } else { 0 };
            let mut blocks = Block::all(cpu, c, threads, BLOCK / (most + sums), part < steps);
            let standing = if stand::<P>(kernel, a) { a.rows() / PANEL } else { 0 };
            let mut packed = Elements::unwritten(cpu.scratch(), most * (panels - standing));
            for first in (0..steps).step_by(part) {
                let depth = first * STEP..a.cols().min((first + part) * STEP);
                let last = depth.end == a.cols();
                let term = factors.filter(|_| last);
                let left = PartOfLeft::<P> { a: a.block(0..a.rows(), depth.clone()), standing, term };
                let inner =
                    factors.map(|factors| factors.pack_inner::<P>(cpu, kernel.vectors, depth.clone()));
                left.prepare(kernel, factors.zip(inner.as_deref()), first == 0, &mut u, &mut packed);
                let u: Vec<_> = u.iter().map(ViewMut::view).collect();
                let (left, packed) = (&left, &packed);
                blocks.par_iter_mut().with_max_len(1).for_each(|block| {
                    let left = |i| left.panel(i, packed, u.get(i).copied());
                    block.add::<R, P>(cpu, kernel, left, b, term, depth.clone(), last, end);
                });
            }
        });
    });
}

/// Rows of a band, and how many of the threads share one.
///
/// A thread that has a band of its own reads no panel that another one packed, for which lines would pass from cache to
/// cache, but packs the whole right operand: worth it where that is not much larger than the left one. 512 tokens and a
/// weight of 576 × 576 take two threads 146 µs so, 197 µs where they share the tokens.
fn band(rows: usize, cols: usize, threads: usize) -> (usize, usize) {
    let bands = if 2 * cols <= 3 * rows { threads } else { 1 };
    let band = rows.div_ceil(bands).clamp(LEAST, BAND).next_multiple_of(PANEL);
    (band, threads.div_ceil(rows.div_ceil(band)))
}

/// Steps of the depth in a part, as equal as can be.
fn part<const P: usize>(steps: usize) -> usize {
    steps.div_ceil(steps.div_ceil(if P == ROUNDED { STEPS } else { STEPS / 2 }))
}

/// Whether the rows of the left operand are multiplied where they stand, whole panels of them: packing would only copy them.
fn stand<const P: usize>(kernel: Kernel, a: View<'_>) -> bool {
    P == WHOLE && !kernel.has_tiles() && a.is_row_major()
}

/// The left operand of a part of the depth, in panels of rows: the first ones where they stand, the others packed.
struct PartOfLeft<'a, const P: usize> {
    a: View<'a>,
    standing: usize,
    /// The product of low rank whose u follows as more depth.
    term: Option<Factors<'a>>,
}

impl<const P: usize> PartOfLeft<'_, P> {
    /// Tiles of a packed panel, without u and with it.
    fn tiles(&self) -> [usize; 2] {
        let of_a = 2 * P * self.a.cols().div_ceil(STEP);
        [of_a, of_a + self.term.map_or(0, Factors::tiles::<P>)]
    }

    /// Packs what is to be. The rows of u that belong to a panel are made of it while it is near.
    fn prepare(
        &self,
        kernel: Kernel,
        factors: Option<(Factors<'_>, &[Tile])>,
        begins: bool,
        u: &mut [ViewMut<'_>],
        packed: &mut [Tile],
    ) {
        let [of_a, all] = self.tiles();
        let write = if begins { Write::Overwrite } else { Write::Add };
        let make_u = |left: Left<'_>, u: &mut ViewMut<'_>| {
            if let Some((factors, inner)) = factors {
                factors.make_u::<P>(&kernel.start(), left, inner, write, u);
            }
        };
        let rooms = iter::repeat_with(|| None)
            .take(self.standing)
            .chain(packed.chunks_exact_mut(all).map(Some))
            .take(self.a.rows().div_ceil(PANEL));
        let mut us = u.iter_mut();
        let panels: Vec<_> = rooms.map(|room| (room, us.next())).collect();
        panels.into_par_iter().enumerate().for_each(|(i, (room, u))| {
            let rows = self.a.block(i * PANEL..self.a.rows().min((i + 1) * PANEL), 0..self.a.cols());
            let Some((of_a, of_u)) = room.map(|room| room.split_at_mut(of_a)) else {
                u.into_iter().for_each(|u| make_u(Left::Standing(rows, rows.block(0..PANEL, 0..0)), u));
                return;
            };
            // SAFETY: the features are proven.
            unsafe { pack_left::<P>(rows, of_a) };
            let Some(u) = u else { return };
            make_u(Left::Packed(of_a), u);
            if !of_u.is_empty() {
                Factors::pack_u::<P>(kernel.vectors, u, of_u);
            }
        });
    }

    /// The panel of these 32 rows, or fewer at the end, with their rows of u.
    fn panel<'p>(&'p self, i: usize, packed: &'p [Tile], u: Option<View<'p>>) -> Left<'p> {
        if i < self.standing {
            let a = self.a.block(i * PANEL..(i + 1) * PANEL, 0..self.a.cols());
            let u = u.filter(|_| self.term.is_some());
            return Left::Standing(a, u.unwrap_or(a.block(0..PANEL, 0..0)));
        }
        let [_, all] = self.tiles();
        Left::Packed(&packed[(i - self.standing) * all..][..all])
    }
}

/// What becomes of the sums: `c ← [c +] scale · sums`.
#[derive(Clone, Copy)]
struct End {
    scale: f32,
    write: Write,
    stores: Stores,
}

/// Some rows and columns of the output, whole panels from the first on.
struct Block<'a> {
    /// The panel of the left operand that its rows begin with.
    panel: usize,
    cols: Range<usize>,
    /// By rows of them.
    tiles: Vec<ViewMut<'a>>,
    /// Where the depth comes in parts, the sums so far of each tile. They stand beside the output, whose rows may be as far
    /// from each other as makes them share a few lines of the cache.
    sums: Elements<Square>,
}

impl<'a> Block<'a> {
    /// All of c, a share for each of `threads`, as equal as whole panels can be, in blocks of at most `most` panels of
    /// columns.
    fn all(cpu: &Cpu, c: ViewMut<'a>, threads: usize, most: usize, in_parts: bool) -> Vec<Self> {
        let panels = c.cols().div_ceil(PANEL);
        let across = threads.min(panels);
        let down = threads.div_ceil(across).min(c.rows().div_ceil(PANEL));
        let rows = c.rows().div_ceil(down).next_multiple_of(PANEL);
        let share = panels.div_ceil(across);
        let block = share.div_ceil(share.div_ceil(most.max(1)));
        let (share, block) = (share * PANEL, block * PANEL);
        c.bands(rows)
            .enumerate()
            .flat_map(|(i, c)| c.columns(share).enumerate().map(move |(j, c)| (i, j, c)))
            .flat_map(|(i, j, c)| {
                let blocks = c.columns(block).enumerate();
                blocks.map(move |(k, c)| Self::new(cpu, i * rows / PANEL, j * share + k * block, c, in_parts))
            })
            .collect()
    }

    fn new(cpu: &Cpu, panel: usize, col: usize, c: ViewMut<'a>, in_parts: bool) -> Self {
        let cols = col..col + c.cols();
        let mut tiles = Vec::with_capacity(c.rows().div_ceil(PANEL) * c.cols().div_ceil(PANEL));
        c.bands(PANEL).for_each(|c| tiles.extend(c.columns(PANEL)));
        let sums = if in_parts { Elements::unwritten(cpu.scratch(), tiles.len()) } else { Vec::new().into() };
        Self { panel, cols, tiles, sums }
    }

    /// Adds the part of the product that sums over `depth`, of which `left` has all panels, and after it the product of low
    /// rank.
    fn add<'l, R: Split<P>, const P: usize>(
        &mut self,
        cpu: &Cpu,
        kernel: Kernel,
        left: impl Fn(usize) -> Left<'l>,
        b: Operand<'_, R>,
        term: Option<Factors<'_>>,
        depth: Range<usize>,
        last: bool,
        end: End,
    ) {
        let across = self.cols.len().div_ceil(PANEL);
        let steps = depth.len().div_ceil(STEP);
        let of_part = 2 * P * steps;
        let panel = of_part + term.map_or(0, Factors::tiles::<P>);
        let extent = term.map_or(Extent::ALL, |term| term.extent_after(steps));
        let so_far = if depth.start == 0 { Write::Overwrite } else { Write::Add };
        let mut right = Elements::unwritten(cpu.scratch(), panel * across);
        b.pack::<P>(kernel.vectors, depth, self.cols.clone(), &mut right, panel);
        if let Some(term) = term {
            term.pack_outer::<P>(kernel.vectors, self.cols.clone(), &mut right[of_part..], panel);
        }
        let mut sums = self.sums.iter_mut();
        let mut own = Square::zeroed();
        let session = kernel.start();
        for (i, row) in self.tiles.chunks_mut(across).enumerate() {
            let left = left(self.panel + i);
            for (right, c) in right.chunks_exact(panel).zip(row) {
                let kept = sums.next();
                if kept.is_none() && end.scale == 1.0 && c.rows() == PANEL && c.cols() == PANEL {
                    session.multiply_part::<P>(extent, left, right, end.write, end.stores, c.reborrow());
                    continue;
                }
                let sums = kept.unwrap_or(&mut own);
                session.multiply_part::<P>(extent, left, right, so_far, Stores::Near, sums.view());
                if last {
                    // SAFETY: the features are proven.
                    unsafe { finish(sums, end, c) };
                }
            }
        }
        session.end_stores();
    }
}

/// For those of the 32 × 32 sums that c has room for.
#[target_feature(enable = "avx512f")]
fn finish(sums: &Square, end: End, c: &mut ViewMut<'_>) {
    for (row, sums) in sums.0.iter().enumerate().take(c.rows()) {
        for (c, sum) in c.row(row).iter_mut().zip(sums) {
            // Adding −0 changes no number.
            let before = if end.write == Write::Add { *c } else { -0.0 };
            *c = sum.mul_add(end.scale, before);
        }
    }
}
