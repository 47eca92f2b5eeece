//! A product of low rank that is made on the way of another one: `u = a · inner`, from panels of `a` that are packed in any
//! case, then `c += u · outer`, as more depth of the product that makes c.
//!
//! Beside f32 operands of the product, both factors and u have the same parts as those, and that makes two products like
//! the others. Where a is rounded to bf16, so is u, which counts as rounded from then on, and two parts hold a factor to 2⁻¹⁷
//! of itself. Of 16 columns of `inner` the first parts stand beside the second ones in one panel; 16 ranks of u and `outer`
//! make one step of 32 depths:
//!
//! | left | right |
//! | --- | --- |
//! | u, u | first parts, second parts of `outer_scale · outer` |

use super::{
    super::{
        matmul::Turned,
        strided::{View, ViewMut},
    },
    LowRank,
    kernel::{Session, Square, Start},
    pack_right::packed_right,
    panels::{PANEL, ROUNDED, Rows, SPLIT, STEP, Tile, WHOLE, lanes, numbers, pack_left, split, store},
    unit::Vectors,
};
use crate::backend::Write;
use bytemuck::Zeroable;
use half::bf16;
use std::{arch::x86_64::*, mem::MaybeUninit, ops::Range};

/// Ranks whose two parts a step has room for.
const HALF: usize = STEP / 2;

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
            ROUNDED => 2 * self.rank.div_ceil(HALF),
            _ => 2 * P * self.rank.div_ceil(STEP),
        }
    }

    /// These depths of `inner`, for [`make_u`](Self::make_u).
    pub(super) fn pack_inner<const P: usize>(self, vectors: Vectors, depth: Range<usize>) -> Vec<Tile> {
        let (of, turned) = self.inner;
        match P {
            ROUNDED => {
                let inner = SideBySide { of, turned, rank: self.rank };
                let cols = 0..PANEL * self.rank.div_ceil(HALF);
                packed_right::<_, ROUNDED>(vectors, (inner, turned), depth, cols)
            }
            WHOLE => packed_right::<_, WHOLE>(vectors, (of, turned), depth, 0..self.rank),
            _ => packed_right::<_, SPLIT>(vectors, (of, turned), depth, 0..self.rank),
        }
    }

    /// These columns of `outer`, as depth of the product's right operand.
    pub(super) fn pack_outer<const P: usize>(self, vectors: Vectors, cols: Range<usize>) -> Vec<Tile> {
        let (of, turned) = self.outer;
        match P {
            ROUNDED => {
                let outer = InHalves { of, turned, rank: self.rank, scale: self.outer_scale };
                let depth = 0..STEP * self.rank.div_ceil(HALF);
                packed_right::<_, ROUNDED>(vectors, (outer, turned), depth, cols)
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
        let ranks = if P == ROUNDED { HALF } else { PANEL };
        for (first, right) in (0..self.rank).step_by(ranks).zip(inner.chunks_exact(left.len())) {
            session.multiply::<P>(left, right, Start::Zero, sums.view());
            for (row, sums) in sums.0.iter_mut().enumerate().take(u.rows()) {
                if P == ROUNDED {
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

    /// The finished rows of u as more depth of a panel of the left operand: rounded, here as well, or scaled.
    pub(super) fn pack_u<const P: usize>(
        self,
        _: Vectors,
        u: &mut ViewMut<'_>,
        panel: &mut [MaybeUninit<Tile>],
    ) {
        let mut packed = vec![0.0; u.rows() * self.rank];
        for (row, packed) in packed.chunks_exact_mut(self.rank).enumerate() {
            for (packed, u) in packed.iter_mut().zip(u.row(row)) {
                if P == ROUNDED {
                    *u = bf16::from_f32(*u).to_f32();
                    *packed = *u;
                } else {
                    *packed = self.outer_scale * *u;
                }
            }
        }
        let u = View::new(&packed, u.rows(), self.rank);
        // SAFETY: the features are proven.
        unsafe {
            match P {
                ROUNDED => pack_twice(u, panel),
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
                return halves(self.of.pointer_to(row, first), self.rank - first, 1.0);
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

/// `scale · outer`: of each step, the first parts in the first half, the second ones in the other.
#[derive(Clone, Copy)]
struct InHalves<'a> {
    of: View<'a>,
    turned: Turned,
    rank: usize,
    scale: f32,
}

impl Rows for InHalves<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        let depth = if self.turned == Turned::Yes { col } else { row };
        let first = depth / STEP * HALF;
        // SAFETY: the caller promises the features and the elements of the rows; of the ranks, those beyond the last are
        // not read.
        unsafe {
            if self.turned == Turned::Yes {
                return halves(self.of.pointer_to(row, first), self.rank - first, self.scale);
            }
            let rank = first + depth % HALF;
            if rank >= self.rank {
                return _mm512_setzero_si512();
            }
            let scale = _mm512_set1_ps(self.scale);
            let scaled = numbers(self.of.pointer_to(rank, col), lanes).map(|half| _mm512_mul_ps(half, scale));
            split::<2>(scaled)[depth % STEP / HALF]
        }
    }

    #[inline(always)]
    fn ask(self, _: usize, _: usize) {}
}

/// `scale` times the 16 numbers from `at` on, or the `left` ones if those are fewer: their first parts, then their second.
///
/// # Safety
/// The numbers exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn halves(at: *const f32, left: usize, scale: f32) -> __m512i {
    // SAFETY: as promised; no more are read.
    let [numbers, _] = unsafe { numbers(at, lanes(left.min(HALF))) };
    let [first, second] = split::<2>([_mm512_mul_ps(numbers, _mm512_set1_ps(scale)); 2]);
    _mm512_mask_blend_epi64(0xf0, first, second)
}

/// Packs the rows of `u`, at most 32, as a left operand that has each twice: [`HALF`] ranks, and the same again.
#[target_feature(enable = "avx512f,avx512bf16")]
fn pack_twice(u: View<'_>, panel: &mut [MaybeUninit<Tile>]) {
    assert!(u.rows() <= PANEL && panel.len() == 2 * u.cols().div_ceil(HALF), "a panel holds its rows");
    for (step, tiles) in panel.chunks_exact_mut(2).enumerate() {
        for (half, tile) in tiles.iter_mut().enumerate() {
            let rows = std::array::from_fn(|r| {
                if 16 * half + r >= u.rows() {
                    return _mm512_setzero_si512();
                }
                let at = u.pointer_to(16 * half + r, HALF * step);
                // SAFETY: the row exists, and so many numbers of it.
                let [ranks, _] = unsafe { numbers(at, lanes((u.cols() - HALF * step).min(HALF))) };
                let [twice] = split::<1>([ranks; 2]);
                twice
            });
            store(tile, rows);
        }
    }
}
