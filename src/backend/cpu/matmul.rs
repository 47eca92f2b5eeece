//! Dense products: three orientations of one product of strided views, cut into tiles of the output.

use super::{
    Cpu, score,
    strided::{View, ViewMut, gemm},
};
use crate::{
    backend::{ScoreTerm, Write},
    tensor::{Matrix, Weight},
};
use half::bf16;
use rayon::prelude::*;
use std::ops::Range;

/// The largest tile of an output: beyond it, packing the operands no longer shows.
const TILE: (usize, usize) = (256, 512);
/// Tiles that keep a machine busy; a product is cut finer until it has as many…
const TILES: usize = 8;
/// … or until a tile has this few multiplications, some ten microseconds.
const LEAST_WORK: usize = 1 << 19;
/// The depth of the tile of a bf16 weight that is widened at a time: 2 MiB of f32 at most.
const WIDENED_DEPTH: usize = 1024;

pub(super) fn matmul_nt(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    scale: f32,
    write: Write,
    y: &mut Matrix<Cpu>,
) {
    let b = Right::from(w);
    product(cpu, scale, View::of(x), b.transposed(), write, ViewMut::of(y));
}

pub(super) fn matmul_nn(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cpu>,
) {
    product(cpu, scale, View::of(dy), Right::from(w), write, ViewMut::of(dx));
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

/// The tiles of [`matmul_tn`], each with a gradient of its own; the scores are those of `score_add` after it, to the bit.
pub(super) fn score_product_add(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    x: &Matrix<Cpu>,
    tokens: Range<usize>,
    term: ScoreTerm,
    scores: &mut Matrix<Cpu, f32>,
) {
    let a = View::of(dy).block(tokens.clone(), 0..dy.cols()).transposed();
    let b = View::of(x).block(tokens, 0..x.cols());
    let stride = tile(scores.rows(), scores.cols(), a.cols()).1.max(2).min(scores.cols());
    each_tile(cpu, ViewMut::of(scores), a.cols(), |rows, cols, mut scores| {
        let mut g = vec![0.0; rows.len() * stride];
        let (tile, _) = ViewMut::new(&mut g, rows.len(), stride).cut_cols(cols.len());
        gemm(1.0, a.block(rows, 0..a.cols()), b.block(0..b.rows(), cols), Write::Overwrite, tile);
        for (row, g) in g.chunks(stride.max(1)).enumerate() {
            score::add_terms(cpu, term, g, scores.row(row));
        }
    });
}

/// The right operand in the type it is stored in.
#[derive(Clone, Copy)]
enum Right<'a> {
    F32(View<'a>),
    Bf16(View<'a, bf16>),
}

impl<'a> From<Weight<'a, Cpu>> for Right<'a> {
    fn from(w: Weight<'a, Cpu>) -> Self {
        match w {
            Weight::F32(w) => Self::F32(View::of(w)),
            Weight::Bf16(w) => Self::Bf16(View::of(w)),
        }
    }
}

impl Right<'_> {
    fn transposed(self) -> Self {
        match self {
            Self::F32(b) => Self::F32(b.transposed()),
            Self::Bf16(b) => Self::Bf16(b.transposed()),
        }
    }
}

/// `c ← [c +] scale · a · b`, a tile of c at a time.
fn product(cpu: &Cpu, scale: f32, a: View<'_>, b: Right<'_>, write: Write, c: ViewMut<'_>) {
    each_tile(cpu, c, a.cols(), |rows, cols, c| {
        let a = a.block(rows, 0..a.cols());
        match b {
            Right::F32(b) => gemm(scale, a, b.block(0..b.rows(), cols), write, c),
            Right::Bf16(b) => widened(cpu, scale, a, b.block(0..b.rows(), cols), write, c),
        }
    });
}

/// Runs `task` for each tile of an output that sums over `depth`: the rows and columns of the tile, and the tile.
fn each_tile(
    cpu: &Cpu,
    c: ViewMut<'_>,
    depth: usize,
    task: impl Fn(Range<usize>, Range<usize>, ViewMut<'_>) + Sync,
) {
    let (rows, cols) = tile(c.rows(), c.cols(), depth);
    let task = |i: usize, j: usize, c: ViewMut<'_>| {
        task(i * rows..i * rows + c.rows(), j * cols..j * cols + c.cols(), c);
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

/// `c ← [c +] scale · a · b`, where b is widened to f32 a block of its rows at a time.
fn widened(cpu: &Cpu, scale: f32, a: View<'_>, b: View<'_, bf16>, write: Write, mut c: ViewMut<'_>) {
    let mut scratch = vec![0.0; WIDENED_DEPTH.min(b.rows()) * b.cols()];
    let mut write = write;
    let mut first = 0;
    loop {
        let depth = first..b.rows().min(first + WIDENED_DEPTH);
        let block = b.block(depth.clone(), 0..b.cols());
        let stored = if block.is_row_major() { block } else { block.transposed() };
        let f32s = &mut scratch[..stored.rows() * stored.cols()];
        cpu.vectorize(
            #[inline(always)]
            || widen(stored, f32s),
        );
        let f32s = View::new(f32s, stored.rows(), stored.cols());
        let right = if block.is_row_major() { f32s } else { f32s.transposed() };
        gemm(scale, a.block(0..a.rows(), depth.clone()), right, write, c.reborrow());
        (first, write) = (depth.end, Write::Add);
        if first == b.rows() {
            return;
        }
    }
}

#[inline(always)]
fn widen(stored: View<'_, bf16>, f32s: &mut [f32]) {
    for (i, row) in f32s.chunks_exact_mut(stored.cols().max(1)).enumerate() {
        for (wide, narrow) in row.iter_mut().zip(stored.row(i)) {
            *wide = f32::from_bits(u32::from(narrow.to_bits()) << 16);
        }
    }
}
