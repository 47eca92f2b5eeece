//! Operands as the kernels read them: tiles of 16 rows of 64 bytes, in panels of two tiles side by side.
//!
//! | | a row of the tile | a panel |
//! | --- | --- | --- |
//! | left operand | 32 consecutive depths of one row | 32 rows: rows 0..16, then 16..32, for each step of 32 depths |
//! | right operand | two consecutive depths of 16 columns | 32 columns: columns 0..16, then 16..32, for each step |

use super::super::{matmul::Turned, strided::View};
use half::bf16;
use std::{arch::x86_64::*, mem::MaybeUninit, ops::Range};

/// Rows of a panel of the left operand, columns of one of the right.
pub(super) const PANEL: usize = 32;
/// Depths of a tile.
pub(super) const STEP: usize = 32;

/// 16 rows of 64 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Tile([u32; 256]);

/// A weight whose rows are read 32 elements at a time.
pub(super) trait Rows: Copy + Sync {
    /// Elements `(row, col..col + 32)` as bf16, for a col that is a multiple of 32; those that `lanes`, the lowest few,
    /// does not name are zero.
    ///
    /// # Safety
    /// The machine has what [`Vectors`](super::unit::Vectors) proves; the elements that `lanes` names exist.
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i;

    /// Asks for the memory of elements `(row, col..col + 32)`, or of what stands in their place.
    fn ask(self, row: usize, col: usize);

    /// Elements `(row, col..col + 64)` in the same way.
    ///
    /// # Safety
    /// As for [`load`](Self::load); all 64 exist.
    #[inline(always)]
    unsafe fn load_two(self, row: usize, col: usize) -> [__m512i; 2] {
        // SAFETY: as the caller promises.
        unsafe { [self.load(row, col, !0), self.load(row, col + 32, !0)] }
    }
}

impl Rows for View<'_, bf16> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        let at = self.pointer_to(row, col).cast::<i16>();
        // SAFETY: the caller promises AVX-512 and that the elements named by `lanes` exist; others are not read.
        unsafe {
            if lanes == !0 { _mm512_loadu_si512(at.cast()) } else { _mm512_maskz_loadu_epi16(lanes, at) }
        }
    }

    #[inline(always)]
    fn ask(self, row: usize, col: usize) {
        ask(self.pointer_to(row, col));
    }
}

/// Asks for the cache line at `place`.
#[inline(always)]
pub(super) fn ask<T>(place: *const T) {
    // SAFETY: it changes nothing that a program sees, wherever it points.
    unsafe { _mm_prefetch::<_MM_HINT_T1>(place.cast()) };
}

/// Rows of the weight that are asked for ahead: a row may stand on a page of its own, which no hardware foresees.
const AHEAD: usize = 32;

/// The lanes of 32 that `left` more elements fill.
#[inline(always)]
pub(super) fn lanes(left: usize) -> u32 {
    if left >= 32 { !0 } else { (1 << left) - 1 }
}

/// Rounds the rows of `a`, at most 32, into a panel: two tiles per step of its depth.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) fn pack_left(a: View<'_>, panel: &mut [MaybeUninit<Tile>]) {
    assert!(a.rows() <= PANEL && panel.len() == 2 * a.cols().div_ceil(STEP), "a panel holds its rows");
    for (i, tile) in panel.iter_mut().enumerate() {
        let (first, depth) = (i % 2 * 16, i / 2 * STEP);
        let lanes = lanes(a.cols() - depth);
        for r in 0..16 {
            let mut row = _mm512_setzero_si512();
            if first + r < a.rows() {
                let at = a.pointer_to(first + r, depth);
                // SAFETY: the row lies in a, and `lanes` names only what stands before its end.
                row = unsafe { rounded(at, lanes) };
            }
            // SAFETY: a tile has 16 rows of 64 bytes, aligned so.
            unsafe { _mm512_store_si512(tile.as_mut_ptr().cast::<__m512i>().add(r), row) };
        }
    }
}

/// 32 numbers from `at` on, rounded to bf16; those that `lanes` does not name are zero.
///
/// # Safety
/// The numbers that `lanes` names exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn rounded(at: *const f32, lanes: u32) -> __m512i {
    let [low, high] = [_mm512_int2mask(lanes.cast_signed()), _mm512_int2mask((lanes >> 16).cast_signed())];
    // SAFETY: as promised; a masked load reads nothing else.
    let (low, high) = unsafe {
        if lanes == !0 {
            (_mm512_loadu_ps(at), _mm512_loadu_ps(at.add(16)))
        } else {
            (_mm512_maskz_loadu_ps(low, at), _mm512_maskz_loadu_ps(high, at.wrapping_add(16)))
        }
    };
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// Packs depths `depth` and columns `cols` of the right operand: panel by panel, two tiles per step.
///
/// # Safety
/// The ranges lie inside the operand.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512bf16")]
pub(super) unsafe fn pack_right<R: Rows>(
    w: R,
    turned: Turned,
    depth: Range<usize>,
    cols: Range<usize>,
    panels: &mut [MaybeUninit<Tile>],
) {
    let steps = depth.len().div_ceil(STEP);
    assert_eq!(panels.len(), 2 * steps * cols.len().div_ceil(PANEL), "panels hold their columns");
    match turned {
        Turned::Yes => {
            for (i, tile) in panels.iter_mut().enumerate() {
                let (half, step) = (i / (2 * steps) * 2 + i % 2, i / 2 % steps);
                let (row, col) = (cols.start + half * 16, depth.start + step * STEP);
                let lanes = lanes(depth.end - col);
                let rows: [_; 16] = std::array::from_fn(|r| {
                    if row + r >= cols.end {
                        return _mm512_setzero_si512();
                    }
                    // SAFETY: (row, col) lies inside as the caller promises, `lanes` ends where the depth does.
                    unsafe { w.load(row + r, col, lanes) }
                });
                store(tile, transposed(rows));
            }
        }
        Turned::No => {
            for (step, row) in depth.clone().step_by(STEP).enumerate() {
                for pair in 0..16 {
                    for (panel, col) in cols.clone().step_by(PANEL).enumerate() {
                        let lanes = lanes(cols.end - col);
                        let row = row + 2 * pair;
                        w.ask(row + AHEAD, col);
                        w.ask(row + AHEAD + 1, col);
                        let (mut even, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
                        // SAFETY: as above, with rows for columns.
                        unsafe {
                            if row < depth.end {
                                even = w.load(row, col, lanes);
                            }
                            if row + 1 < depth.end {
                                odd = w.load(row + 1, col, lanes);
                            }
                        }
                        let first = 2 * (panel * steps + step);
                        for (tile, row) in panels[first..first + 2].iter_mut().zip(interleaved(even, odd)) {
                            // SAFETY: a tile has 16 rows of 64 bytes, aligned so.
                            unsafe { _mm512_store_si512(tile.as_mut_ptr().cast::<__m512i>().add(pair), row) };
                        }
                    }
                }
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(tile: &mut MaybeUninit<Tile>, rows: [__m512i; 16]) {
    // SAFETY: a tile is 16 rows of 64 bytes, aligned so.
    unsafe { tile.as_mut_ptr().cast::<[__m512i; 16]>().write(rows) };
}

/// `even[0], odd[0], even[1], odd[1] …` of 32 elements each, in two vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleaved(even: __m512i, odd: __m512i) -> [__m512i; 2] {
    let first = _mm512_set_epi16(
        47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34,
        2, 33, 1, 32, 0,
    );
    let second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
    [first, second].map(|order| _mm512_permutex2var_epi16(even, order, odd))
}

/// 16 × 16 elements of 32 bits, rows and columns exchanged.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    let mut v = rows;
    // Within each quarter of four rows: v[4g + c] then holds, in lane q, rows 4g..4g + 4 of column 4q + c.
    for g in 0..4 {
        let [a, b, c, d] = [v[4 * g], v[4 * g + 1], v[4 * g + 2], v[4 * g + 3]];
        let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
        (v[4 * g], v[4 * g + 1]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
        (v[4 * g + 2], v[4 * g + 3]) = (_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    // Then lane q of the four quarters becomes column 4q + c.
    let mut out = v;
    for c in 0..4 {
        let [p, q, r, s] = [v[c], v[4 + c], v[8 + c], v[12 + c]];
        let (pq, rs) = (_mm512_shuffle_i32x4::<0x44>(p, q), _mm512_shuffle_i32x4::<0x44>(r, s));
        (out[c], out[4 + c]) = (_mm512_shuffle_i32x4::<0x88>(pq, rs), _mm512_shuffle_i32x4::<0xdd>(pq, rs));
        let (pq, rs) = (_mm512_shuffle_i32x4::<0xee>(p, q), _mm512_shuffle_i32x4::<0xee>(r, s));
        (out[8 + c], out[12 + c]) =
            (_mm512_shuffle_i32x4::<0x88>(pq, rs), _mm512_shuffle_i32x4::<0xdd>(pq, rs));
    }
    out
}
