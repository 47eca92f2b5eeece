//! A sparse matrix joined to a weight in packed panels: where it has an entry, the panels hold `w + s`.

use super::{
    super::{Cpu, matmul::Turned, nf4_elements, tile::entries_within},
    pack_right::packed_right,
    panels::{PANEL, Parts, STEP, Split, Tile, held},
    unit::Vectors,
};
use crate::{
    device::Float,
    sparse::Csr,
    tensor::{Matrix, Weight},
};
use std::ops::Range;

/// The right operand of a product: a matrix, turned or not, whose rows are read as `R`.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a, R> {
    pub(super) w: R,
    pub(super) turned: Turned,
    pub(super) joined: Option<Joined<'a>>,
}

/// What is added to the weight w.
#[derive(Clone, Copy)]
pub(super) struct Joined<'a> {
    pub(super) w: Weight<'a, Cpu>,
    pub(super) s: &'a Csr<Cpu>,
}

impl<R> Operand<'_, R> {
    /// Depths `depth` and columns `cols`, packed.
    pub(super) fn packed<const P: usize>(
        self,
        vectors: Vectors,
        depth: Range<usize>,
        cols: Range<usize>,
    ) -> Vec<Tile>
    where
        R: Split<P>,
    {
        let mut panels = packed_right::<R, P>(vectors, (self.w, self.turned), depth.clone(), cols.clone());
        if let Some(joined) = self.joined {
            joined.put::<P>(self.turned, depth, cols, &mut panels);
        }
        panels
    }
}

impl Joined<'_> {
    /// Overwrites what the panels of these depths and columns hold at the entries of s: with `w + s`, a sum in f32, in
    /// P parts.
    fn put<const P: usize>(
        self,
        turned: Turned,
        depth: Range<usize>,
        cols: Range<usize>,
        panels: &mut [Tile],
    ) {
        let steps = depth.len().div_ceil(STEP);
        let (rows, columns) = match turned {
            Turned::Yes => (cols, depth),
            Turned::No => (depth, cols),
        };
        for (i, row) in rows.enumerate() {
            for (j, value) in entries_within(self.s, row, columns.clone()) {
                let (depth, col) = if turned == Turned::Yes { (j, i) } else { (i, j) };
                let (panel, step) = (col / PANEL, depth / STEP);
                let tiles = &mut panels[2 * P * (panel * steps + step)..][..2 * P];
                let (depth, col) = (depth % STEP, col % PANEL);
                let w = match self.w {
                    // Of bf16, the panels hold w itself, and they are near.
                    Weight::Bf16(_) => held(tiles, depth, col),
                    _ => self.element(row, columns.start + j),
                };
                Parts::<P>::of(w + value).put(tiles, depth, col);
            }
        }
    }

    fn element(self, row: usize, col: usize) -> f32 {
        fn at<T: Float>(w: &Matrix<Cpu, T>, row: usize, col: usize) -> f32 {
            w.buffer()[row * w.cols() + col].to_f32()
        }
        match self.w {
            Weight::F32(w) => at(w, row, col),
            Weight::Bf16(w) => at(w, row, col),
            Weight::Nf4(w) => nf4_elements::element(w, row * w.cols() + col),
        }
    }
}
