//! A product of low rank that is made on the way of another one: `u = a · inner`, from panels of `a` that are packed in any
//! case, then `c += u · outer`, as more depth of the product that makes c.
//!
//! Both factors and u are f32. Where the operands of the product are, their parts are the same, and that makes two
//! products like the others. Where a is rounded to one, two parts hold them to 2⁻¹⁷ of themselves, far more than is left of a.
//! Then those of 16 columns of `inner` stand side by side in one panel, and of u and `outer` a step of 32 depths holds two
//! times 16, so that two steps are the products of parts:
//!
//! | step | left | right |
//! | --- | --- | --- |
//! | 0 | first, second | first, first |
//! | 1 | first, second | second, second |

use super::{
    super::{
        matmul::Turned,
        strided::{View, ViewMut},
    },
    LowRank,
    kernel::{Session, Square, Start},
    pack_right::packed_right,
    panels::{PANEL, Rows, SPLIT, STEP, Tile, WHOLE, lanes, numbers, pack_left, split, store},
    unit::Vectors,
};
use crate::backend::Write;
use bytemuck::Zeroable;
use std::{arch::x86_64::*, mem::MaybeUninit, ops::Range};

/// Ranks that a step of two parts has room for.
const HALF: usize = STEP / 2;
/// The parts of left and right operand that stand in the halves of a step.
const STEPS: [([usize; 2], [usize; 2]); 2] = [([0, 1], [0, 0]), ([0, 1], [1, 1])];

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
    /// Tiles of a panel of u, or of `outer`, beside operands of P parts.
    pub(super) fn tiles<const P: usize>(self) -> usize {
        match P {
            1 => 2 * STEPS.len() * self.rank.div_ceil(HALF),
            _ => 2 * P * self.rank.div_ceil(STEP),
        }
    }

    /// These depths of `inner`, for [`make_u`](Self::make_u).
    pub(super) fn pack_inner<const P: usize>(self, vectors: Vectors, depth: Range<usize>) -> Vec<Tile> {
        let (of, turned) = self.inner;
        match P {
            1 => {
                let cols = 0..PANEL * self.rank.div_ceil(HALF);
                packed_right::<_, 1>(
                    vectors,
                    (SideBySide { of, turned, rank: self.rank }, turned),
                    depth,
                    cols,
                )
            }
            WHOLE => packed_right::<_, WHOLE>(vectors, (of, turned), depth, 0..self.rank),
            _ => packed_right::<_, SPLIT>(vectors, (of, turned), depth, 0..self.rank),
        }
    }

    /// These columns of `outer`, as depth of the product's right operand.
    pub(super) fn pack_outer<const P: usize>(self, vectors: Vectors, cols: Range<usize>) -> Vec<Tile> {
        let (of, turned) = self.outer;
        match P {
            1 => {
                let depth = 0..STEPS.len() * STEP * self.rank.div_ceil(HALF);
                packed_right::<_, 1>(vectors, (InHalves { of, turned, rank: self.rank }, turned), depth, cols)
            }
            WHOLE => packed_right::<_, WHOLE>(vectors, (of, turned), 0..self.rank, cols),
            _ => packed_right::<_, SPLIT>(vectors, (of, turned), 0..self.rank, cols),
        }
    }

    /// The rows of u that belong to a panel of the left operand: what these depths add, or begin with.
    pub(super) fn make_u<const P: usize>(
        self,
        session: &Session,
        left: &[Tile],
        inner: &[Tile],
        write: Write,
        u: &mut ViewMut<'_>,
    ) {
        let mut sums = Square::zeroed();
        let ranks = if P == 1 { HALF } else { PANEL };
        for (first, right) in (0..self.rank).step_by(ranks).zip(inner.chunks_exact(left.len())) {
            session.multiply::<P>(left, right, Start::Zero, sums.view());
            for (row, sums) in sums.0.iter_mut().enumerate().take(u.rows()) {
                if P == 1 {
                    let (firsts, seconds) = sums.split_at_mut(HALF);
                    firsts.iter_mut().zip(seconds).for_each(|(first, second)| *first += *second);
                }
                for (u, sum) in u.row(row)[first..].iter_mut().zip(&sums[..ranks]) {
                    let before = if write == Write::Add { *u } else { -0.0 };
                    *u = sum.mul_add(self.inner_scale, before);
                }
            }
        }
    }

    /// The finished rows of u, scaled, as more depth of a panel of the left operand.
    pub(super) fn pack_u<const P: usize>(
        self,
        _: Vectors,
        u: &mut ViewMut<'_>,
        panel: &mut [MaybeUninit<Tile>],
    ) {
        let mut scaled = vec![0.0; u.rows() * self.rank];
        for (row, scaled) in scaled.chunks_exact_mut(self.rank).enumerate() {
            scaled.iter_mut().zip(&*u.row(row)).for_each(|(scaled, u)| *scaled = self.outer_scale * u);
        }
        let u = View::new(&scaled, u.rows(), self.rank);
        // SAFETY: the features are proven.
        unsafe {
            match P {
                1 => pack_in_halves(u, panel),
                _ => pack_left::<P>(u, panel),
            }
        }
    }
}

/// `inner`, its first parts in the first columns of a panel, its second ones in the others.
#[derive(Clone, Copy)]
struct SideBySide<'a> {
    of: View<'a>,
    turned: Turned,
    rank: usize,
}

impl Rows for SideBySide<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        // SAFETY: the caller promises the features and the elements of the depth; of the ranks, those beyond the last are
        // not read.
        unsafe {
            if self.turned == Turned::No {
                let first = col / PANEL * HALF;
                return halves(self.of.pointer_to(row, first), self.rank - first, [0, 1]);
            }
            let rank = row / PANEL * HALF + row % HALF;
            if rank >= self.rank {
                return _mm512_setzero_si512();
            }
            split::<2>(numbers(self.of.pointer_to(rank, col), lanes))[row % PANEL / HALF]
        }
    }

    #[inline(always)]
    fn ask(self, _: usize, _: usize) {}
}

/// `outer`, its parts in the halves of steps.
#[derive(Clone, Copy)]
struct InHalves<'a> {
    of: View<'a>,
    turned: Turned,
    rank: usize,
}

impl Rows for InHalves<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        let depth = if self.turned == Turned::Yes { col } else { row };
        let first = depth / (STEPS.len() * STEP) * HALF;
        let (_, parts) = STEPS[depth / STEP % STEPS.len()];
        // SAFETY: the caller promises the features and the elements of the rows; of the ranks, those beyond the last are
        // not read.
        unsafe {
            if self.turned == Turned::Yes {
                return halves(self.of.pointer_to(row, first), self.rank - first, parts);
            }
            let rank = first + depth % HALF;
            if rank >= self.rank {
                return _mm512_setzero_si512();
            }
            split::<2>(numbers(self.of.pointer_to(rank, col), lanes))[parts[depth % STEP / HALF]]
        }
    }

    #[inline(always)]
    fn ask(self, _: usize, _: usize) {}
}

/// Of the 16 numbers from `at` on, or of `left` if those are fewer, two parts.
///
/// # Safety
/// The numbers exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn halves(at: *const f32, left: usize, parts: [usize; 2]) -> __m512i {
    // SAFETY: as promised; no more are read.
    let [numbers, _] = unsafe { numbers(at, lanes(left.min(HALF))) };
    let found = split::<2>([numbers, numbers]);
    _mm512_mask_blend_epi64(0xf0, found[parts[0]], found[parts[1]])
}

/// Packs the rows of `u`, at most 32, as the left operand that [`STEPS`] states.
#[target_feature(enable = "avx512f,avx512bf16")]
fn pack_in_halves(u: View<'_>, panel: &mut [MaybeUninit<Tile>]) {
    assert!(
        u.rows() <= PANEL && panel.len() == 2 * STEPS.len() * u.cols().div_ceil(HALF),
        "a panel holds its rows"
    );
    for (chunk, tiles) in panel.chunks_exact_mut(2 * STEPS.len()).enumerate() {
        for ((parts, _), tiles) in STEPS.into_iter().zip(tiles.chunks_exact_mut(2)) {
            for (half, tile) in tiles.iter_mut().enumerate() {
                let rows = std::array::from_fn(|r| {
                    if 16 * half + r >= u.rows() {
                        return _mm512_setzero_si512();
                    }
                    // SAFETY: the row exists, and so many numbers of it.
                    unsafe {
                        halves(u.pointer_to(16 * half + r, HALF * chunk), u.cols() - HALF * chunk, parts)
                    }
                });
                store(tile, rows);
            }
        }
    }
}
