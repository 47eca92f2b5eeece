//! Products of f32 numbers on one thread, rounded or not, for operands that are packed once and multiplied often.

use super::{
    super::{Cpu, elements::Room, matmul::Turned, strided::View},
    kernel::{Kernel, Session, Square},
    pack_right::pack_right,
    panels::{PANEL, ROUNDED, SPLIT, STEP, Split, Tile, WHOLE, pack_lanes, pack_left},
};
use crate::backend::{Rounding, Write};
use std::ops::Range;

/// The proof that this machine multiplies panels, and of what parts its numbers are.
#[derive(Clone, Copy)]
pub(in super::super) struct InPanels {
    kernel: Kernel,
    parts: Parts,
}

/// See [`panels`](super::panels).
#[derive(Clone, Copy)]
enum Parts {
    Rounded,
    Whole,
    Split,
}

impl InPanels {
    pub(super) fn new(kernel: Kernel, rounding: Rounding) -> Self {
        let parts = match rounding {
            Rounding::ToBf16 => Parts::Rounded,
            Rounding::Never if kernel.has_tiles() => Parts::Split,
            Rounding::Never => Parts::Whole,
        };
        Self { kernel, parts }
    }

    /// For this thread, until it is dropped.
    pub(in super::super) fn start(self) -> PanelProducts {
        PanelProducts { of: self, session: self.kernel.start() }
    }
}

/// Packed panels of one depth: of 32 rows each of a left operand, or of 32 columns each of a right one.
pub(in super::super) struct Panels {
    tiles: Room<Tile>,
    steps: usize,
    /// Tiles of a panel for each step of its depth.
    of_step: usize,
}

impl Panels {
    /// None yet.
    pub(in super::super) fn new(cpu: &Cpu) -> Self {
        Self { tiles: Room::new(cpu.scratch()), steps: 0, of_step: 0 }
    }

    /// Panel `index`, and of its depth the steps of 32 that `steps` names.
    pub(in super::super) fn panel(&self, index: usize, steps: Range<usize>) -> Panel<'_> {
        assert!(steps.end <= self.steps, "steps {steps:?} of {}", self.steps);
        let start = index * self.steps;
        Panel(&self.tiles[(start + steps.start) * self.of_step..(start + steps.end) * self.of_step])
    }

    /// Panel `index`, all of its depth.
    pub(in super::super) fn whole(&self, index: usize) -> Panel<'_> {
        self.panel(index, 0..self.steps)
    }

    /// Room for the tiles of these panels, of P parts.
    fn room<const P: usize>(&mut self, panels: usize, steps: usize) -> &mut [Tile] {
        (self.steps, self.of_step) = (steps, 2 * P);
        self.tiles.first(panels * steps * self.of_step)
    }
}

/// A panel, or some steps of its depth.
#[derive(Clone, Copy)]
pub(in super::super) struct Panel<'a>(&'a [Tile]);

/// What packs and multiplies panels, on the thread that started it.
pub(in super::super) struct PanelProducts {
    of: InPanels,
    session: Session,
}

impl PanelProducts {
    /// The rows of a left operand.
    pub(in super::super) fn pack_left(&self, a: View<'_>, into: &mut Panels) {
        let InPanels { kernel, parts } = self.of;
        match parts {
            Parts::Rounded => left::<ROUNDED>(kernel, a, into),
            Parts::Whole => left::<WHOLE>(kernel, a, into),
            Parts::Split => left::<SPLIT>(kernel, a, into),
        }
    }

    /// The columns of a right operand: of the matrix b, or of that with rows and columns exchanged.
    pub(in super::super) fn pack_right(&self, b: View<'_>, turned: Turned, into: &mut Panels) {
        let InPanels { kernel, parts } = self.of;
        match parts {
            Parts::Rounded => right::<ROUNDED>(kernel, (b, turned), into),
            Parts::Whole => right::<WHOLE>(kernel, (b, turned), into),
            Parts::Split => right::<SPLIT>(kernel, (b, turned), into),
        }
    }

    /// Some squares, one below the other: each as a panel of a left operand, all as a panel of a right one, a step each.
    pub(in super::super) fn pack_squares(
        &self,
        from: &[Square],
        left: Option<&mut Panels>,
        right: Option<&mut Panels>,
    ) {
        let InPanels { kernel, parts } = self.of;
        match parts {
            Parts::Rounded => squares::<ROUNDED>(kernel, from, left, right),
            Parts::Whole => squares::<WHOLE>(kernel, from, left, right),
            Parts::Split => squares::<SPLIT>(kernel, from, left, right),
        }
    }

    /// `c ← [c +] left · right`.
    #[inline]
    pub(in super::super) fn multiply(&self, left: Panel<'_>, right: Panel<'_>, write: Write, c: &mut Square) {
        let (left, right, c) = (left.0, right.0, c.view());
        match self.of.parts {
            Parts::Rounded => self.session.multiply::<ROUNDED>(left, right, write, c),
            Parts::Whole => self.session.multiply::<WHOLE>(left, right, write, c),
            Parts::Split => self.session.multiply::<SPLIT>(left, right, write, c),
        }
    }
}

/// [`PanelProducts::pack_left`] in P parts.
fn left<const P: usize>(_: Kernel, a: View<'_>, into: &mut Panels) {
    let (panels, steps) = (a.rows().div_ceil(PANEL), a.cols().div_ceil(STEP));
    for (i, panel) in into.room::<P>(panels, steps).chunks_exact_mut(2 * P * steps).enumerate() {
        let rows = i * PANEL..a.rows().min((i + 1) * PANEL);
        // SAFETY: the kernel proves the features.
        unsafe { pack_left::<P>(a.block(rows, 0..a.cols()), panel) };
    }
}

/// [`PanelProducts::pack_right`] in P parts.
fn right<'a, const P: usize>(kernel: Kernel, (b, turned): (View<'a>, Turned), into: &mut Panels)
where
    View<'a>: Split<P>,
{
    assert!(b.is_row_major(), "the rows of b are contiguous");
    let (depth, cols) = match turned {
        Turned::No => (b.rows(), b.cols()),
        Turned::Yes => (b.cols(), b.rows()),
    };
    let (panels, steps) = (cols.div_ceil(PANEL), depth.div_ceil(STEP));
    let room = into.room::<P>(panels, steps);
    // SAFETY: the ranges are all of b.
    unsafe { pack_right::<_, P>(kernel.vectors, (b, turned), 0..depth, 0..cols, room, 2 * P * steps) };
}

/// [`PanelProducts::pack_squares`] in P parts.
fn squares<const P: usize>(
    _: Kernel,
    squares: &[Square],
    left: Option<&mut Panels>,
    right: Option<&mut Panels>,
) {
    let count = squares.len();
    let left = left.map(|left| left.room::<P>(count, 1));
    let right = right.map(|right| right.room::<P>(1, count));
    // SAFETY: the kernel proves the features.
    unsafe { pack_lanes::<P>(Square::rows(squares), left, right) };
}
