//! Dense products: three orientations of one product of strided views, cut into tiles of the output.

use super::{
    Cpu, score,
    strided::{View, ViewMut, gemm},
    tile::Tile,
};
use crate::{
    backend::{ScoreTerm, Write},
    sparse::Csr,
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
/// Columns of an output that is computed as its transpose.
const THIN: usize = 32;
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
    let a = View::of(dy).block(tokens.clone(), 0..dy.cols());
    let b = View::of(x).block(tokens, 0..x.cols());
    let mut dw = ViewMut::of(dw);
    if b.cols() > THIN || a.cols() <= b.cols() {
        return product(cpu, scale, a.transposed(), Right::F32(b), write, dw);
    }
    // With few columns the vectors of gemm would be all but empty: those of the transpose are full.
    let mut turned = vec![0.0; b.cols() * a.cols()];
    let out = ViewMut::new(&mut turned, b.cols(), a.cols());
    product(cpu, scale, b.transposed(), Right::F32(a), Write::Overwrite, out);
    for row in 0..dw.rows() {
        for (dw, turned) in dw.row(row).iter_mut().zip(turned.chunks_exact(a.cols())) {
            let before = if write == Write::Add { *dw } else { -0.0 };
            *dw = before + turned[row];
        }
    }
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
    let whole = (scores.rows(), scores.cols());
    if cpu.packed.is_some_and(|unit| unit.takes_f32(whole.0, whole.1, a.cols())) {
        let mut g = vec![0.0; TILE.0.min(whole.0) * whole.1];
        for (i, scores) in ViewMut::of(scores).bands(TILE.0).enumerate() {
            let (first, rows) = (i * TILE.0, scores.rows());
            let g = &mut g[..rows * whole.1];
            let a = a.block(first..first + rows, 0..a.cols());
            in_panels(cpu, whole, 1.0, a, b, Write::Overwrite, ViewMut::new(g, rows, whole.1));
            let rows: Vec<_> = scores.bands(1).zip(g.chunks(whole.1)).collect();
            rows.into_par_iter().for_each(|(mut scores, g)| score::add_terms(cpu, term, g, scores.row(0)));
        }
        return;
    }
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

/// The right operand `[depth, cols]` of a product.
#[derive(Clone, Copy)]
pub(super) enum Right<'a> {
    F32(View<'a>),
    Stored(Stored<'a>),
}

/// A weight with a sparse matrix added, read as they stand or turned.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) w: Weight<'a, Cpu>,
    pub(super) s: Option<&'a Csr<Cpu>>,
    pub(super) turned: Turned,
}

/// What is added to a product, a tile at a time, while the tile is still near.
#[derive(Clone, Copy, Default)]
pub(super) struct Added<'a> {
    /// A number for each column.
    pub(super) bias: Option<&'a [f32]>,
    /// A product that sums over a few numbers, and its scale.
    pub(super) low_rank: Option<(View<'a>, View<'a>, f32)>,
}

impl Added<'_> {
    fn to(self, rows: Range<usize>, columns: Range<usize>, mut c: ViewMut<'_>) {
        if let Some((left, right, scale)) = self.low_rank {
            let (left, right) =
                (left.block(rows, 0..left.cols()), right.block(0..right.rows(), columns.clone()));
            gemm(scale, left, right, Write::Add, c.reborrow());
        }
        let Some(bias) = self.bias else { return };
        for row in 0..c.rows() {
            c.row(row).iter_mut().zip(&bias[columns.clone()]).for_each(|(c, bias)| *c += bias);
        }
    }
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
            (w, turned) => Self::Stored(Stored { w, s: None, turned }),
        }
    }
}

/// `c ← [c +] scale · a · b`: in packed panels where they are the fastest way, a weight narrower than f32 with rounded
/// operands, f32 numbers split or whole; all else by gemm.
pub(super) fn product(cpu: &Cpu, scale: f32, a: View<'_>, b: Right<'_>, write: Write, mut c: ViewMut<'_>) {
    let done = match b {
        Right::Stored(b) => {
            cpu.packed.is_some_and(|unit| unit.product(cpu, scale, a, b, None, write, c.reborrow()))
        }
        Right::F32(b) => in_panels(cpu, (c.rows(), c.cols()), scale, a, b, write, c.reborrow()),
    };
    if !done {
        in_tiles(cpu, scale, a, b, Added::default(), write, c);
    }
}

/// `c ← [c +] scale · a · b`, of f32 numbers in packed panels, if that is the faster way to the product of the shape
/// `whole`, of which this is a part; else nothing, and false.
fn in_panels(
    cpu: &Cpu,
    whole: (usize, usize),
    scale: f32,
    a: View<'_>,
    b: View<'_>,
    write: Write,
    c: ViewMut<'_>,
) -> bool {
    let Some(unit) = cpu.packed.filter(|unit| unit.takes_f32(whole.0, whole.1, a.cols())) else {
        return false;
    };
    let b = if b.is_row_major() { (b, Turned::No) } else { (b.transposed(), Turned::Yes) };
    unit.product_of_f32(cpu, scale, a, b, write, c)
}

/// `c ← [c +] scale · a · b + added` in f32, a tile of c at a time.
pub(super) fn in_tiles(
    cpu: &Cpu,
    scale: f32,
    a: View<'_>,
    b: Right<'_>,
    added: Added<'_>,
    write: Write,
    c: ViewMut<'_>,
) {
    each_tile(cpu, c, a.cols(), |rows, cols, mut c| {
        let a = a.block(rows.clone(), 0..a.cols());
        match b {
            Right::F32(b) => gemm(scale, a, b.block(0..b.rows(), cols.clone()), write, c.reborrow()),
            Right::Stored(b) => widened(cpu, scale, a, b, cols.clone(), write, c.reborrow()),
        }
        added.to(rows, cols, c);
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
    cpu.pooled(|| tiles.into_par_iter().for_each(|(i, j, c)| task(i, j, c)));
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

/// `c ← [c +] scale · a · b`, where these columns of b are widened to f32 a block of its rows at a time.
fn widened(
    cpu: &Cpu,
    scale: f32,
    a: View<'_>,
    b: Stored<'_>,
    columns: Range<usize>,
    write: Write,
    mut c: ViewMut<'_>,
) {
    let mut scratch = vec![0.0; WIDENED_DEPTH.min(a.cols()) * columns.len()];
    let mut write = write;
    let mut first = 0;
    loop {
        let depth = first..a.cols().min(first + WIDENED_DEPTH);
        let tile = match b.turned {
            Turned::No => Tile { rows: depth.clone(), cols: columns.clone() },
            Turned::Yes => Tile { rows: columns.clone(), cols: depth.clone() },
        };
        let f32s = &mut scratch[..depth.len() * columns.len()];
        cpu.vectorize(
            #[inline(always)]
            || tile.read(cpu.arch, b.w, b.s, f32s),
        );
        let stored = View::new(f32s, tile.rows.len(), tile.cols.len());
        let right = if b.turned == Turned::Yes { stored.transposed() } else { stored };
        gemm(scale, a.block(0..a.rows(), depth.clone()), right, write, c.reborrow());
        (first, write) = (depth.end, Write::Add);
        if first == a.cols() {
            return;
        }
    }
}
