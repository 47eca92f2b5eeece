//! The product of two packed panels, by what this machine multiplies bf16 with.

use super::{
    super::strided::{View, ViewMut},
    amx::{self, Amx},
    dots,
    panels::{PANEL, Tile},
    unit::Vectors,
};
use crate::backend::Write;
use bytemuck::{Pod, Zeroable};

/// What packs panels and multiplies them.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    pub(super) vectors: Vectors,
    tiles: Option<Amx>,
}

impl Kernel {
    /// Where the machine has one that is faster than multiply-adds of f32.
    pub(super) fn detect(vectors: Vectors) -> Option<Self> {
        let tiles = Amx::detect();
        (tiles.is_some() || dots::are_fast()).then_some(Self { vectors, tiles })
    }

    /// Without tiles, whatever is fast.
    pub(super) fn of_dots(vectors: Vectors) -> Self {
        Self { vectors, tiles: None }
    }

    /// Whether it is so much faster that six products of parts take less time than one of f32. Then products of f32
    /// numbers are of [`SPLIT`](super::panels::SPLIT) ones, else of [`WHOLE`](super::panels::WHOLE) ones.
    pub(super) fn has_tiles(self) -> bool {
        self.tiles.is_some()
    }

    /// For this thread, until it is dropped.
    pub(super) fn start(self) -> Session {
        match self.tiles {
            Some(amx) => Session::Tiles(amx.start()),
            None => Session::Dots(self.vectors),
        }
    }
}

/// A thread's way to multiply panels.
pub(super) enum Session {
    Tiles(amx::Session),
    Dots(Vectors),
}

impl Session {
    /// `c ← [c +] left · right`, for c `[32, 32]` and operands of `P` parts. The order of a sum depends on the depth
    /// alone.
    #[inline]
    pub(super) fn multiply<const P: usize>(
        &self,
        left: &[Tile],
        right: &[Tile],
        write: Write,
        c: ViewMut<'_>,
    ) {
        self.multiply_part::<P>(Extent::ALL, Left::Packed(left), right, write, Stores::Near, c);
    }

    /// The same where no more of it is asked for; the rest of c becomes anything.
    #[inline]
    pub(super) fn multiply_part<const P: usize>(
        &self,
        extent: Extent,
        left: Left<'_>,
        right: &[Tile],
        write: Write,
        stores: Stores,
        c: ViewMut<'_>,
    ) {
        match self {
            Self::Tiles(session) => match left {
                Left::Packed(left) => session.multiply::<P>(left, right, write, c),
                Left::Standing(..) => unreachable!("tiles are of panels"),
            },
            Self::Dots(vectors) => dots::multiply::<P>(*vectors, extent, left, right, write, stores, c),
        }
    }

    /// Makes what was stored past the cache as visible as all else.
    pub(super) fn end_stores(&self) {
        if let Self::Dots(vectors) = self {
            dots::end_stores(*vectors);
        }
    }
}

/// 32 rows of a left operand.
#[derive(Clone, Copy)]
pub(super) enum Left<'a> {
    /// As a panel.
    Packed(&'a [Tile]),
    /// Where they stand, in contiguous rows: those of the operand, and those that follow it as more depth, from the next
    /// step on. For products of [`WHOLE`](super::panels::WHOLE) numbers without tiles.
    Standing(View<'a>, View<'a>),
}

/// Where what overwrites a product's output goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stores {
    /// Through the cache, as is best for what is soon read.
    Near,
    /// Past it, where the kernel and the output's rows, of whole cache lines, allow: lines that are overwritten in full are
    /// not fetched first, and those of the operands stay. [`Session::end_stores`] follows.
    Past,
}

/// The first rows and columns of a product of two panels, and how many depths have numbers other than zero.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) depth: usize,
}

impl Extent {
    pub(super) const ALL: Self = Self { rows: PANEL, cols: PANEL, depth: usize::MAX };
}

/// The product of two panels, or sums of such.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
pub(in super::super) struct Square(pub(super) [[f32; PANEL]; PANEL]);

impl Square {
    /// The rows of some squares, one below the other.
    pub(in super::super) fn rows(squares: &[Self]) -> &[[f32; PANEL]] {
        bytemuck::cast_slice(squares)
    }

    /// The same to be written.
    pub(in super::super) fn rows_mut(squares: &mut [Self]) -> &mut [[f32; PANEL]] {
        bytemuck::cast_slice_mut(squares)
    }

    pub(super) fn view(&mut self) -> ViewMut<'_> {
        ViewMut::new(self.0.as_flattened_mut(), PANEL, PANEL)
    }
}
