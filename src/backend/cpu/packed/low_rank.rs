//! A product of low rank that is made on the way of another one: `u = inner_scale · a · inner`, from panels of `a` that are
//! packed in any case, then `c += u · outer_scale · outer`, as more depth of the product that makes c. Both factors and u have
//! the same parts as the operands of that product: beside a rounded one they are rounded.

use super::{
    super::{
        Cpu,
        elements::Elements,
        linear::LowRank,
        matmul::Turned,
        strided::{View, ViewMut},
    },
    kernel::{Extent, Left, Session, Square, Stores},
    pack_right::pack_right,
    panels::{PANEL, STEP, Split, Tile, ask_numbers, numbers, pack_left, parts},
    unit::Vectors,
};
use crate::backend::Write;
use bytemuck::Zeroable;
use std::{arch::x86_64::*, ops::Range};

/// The factors, as views of them and packed; u stands apart.
#[derive(Clone, Copy)]
pub(super) struct Factors<'a> {
    inner: (View<'a>, Turned),
    inner_scale: f32,
    outer: (View<'a>, Turned),
    outer_scale: f32,
    rank: usize,
}

impl<'a> LowRank<'a> {
    pub(super) fn into_parts(self) -> (Factors<'a>, ViewMut<'a>) {
        let Self { inner, inner_scale, u, outer, outer_scale } = self;
        (Factors { inner, inner_scale, outer, outer_scale, rank: u.cols() }, u)
    }
}

impl Factors<'_> {
    /// What a product of panels is, in which u and `outer` follow so many steps of other operands.
    pub(super) fn extent_after(self, steps: usize) -> Extent {
        Extent { depth: steps * STEP + self.rank, ..Extent::ALL }
    }

    /// Tiles of a panel of u, or of `outer`, in P parts.
    pub(super) fn tiles<const P: usize>(self) -> usize {
        2 * P * self.rank.div_ceil(STEP)
    }

    /// These depths of `inner`, for [`make_u`](Self::make_u).
    pub(super) fn pack_inner<const P: usize>(
        self,
        cpu: &Cpu,
        vectors: Vectors,
        depth: Range<usize>,
    ) -> Elements<Tile> {
        let (of, turned) = self.inner;
        let inner = (Scaled { of, scale: self.inner_scale }, turned);
        let panel = 2 * P * depth.len().div_ceil(STEP);
        let mut panels = Elements::unwritten(cpu.scratch(), panel * self.rank.div_ceil(PANEL));
        // SAFETY: the depths are some of the product's, the ranks all.
        unsafe { pack_right::<_, P>(vectors, inner, depth, 0..self.rank, &mut panels, panel) };
        panels
    }

    /// Packs these columns of `outer`, as depth of the product's right operand, into panels that begin `stride` tiles from
    /// each other.
    pub(super) fn pack_outer<const P: usize>(
        self,
        vectors: Vectors,
        cols: Range<usize>,
        panels: &mut [Tile],
        stride: usize,
    ) {
        let (of, turned) = self.outer;
        let outer = (Scaled { of, scale: self.outer_scale }, turned);
        // SAFETY: the columns are some of the product's, the ranks all.
        unsafe { pack_right::<_, P>(vectors, outer, 0..self.rank, cols, panels, stride) };
    }

    /// The rows of u that belong to a panel of the left operand: what these depths add, or begin with.
    pub(super) fn make_u<const P: usize>(
        self,
        session: &Session,
        left: Left<'_>,
        inner: &[Tile],
        write: Write,
        u: &mut ViewMut<'_>,
    ) {
        let mut sums = Square::zeroed();
        let panel = inner.len() / self.rank.div_ceil(PANEL);
        for (first, right) in (0..self.rank).step_by(PANEL).zip(inner.chunks_exact(panel)) {
            let extent = Extent { rows: u.rows(), cols: self.rank - first, ..Extent::ALL };
            session.multiply_part::<P>(extent, left, right, Write::Overwrite, Stores::Near, sums.view());
            for (row, sums) in sums.0.iter().enumerate().take(u.rows()) {
                for (u, sum) in u.row(row)[first..].iter_mut().zip(sums) {
                    // Adding −0 changes no number.
                    *u = sum + if write == Write::Add { *u } else { -0.0 };
                }
            }
        }
    }

    /// The finished rows of u as more depth of a panel of the left operand.
    pub(super) fn pack_u<const P: usize>(_: Vectors, u: &ViewMut<'_>, panel: &mut [Tile]) {
        // SAFETY: the features are proven.
        unsafe { pack_left::<P>(u.view(), panel) };
    }
}

/// `scale · of`.
#[derive(Clone, Copy)]
struct Scaled<'a> {
    of: View<'a>,
    scale: f32,
}

impl<const P: usize> Split<P> for Scaled<'_> {
    #[inline(always)]
    unsafe fn load_parts(self, row: usize, col: usize, lanes: u32) -> [__m512i; P] {
        // SAFETY: the caller promises the features and that the elements named by `lanes` exist.
        unsafe {
            let scale = _mm512_set1_ps(self.scale);
            parts(numbers(self.of.pointer_to(row, col), lanes).map(|half| _mm512_mul_ps(half, scale)))
        }
    }

    #[inline(always)]
    fn ask_parts(self, row: usize, col: usize) {
        ask_numbers(self.of, row, col);
    }
}
