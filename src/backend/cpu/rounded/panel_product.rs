//! Products of f32 numbers in three parts on one thread, for operands that are packed once and multiplied often.

use super::{
    super::{matmul::Turned, strided::View},
    kernel::{Kernel, Session, Square, Start},
    pack_right::pack_right,
    panels::{PANEL, STEP, Tile, pack_lanes, pack_left},
    unit::Vectors,
};
use crate::backend::Write;
use std::{mem::MaybeUninit, ops::Range};

/// Parts of a number.
const PARTS: usize = 3;
/// Tiles of a panel for each step of its depth.
const TILES: usize = 2 * PARTS;

/// The proof that this machine forms products in parts.
#[derive(Clone, Copy)]
pub(in super::super) struct InParts {
    pub(super) kernel: Kernel,
}

impl InParts {
    /// For this thread, until it is dropped.
    pub(in super::super) fn start(self) -> PanelProducts {
        PanelProducts { session: self.kernel.start(), vectors: self.kernel.vectors }
    }
}

/// Packed panels of one depth: of 32 rows each of a left operand, or of 32 columns each of a right one.
#[derive(Default)]
pub(in super::super) struct Panels {
    tiles: Vec<Tile>,
    steps: usize,
}

impl Panels {
    /// Panel `index`, and of its depth the steps of 32 that `steps` names.
    pub(in super::super) fn panel(&self, index: usize, steps: Range<usize>) -> Panel<'_> {
        assert!(steps.end <= self.steps, "steps {steps:?} of {}", self.steps);
        let start = index * self.steps;
        Panel(&self.tiles[(start + steps.start) * TILES..(start + steps.end) * TILES])
    }

    /// Panel `index`, all of its depth.
    pub(in super::super) fn whole(&self, index: usize) -> Panel<'_> {
        self.panel(index, 0..self.steps)
    }

    /// Room for the tiles of these panels.
    fn room(&mut self, panels: usize, steps: usize) -> &mut [MaybeUninit<Tile>] {
        let count = panels * steps * TILES;
        self.tiles.clear();
        self.tiles.reserve(count);
        self.steps = steps;
        &mut self.tiles.spare_capacity_mut()[..count]
    }

    /// # Safety
    /// All tiles of the last [`room`](Self::room) for these were written.
    unsafe fn filled(&mut self, panels: usize) {
        // SAFETY: as promised; there was room for them.
        unsafe { self.tiles.set_len(panels * self.steps * TILES) };
    }
}

/// A panel, or some steps of its depth.
#[derive(Clone, Copy)]
pub(in super::super) struct Panel<'a>(&'a [Tile]);

/// What packs and multiplies panels, on the thread that started it.
pub(in super::super) struct PanelProducts {
    session: Session,
    /// They are there.
    vectors: Vectors,
}

impl PanelProducts {
    /// The rows of a left operand.
    pub(in super::super) fn pack_left(&self, a: View<'_>, into: &mut Panels) {
        let (panels, steps) = (a.rows().div_ceil(PANEL), a.cols().div_ceil(STEP));
        for (i, panel) in into.room(panels, steps).chunks_exact_mut(TILES * steps).enumerate() {
            let rows = i * PANEL..a.rows().min((i + 1) * PANEL);
            // SAFETY: the features are proven.
            unsafe { pack_left::<PARTS>(a.block(rows, 0..a.cols()), panel) };
        }
        // SAFETY: each panel was packed, which writes all of its tiles.
        unsafe { into.filled(panels) };
    }

    /// The columns of a right operand: of the matrix b, or of that with rows and columns exchanged.
    pub(in super::super) fn pack_right(&self, b: View<'_>, turned: Turned, into: &mut Panels) {
        assert!(b.is_row_major(), "the rows of b are contiguous");
        let (depth, cols) = match turned {
            Turned::No => (b.rows(), b.cols()),
            Turned::Yes => (b.cols(), b.rows()),
        };
        let panels = cols.div_ceil(PANEL);
        let room = into.room(panels, depth.div_ceil(STEP));
        // SAFETY: the features are proven, the ranges are all of b; packing writes all tiles.
        unsafe {
            pack_right::<_, PARTS>(self.vectors, (b, turned), 0..depth, 0..cols, room);
            into.filled(panels);
        }
    }

    /// Some squares, one below the other: each as a panel of a left operand, all as a panel of a right one, a step each.
    pub(in super::super) fn pack_squares(
        &self,
        squares: &[Square],
        mut left: Option<&mut Panels>,
        mut right: Option<&mut Panels>,
    ) {
        let count = squares.len();
        let rows = Square::rows(squares);
        let rooms =
            (left.as_mut().map(|left| left.room(count, 1)), right.as_mut().map(|right| right.room(1, count)));
        // SAFETY: the features are proven; packing writes all tiles.
        unsafe {
            pack_lanes(rows, rooms.0, rooms.1);
            left.into_iter().for_each(|left| left.filled(count));
            right.into_iter().for_each(|right| right.filled(1));
        }
    }

    /// `c ← [c +] left · right`.
    #[inline]
    pub(in super::super) fn multiply(&self, left: Panel<'_>, right: Panel<'_>, write: Write, c: &mut Square) {
        self.session.multiply::<PARTS>(left.0, right.0, Start::of(write), c.view());
    }
}
