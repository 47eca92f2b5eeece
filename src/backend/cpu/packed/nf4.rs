//! Rows of a 4-bit weight: a table of 16 numbers in a register, looked up 32 codes at a time.

use super::{
    super::{
        Cpu,
        nf4_elements::{elements, of_block},
    },
    panels::{RUNWAY, Rows, ask, rounded},
};
use crate::{
    nf4::{Absmax, CODES, Nf4Matrix},
    num::{low_u32, to_usize},
};
use pulp::Arch;
use std::arch::x86_64::*;

/// A weight whose rows are multiples of 32 elements, fewer than 2³² in all. As its blocks are such multiples too, 32 elements
/// from a multiple of 32 on have one magnitude.
///
/// An element is the f32 product of its code's value and its block's magnitude, rounded to bf16.
#[derive(Clone, Copy)]
pub(super) struct Aligned<'a> {
    w: &'a Nf4Matrix<Cpu>,
    /// Blocks of `1 << block_bits` elements.
    block_bits: u32,
    /// Whether the same holds of 64.
    in_pairs: bool,
}

impl<'a> Aligned<'a> {
    /// Where the codes from (row, col) on stand, and the number of their block.
    #[inline(always)]
    fn at(self, row: usize, col: usize) -> (*const u8, usize) {
        let first = row * self.w.cols() + col;
        (self.w.packed().as_ptr().wrapping_add(first / 2), first >> self.block_bits)
    }

    pub(super) fn new(w: &'a Nf4Matrix<Cpu>) -> Option<Self> {
        let in_pairs = w.cols().is_multiple_of(64) && w.block() >= 64;
        let takes = w.cols().is_multiple_of(32) && u32::try_from(w.rows() * w.cols()).is_ok();
        takes.then(|| Self { w, block_bits: w.block().trailing_zeros(), in_pairs })
    }
}

impl Aligned<'_> {
    /// Elements (row, column) in f32 that `lanes` names; zero elsewhere.
    ///
    /// # Safety
    /// They exist.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn gathered(self, lanes: __mmask16, rows: __m512i, columns: __m512i) -> __m512 {
        let of_row = _mm512_set1_epi32(low_u32(self.w.cols() as u64).cast_signed());
        let at = _mm512_add_epi32(_mm512_mullo_epi32(rows, of_row), columns);
        let blocks = _mm512_srlv_epi32(at, _mm512_set1_epi32(self.block_bits.cast_signed()));
        // Eight codes are four bytes: as a number, of each byte the higher four bits come first.
        let (eights, none) = (_mm512_srli_epi32::<3>(at), _mm512_setzero_si512());
        let place = _mm512_and_si512(_mm512_xor_si512(at, _mm512_set1_epi32(1)), _mm512_set1_epi32(7));
        // SAFETY: as promised; of a multiple of 32 elements, eights of codes are whole.
        let (codes, magnitudes) = unsafe {
            let codes =
                _mm512_mask_i32gather_epi32::<4>(none, lanes, eights, self.w.packed().as_ptr().cast());
            (codes, self.magnitudes(lanes, blocks))
        };
        // What looks up values reads four bits of each lane.
        let codes = _mm512_srlv_epi32(codes, _mm512_slli_epi32::<2>(place));
        // SAFETY: there are 16 values.
        let values = _mm512_permutexvar_ps(codes, unsafe { _mm512_loadu_ps(CODES.as_ptr()) });
        _mm512_mul_ps(values, magnitudes)
    }

    /// The magnitudes of the blocks that `lanes` names; zero elsewhere.
    ///
    /// # Safety
    /// They exist.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn magnitudes(self, lanes: __mmask16, blocks: __m512i) -> __m512 {
        if let Absmax::Single(absmax) = self.w.absmax() {
            // SAFETY: as promised.
            return unsafe {
                _mm512_mask_i32gather_ps::<4>(_mm512_setzero_ps(), lanes, blocks, absmax.as_ptr())
            };
        }
        // SAFETY: both are 512 bits of plain data.
        let blocks: [u32; 16] = unsafe { std::mem::transmute(blocks) };
        let magnitude = |i| if lanes >> i & 1 == 1 { of_block(self.w, to_usize(blocks[i])) } else { 0.0 };
        let magnitudes: [f32; 16] = std::array::from_fn(magnitude);
        // SAFETY: there are 16.
        unsafe { _mm512_loadu_ps(magnitudes.as_ptr()) }
    }
}

impl Rows for Aligned<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        debug_assert!(col.is_multiple_of(32) && lanes == !0, "whole groups of 32");
        let (codes, block) = self.at(row, col);
        // SAFETY: the caller promises the features and that these 32 elements exist, whose codes take 16 bytes.
        unsafe { looked_up(codes, table(of_block(self.w, block))) }
    }

    #[inline(always)]
    fn ask(self, row: usize, col: usize) {
        ask(self.at(row, col).0);
    }

    #[inline(always)]
    fn ask_ahead(self, row: usize, col: usize) {
        ask(self.at(row, col).0.wrapping_add(RUNWAY));
    }

    #[inline(always)]
    unsafe fn load_two(self, row: usize, col: usize) -> [__m512i; 2] {
        let (codes, block) = self.at(row, col);
        // SAFETY: as above, twice.
        unsafe {
            if !self.in_pairs {
                return [self.load(row, col, !0), self.load(row, col + 32, !0)];
            }
            let values = table(of_block(self.w, block));
            [looked_up(codes, values), looked_up(codes.wrapping_add(16), values)]
        }
    }
}

/// Any weight; for rare shapes, not for speed.
#[derive(Clone, Copy)]
pub(super) struct OneByOne<'a>(pub(super) &'a Nf4Matrix<Cpu>);

impl Rows for OneByOne<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        let first = row * self.0.cols() + col;
        let mut values = [0.0; 32];
        let count = 32 - lanes.leading_zeros() as usize;
        elements(Arch::Scalar, self.0, first..first + count, &mut values[..count]);
        // SAFETY: the caller promises the features; the array has 32 numbers.
        unsafe { rounded(values.as_ptr(), !0) }
    }

    #[inline(always)]
    fn ask(self, _: usize, _: usize) {}
}

/// The elements that the 16 codes stand for in a block of this magnitude; twice.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn table(magnitude: f32) -> __m512i {
    // SAFETY: there are 16 values.
    let values = unsafe { _mm512_loadu_ps(CODES.as_ptr()) };
    let values = _mm512_cvtneps_pbh(_mm512_mul_ps(values, _mm512_set1_ps(magnitude)));
    // SAFETY: both are 256 bits of plain data.
    _mm512_broadcast_i64x4(unsafe { std::mem::transmute::<__m256bh, __m256i>(values) })
}

/// The elements of the 32 codes in 16 bytes, by the [`table`] of their block.
///
/// # Safety
/// The bytes exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn looked_up(codes: *const u8, table: __m512i) -> __m512i {
    // Of each 64 bits the lowest 16 are four codes, the first in bits 4..8, then 0..4, 12..16 and 8..12.
    const STARTS: i64 = 0x0008_000c_0000_0004;
    // SAFETY: as the caller promises, there are 16 bytes.
    let fours = _mm512_cvtepu16_epi64(unsafe { _mm_loadu_si128(codes.cast()) });
    // An index has five bits, the fifth of them another code's: that is why the table has its 16 elements twice.
    let codes = _mm512_multishift_epi64_epi8(_mm512_set1_epi64(STARTS), fours);
    _mm512_permutexvar_epi16(codes, table)
}
