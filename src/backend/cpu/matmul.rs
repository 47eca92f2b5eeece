//! Dense products: three orientations of one product of strided views, cut into tiles of the output.

use super::{
    Cpu,
    cut::{Rows, rows_of},
    strided::{View, ViewMut, gemm},
    tile::Tile,
};
use crate::{
    backend::Write,
    tensor::{Matrix, Weight},
};
use rayon::prelude::*;
use std::ops::Range;

/// The largest tile of an output: beyond it, packing the operands no longer shows.
const TILE: (usize, usize) = (256, 512);
/// Tiles that keep a machine busy; a product is cut finer until it has as many…
const TILES: usize = 8;
/// … or until a tile has this few multiplications, some ten microseconds.
const LEAST_WORK: usize = 1 << 19;
/// The depth of the tile of a narrow weight that is widened at a time: 2 MiB of f32 at most.
const WIDENED_DEPTH: usize = 1024;

pub(super) fn matmul_nt(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    scale: f32,
    write: Write,
    y: &mut Matrix<Cpu>,
) {
    product(cpu, scale, View::of(x), Right::new(w, Turned::Yes), write, ViewMut::of(y));
}

pub(super) fn matmul_nn(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cpu>,
) {
    product(cpu, scale, View::of(dy), Right::new(w, Turned::No), write, ViewMut::of(dx));
}

pub(super) fn matmul_tn(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    x: &Matrix<Cpu>,
    tokens: Range<usize>,
    scale: f32,
    write: Write,
    dw: &mut Matrix<Cpu, f32>,
) {
    let a = View::of(dy).block(tokens.clone(), 0..dy.cols()).transposed();
    let b = View::of(x).block(tokens, 0..x.cols());
    product(cpu, scale, a, Right::F32(b), write, ViewMut::of(dw));
}

/// The right operand `[depth, cols]` of a product.
#[derive(Clone, Copy)]
enum Right<'a> {
    F32(View<'a>),
    /// A weight that is stored narrower, read as it stands or turned.
    Narrow(Weight<'a, Cpu>, Turned),
}

/// How a stored weight stands in a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// As it is: its rows are summed over.
    No,
    /// Rows and columns exchanged.
    Yes,
}

impl<'a> Right<'a> {
    fn new(w: Weight<'a, Cpu>, turned: Turned) -> Self {
        match (w, turned) {
            (Weight::F32(w), Turned::No) => Self::F32(View::of(w)),
            (Weight::F32(w), Turned::Yes) => Self::F32(View::of(w).transposed()),
            (narrow, turned) => Self::Narrow(narrow, turned),
        }
    }
}

/// `c ← [c +] scale · a · b`; with a narrow weight, of operands that are rounded to bf16.
fn product(cpu: &Cpu, scale: f32, a: View<'_>, b: Right<'_>, write: Write, mut c: ViewMut<'_>) {
    let rounded;
    let a = match b {
        Right::F32(_) => a,
        Right::Narrow(w, turned) => {
            if cpu.rounded.is_some_and(|unit| unit.product(cpu, scale, a, (w, turned), write, c.reborrow())) {
                return;
            }
            rounded = round(cpu, a);
            View::new(&rounded, a.rows(), a.cols())
        }
    };
    tiled(cpu, scale, a, b, write, c);
}

/// A copy of `a`, whose rows are contiguous, rounded to bf16.
fn round(cpu: &Cpu, a: View<'_>) -> Vec<f32> {
    let mut rounded = vec![0.0; a.rows() * a.cols()];
    cpu.in_pieces(
        Rows { data: &mut rounded, width: a.cols() },
        rows_of(a.cols()),
        #[inline(always)]
        |first, out| {
            for (i, out) in (first..).zip(out.data.chunks_exact_mut(a.cols())) {
                out.copy_from_slice(a.row(i));
                round_in_place(out);
            }
        },
    );
    rounded
}

/// Rounds to bf16: to nearest, ties to even.
#[inline(always)]
fn round_in_place(values: &mut [f32]) {
    for x in values {
        let bits = x.to_bits();
        // What is cut away carries into what stays when it is above half of its last place, or half with that place odd.
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        let bits = if x.is_nan() { bits | 0x0040_0000 } else { nearest };
        *x = f32::from_bits(bits & 0xffff_0000);
    }
}

/// `c ← [c +] scale · a · b`, a tile of c at a time.
fn tiled(cpu: &Cpu, scale: f32, a: View<'_>, b: Right<'_>, write: Write, c: ViewMut<'_>) {
    let (rows, cols) = tile(c.rows(), c.cols(), a.cols());
    let task = |i: usize, j: usize, c: ViewMut<'_>| {
        let a = a.block(i * rows..i * rows + c.rows(), 0..a.cols());
        let columns = j * cols..j * cols + c.cols();
        match b {
            Right::F32(b) => gemm(scale, a, b.block(0..b.rows(), columns), write, c),
            Right::Narrow(w, turned) => widened(cpu, scale, a, (w, turned, columns), write, c),
        }
    };
    if c.rows() <= rows && c.cols() <= cols {
        return task(0, 0, c);
    }
    let tiles: Vec<_> = c
        .bands(rows)
        .enumerate()
        .flat_map(|(i, band)| band.columns(cols).enumerate().map(move |(j, c)| (i, j, c)))
        .collect();
    cpu.install(|| tiles.into_par_iter().for_each(|(i, j, c)| task(i, j, c)));
}

/// Rows and columns of a tile for an output `[rows, cols]` that sums over `depth`; they depend on nothing else.
fn tile(rows: usize, cols: usize, depth: usize) -> (usize, usize) {
    let mut bands = rows.div_ceil(TILE.0).max(1);
    let mut columns = cols.div_ceil(TILE.1).max(1);
    if rows * cols * depth <= LEAST_WORK {
        (bands, columns) = (1, 1);
    }
    loop {
        // Of equal size: a last tile with a few rows would waste the vector registers.
        let (r, c) = (rows.div_ceil(bands), cols.div_ceil(columns));
        if bands * columns >= TILES || r * c * depth <= 2 * LEAST_WORK {
            return (r.max(1), c.max(1));
        }
        if r >= c { bands *= 2 } else { columns *= 2 }
    }
}

/// `c ← [c +] scale · a · b`, where b, these columns of a weight, is widened to f32 a block of its rows at a time.
fn widened(
    cpu: &Cpu,
    scale: f32,
    a: View<'_>,
    (w, turned, columns): (Weight<'_, Cpu>, Turned, Range<usize>),
    write: Write,
    mut c: ViewMut<'_>,
) {
    let mut scratch = vec![0.0; WIDENED_DEPTH.min(a.cols()) * columns.len()];
    let mut write = write;
    let mut first = 0;
    loop {
        let depth = first..a.cols().min(first + WIDENED_DEPTH);
        let tile = match turned {
            Turned::No => Tile { rows: depth.clone(), cols: columns.clone() },
            Turned::Yes => Tile { rows: columns.clone(), cols: depth.clone() },
        };
        let f32s = &mut scratch[..depth.len() * columns.len()];
        cpu.vectorize(
            #[inline(always)]
            || {
                tile.widen(w, f32s);
                if matches!(w, Weight::Nf4(_)) {
                    round_in_place(f32s);
                }
            },
        );
        let stored = View::new(f32s, tile.rows.len(), tile.cols.len());
        let right = if turned == Turned::Yes { stored.transposed() } else { stored };
        gemm(scale, a.block(0..a.rows(), depth.clone()), right, write, c.reborrow());
        (first, write) = (depth.end, Write::Add);
        if first == a.cols() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::round_in_place;
    use half::bf16;

    #[test]
    fn rounds_to_bf16_as_the_type_does() {
        let step = (1 << 13) + 0x1fff; // every mantissa's low half, and ties
        for bits in (0..=u32::MAX).step_by(step).chain((0..=0xffff).map(|high| high << 16 | 0x8000)) {
            let mut x = [f32::from_bits(bits)];
            round_in_place(&mut x);
            assert_eq!(
                x[0].to_bits() >> 16,
                bf16::from_f32(f32::from_bits(bits)).to_bits().into(),
                "{bits:#x}"
            );
        }
    }
}
