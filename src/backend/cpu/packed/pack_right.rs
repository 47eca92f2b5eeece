//! Packing the right operand of a product: a matrix w, or that turned over, in squares of 32 rows and columns. A square is
//! a step of a panel.
//!
//! | | rows of w are | a row of squares is | packed |
//! | --- | --- | --- | --- |
//! | w | depths | a step of all panels | two rows at a time, if rounded |
//! | w turned | columns | a panel | a square at a time |

use super::{
    super::matmul::Turned,
    panels::{PANEL, ROUNDED, STEP, Split, Tile, WHOLE, interleaved, lanes, transposed},
    unit::Vectors,
};
use std::{arch::x86_64::*, ops::Range};

/// Rows and columns of a square.
const SIDE: usize = 32;
const _: () = assert!(SIDE == PANEL && SIDE == STEP);

/// Some rows and columns of w.
struct Squares<R> {
    w: R,
    turned: Turned,
    rows: Range<usize>,
    cols: Range<usize>,
}

impl<R> Squares<R> {
    fn new((w, turned): (R, Turned), depth: Range<usize>, cols: Range<usize>) -> Self {
        let (rows, cols) = match turned {
            Turned::Yes => (cols, depth),
            Turned::No => (depth, cols),
        };
        Self { w, turned, rows, cols }
    }

    /// Squares in a column, and in a row.
    fn counts(&self) -> (usize, usize) {
        (self.rows.len().div_ceil(SIDE), self.cols.len().div_ceil(SIDE))
    }

    /// Where the tiles of a square stand among panels that begin `stride` tiles from each other, two for each of P parts.
    fn place<const P: usize>(&self, square: usize, stride: usize) -> Range<usize> {
        let (_, across) = self.counts();
        let (i, j) = (square / across, square % across);
        let (panel, step) = if self.turned == Turned::Yes { (i, j) } else { (j, i) };
        let first = panel * stride + 2 * P * step;
        first..first + 2 * P
    }
}

impl<R: Copy> Squares<R> {
    /// Asks for the memory of the first row of squares.
    fn ask<const P: usize>(&self)
    where
        R: Split<P>,
    {
        for row in self.rows.clone().take(SIDE) {
            for col in self.cols.clone().step_by(SIDE) {
                self.w.ask_parts(row, col);
            }
        }
    }

    /// Elements `(row, col..col + 32)` in P parts; zero where there are none.
    ///
    /// # Safety
    /// The rows and columns lie inside w.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512bf16")]
    unsafe fn load<const P: usize>(&self, row: usize, col: usize) -> [__m512i; P]
    where
        R: Split<P>,
    {
        if row >= self.rows.end {
            return [_mm512_setzero_si512(); P];
        }
        // SAFETY: the row is one of w's, and `lanes` ends where its columns do.
        unsafe { self.w.load_parts(row, col, lanes(self.cols.end - col)) }
    }

    /// Packs a square, and asks for its share of the row of squares below, in the order in which memory holds that.
    ///
    /// # Safety
    /// The rows and columns lie inside w; the tiles are those of the square.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512bf16")]
    unsafe fn pack<const P: usize>(&self, square: usize, tiles: &mut [Tile])
    where
        R: Split<P>,
    {
        let (_, across) = self.counts();
        let (i, j) = (square / across, square % across);
        let (row, col) = (self.rows.start + i * SIDE, self.cols.start + j * SIDE);
        self.ask_share(row + SIDE, j * SIDE, across);
        if self.rows.end - row >= SIDE && self.cols.end - col >= SIDE {
            // SAFETY: all elements of the square lie inside w.
            unsafe { pack_square(self.turned, |r| self.w.load_parts(row + r, col, !0), tiles) };
        } else {
            // SAFETY: as promised.
            pack_square(self.turned, |r| unsafe { self.load(row + r, col) }, tiles);
        }
    }

    /// Packs all squares of rounded depths, two rows at a time.
    ///
    /// Memory is read in its order, so that the processor fetches ahead. Read a square at a time and asked for, the lines of
    /// many rows make it leave that off, for what is read after them too: on two threads of a Xeon with AMX, a training step
    /// beside weights of bf16 takes 3 to 6 % longer then. Split numbers are faster a square at a time all the same: each
    /// fills six tiles. Whole ones were not measured.
    ///
    /// # Safety
    /// The rows and columns lie inside w.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512bf16")]
    unsafe fn pack_rows<const P: usize>(&self, panels: &mut [Tile], stride: usize)
    where
        R: Split<P>,
    {
        assert!(P == ROUNDED && self.turned == Turned::No, "rows are rounded depths");
        let (down, _) = self.counts();
        for pair in 0..SIDE / 2 * down {
            let (row, step, pair) = (self.rows.start + 2 * pair, pair / 16, pair % 16);
            for (panel, col) in self.cols.clone().step_by(SIDE).enumerate() {
                // SAFETY: as promised.
                let (even, odd) = unsafe { (self.load(row, col)[0], self.load(row + 1, col)[0]) };
                let tiles = &mut panels[panel * stride + 2 * step..][..2];
                for (tile, line) in tiles.iter_mut().zip(interleaved(even, odd)) {
                    tile.rows_mut()[pair] = line;
                }
            }
        }
    }

    /// Asks for [`SIDE`] pieces of rows from `row` on, from the `first`th piece of those on; a row has `across` of them.
    #[inline(always)]
    fn ask_share<const P: usize>(&self, row: usize, first: usize, across: usize)
    where
        R: Split<P>,
    {
        let (mut row, mut piece, mut left) = (row + first / across, first % across, SIDE);
        while left > 0 {
            let run = left.min(across - piece);
            for piece in piece..piece + run {
                self.w.ask_parts(row, self.cols.start + piece * SIDE);
            }
            (row, piece, left) = (row + 1, 0, left - run);
        }
    }
}

/// Packs a square whose rows `load` gives.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512bf16")]
fn pack_square<const P: usize>(turned: Turned, load: impl Fn(usize) -> [__m512i; P], tiles: &mut [Tile]) {
    assert_eq!(tiles.len(), 2 * P, "the tiles of a square");
    match turned {
        Turned::Yes => {
            for half in 0..2 {
                let mut parts = [[_mm512_setzero_si512(); 16]; P];
                for r in 0..16 {
                    for (part, row) in parts.iter_mut().zip(load(16 * half + r)) {
                        part[r] = row;
                    }
                }
                for (part, rows) in parts.into_iter().enumerate() {
                    *tiles[2 * part + half].rows_mut() = transposed(rows);
                }
            }
        }
        Turned::No => {
            for pair in 0..16 {
                let (even, odd) = (load(2 * pair), load(2 * pair + 1));
                if P == WHOLE {
                    // A part is half of the columns, and a row of a tile a depth.
                    for (half, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                        let rows = tiles[pair / 8 * 2 + half].rows_mut();
                        (rows[2 * pair % 16], rows[2 * pair % 16 + 1]) = (even, odd);
                    }
                    continue;
                }
                for (part, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                    for (half, row) in interleaved(even, odd).into_iter().enumerate() {
                        tiles[2 * part + half].rows_mut()[pair] = row;
                    }
                }
            }
        }
    }
}

/// Packs depths `depth` and columns `cols` of the right operand: two tiles per part and step, in panels that begin `stride`
/// tiles from each other.
///
/// # Safety
/// The ranges lie inside the operand.
pub(super) unsafe fn pack_right<R: Split<P>, const P: usize>(
    _: Vectors,
    of: (R, Turned),
    depth: Range<usize>,
    cols: Range<usize>,
    panels: &mut [Tile],
    stride: usize,
) {
    let squares = Squares::new(of, depth, cols);
    if P == ROUNDED && squares.turned == Turned::No {
        // SAFETY: the features are proven, the ranges as the caller promises.
        return unsafe { squares.pack_rows::<P>(panels, stride) };
    }
    squares.ask::<P>();
    let (down, across) = squares.counts();
    for square in 0..down * across {
        let place = squares.place::<P>(square, stride);
        // SAFETY: the features are proven, the ranges as the caller promises.
        unsafe { squares.pack::<P>(square, &mut panels[place]) };
    }
}
