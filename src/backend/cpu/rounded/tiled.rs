//! Blocks of the output, packed operands and the kernels that multiply them.

use super::{
    super::{
        Cpu,
        matmul::Turned,
        strided::{View, ViewMut},
    },
    amx::Amx,
    panels::{PANEL, Rows, STEP, Tile, pack_left, pack_right},
    unit::Vectors,
};
use crate::backend::Write;
use rayon::prelude::*;
use std::{mem::MaybeUninit, ops::Range};

/// Rows of the left operand that are packed at a time; they pass through the cache once for each block of the weight.
const BAND: usize = 2048;
/// Tiles of the weight that a block holds, of a KiB each: they stay in a second-level cache of 2 MiB, beside the rows
/// and sums that pass.
const BLOCK: usize = 704;
/// Steps of the depth that are packed at a time.
const STEPS: usize = 48;

/// `c ← [c +] scale · a · b`, where b is the weight w, turned or not, and a has contiguous rows.
pub(super) fn product<R: Rows>(
    cpu: &Cpu,
    (amx, vectors): (Amx, Vectors),
    scale: f32,
    a: View<'_>,
    (w, turned): (R, Turned),
    write: Write,
    mut c: ViewMut<'_>,
) {
    assert!(a.rows() == c.rows() && a.is_row_major(), "the rows of a product agree");
    if c.cols() == 0 {
        return;
    }
    let steps = a.cols().div_ceil(STEP);
    if steps == 0 {
        if write == Write::Overwrite {
            c.fill(0.0);
        }
        return;
    }
    cpu.install(|| {
        for (i, c) in c.bands(BAND).enumerate() {
            let a = a.block(i * BAND..i * BAND + c.rows(), 0..a.cols());
            let mut packed = Vec::with_capacity(2 * steps * a.rows().div_ceil(PANEL));
            let left = packed_left(vectors, a, steps, &mut packed);
            let (rows, cols) = cut(c.rows(), c.cols(), part(steps), cpu.threads());
            let blocks: Vec<_> = c
                .bands(rows)
                .zip(left.chunks(2 * steps * rows / PANEL))
                .flat_map(|(c, left)| c.columns(cols).enumerate().map(move |(j, c)| (left, j * cols, c)))
                .collect();
            blocks.into_par_iter().for_each(|(left, col, c)| {
                block((amx, vectors), (left, a.cols()), (w, turned), col..col + c.cols(), scale, write, c);
            });
        }
    });
}

/// Rows and columns of a block, so that each of `threads` has about as many; whole panels.
fn cut(rows: usize, cols: usize, part: usize, threads: usize) -> (usize, usize) {
    let panels = cols.div_ceil(PANEL);
    let across = panels.div_ceil(BLOCK / (2 * part)).next_multiple_of(threads).min(panels);
    let down = threads.div_ceil(across).min(rows.div_ceil(PANEL));
    (rows.div_ceil(down).next_multiple_of(PANEL), panels.div_ceil(across) * PANEL)
}

/// Steps of the depth in a part, as equal as can be.
fn part(steps: usize) -> usize {
    steps.div_ceil(steps.div_ceil(STEPS))
}

fn packed_left<'a>(_: Vectors, a: View<'_>, steps: usize, packed: &'a mut Vec<Tile>) -> &'a [Tile] {
    let count = 2 * steps * a.rows().div_ceil(PANEL);
    packed.spare_capacity_mut()[..count].par_chunks_mut(2 * steps).enumerate().for_each(|(i, panel)| {
        let rows = i * PANEL..a.rows().min((i + 1) * PANEL);
        // SAFETY: the features are proven.
        unsafe { pack_left(a.block(rows, 0..a.cols()), panel) };
    });
    // SAFETY: each panel was packed, which writes all of its tiles.
    unsafe { packed.set_len(count) };
    packed
}

/// The columns `cols` of the product, for some rows: those of c.
fn block<R: Rows>(
    (amx, vectors): (Amx, Vectors),
    (left, depth): (&[Tile], usize),
    (w, turned): (R, Turned),
    cols: Range<usize>,
    scale: f32,
    write: Write,
    c: ViewMut<'_>,
) {
    let steps = depth.div_ceil(STEP);
    let part = part(steps);
    let across = c.cols().div_ceil(PANEL);
    let mut packed = Vec::with_capacity(2 * part * across);
    let direct = part == steps && scale == 1.0;
    let mut sums: Vec<_> =
        c.bands(PANEL).flat_map(|c| c.columns(PANEL)).map(|c| Sums::new(c, direct, write)).collect();
    let session = amx.start();
    for first in (0..steps).step_by(part) {
        let last = steps.min(first + part);
        let right = packed_right(
            vectors,
            (w, turned),
            first * STEP..depth.min(last * STEP),
            cols.clone(),
            &mut packed,
        );
        for (left, sums) in left.chunks_exact(2 * steps).zip(sums.chunks_exact_mut(across)) {
            for (right, sums) in right.chunks_exact(2 * (last - first)).zip(sums) {
                let (sums, so_far) = sums.so_far(first == 0);
                session.multiply(&left[2 * first..2 * last], right, so_far, sums);
            }
        }
    }
    drop(session);
    for sums in sums {
        // SAFETY: the features are proven.
        unsafe { sums.finish(scale, write) };
    }
}

/// Where 32 × 32 sums are kept until the depth has been summed over.
enum Sums<'a> {
    /// In the output.
    There(ViewMut<'a>, Write),
    /// Beside it: where it is smaller than the block, they must be scaled, or the depth comes in parts and the rows of
    /// the output may be as far from each other as makes them share a few lines of the cache.
    Beside(ViewMut<'a>, Box<[f32; PANEL * PANEL]>),
}

impl<'a> Sums<'a> {
    fn new(c: ViewMut<'a>, direct: bool, write: Write) -> Self {
        if direct && c.rows() == PANEL && c.cols() == PANEL {
            Self::There(c, write)
        } else {
            Self::Beside(c, Box::new([0.0; PANEL * PANEL]))
        }
    }

    /// The sums, and whether what is there counts.
    fn so_far(&mut self, nothing: bool) -> (ViewMut<'_>, Write) {
        let write = if nothing { Write::Overwrite } else { Write::Add };
        match self {
            Self::There(c, at_first) => (c.reborrow(), if nothing { *at_first } else { write }),
            Self::Beside(_, sums) => (ViewMut::new(&mut sums[..], PANEL, PANEL), write),
        }
    }

    #[target_feature(enable = "avx512f")]
    fn finish(self, scale: f32, write: Write) {
        let Self::Beside(mut c, sums) = self else { return };
        for (row, sums) in sums.chunks_exact(PANEL).enumerate().take(c.rows()) {
            for (c, sum) in c.row(row).iter_mut().zip(sums) {
                // Adding −0 changes no number.
                let before = if write == Write::Add { *c } else { -0.0 };
                *c = sum.mul_add(scale, before);
            }
        }
    }
}

fn packed_right<R: Rows>(
    _: Vectors,
    (w, turned): (R, Turned),
    depth: Range<usize>,
    cols: Range<usize>,
    packed: &mut Vec<Tile>,
) -> &[Tile] {
    let count = 2 * depth.len().div_ceil(STEP) * cols.len().div_ceil(PANEL);
    packed.clear();
    let tiles: &mut [MaybeUninit<Tile>] = &mut packed.spare_capacity_mut()[..count];
    // SAFETY: the features are proven; the caller cut the ranges out of the product, whose shape is
    // the weight's; packing writes all tiles.
    unsafe {
        pack_right(w, turned, depth, cols, tiles);
        packed.set_len(count);
    }
    packed
}
