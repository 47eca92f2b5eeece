//! Rows of a 4-bit weight: a table of 16 numbers in a register, looked up 32 codes at a time.

use super::{
    super::{
        Cpu,
        nf4_elements::{elements, of_block},
    },
    panels::{Rows, rounded},
};
use crate::nf4::{CODES, Nf4Matrix};
use std::arch::x86_64::*;

/// The elements of the weight, each the f32 product of its code's value and its block's magnitude, rounded to bf16.
#[derive(Clone, Copy)]
pub(super) struct Nf4Rows<'a>(pub(super) &'a Nf4Matrix<Cpu>);

impl Rows for Nf4Rows<'_> {
    #[inline(always)]
    unsafe fn load(self, row: usize, col: usize, lanes: u32) -> __m512i {
        let first = row * self.0.cols() + col;
        // Blocks are multiples of 32 elements: from such a one on, 32 have the same magnitude.
        let Some(codes) =
            self.0.packed().get(first / 2..first / 2 + 16).filter(|_| first % 32 == 0 && lanes == !0)
        else {
            // SAFETY: the caller promises the features and that the elements named by `lanes` exist.
            return unsafe { one_by_one(self.0, first, lanes) };
        };
        // SAFETY: the caller promises the features; there are 16 bytes of codes.
        unsafe { looked_up(codes.as_ptr(), of_block(self.0, first / self.0.block())) }
    }
}

/// The elements of the 32 codes in 16 bytes, which have one magnitude.
///
/// # Safety
/// The bytes exist.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn looked_up(codes: *const u8, magnitude: f32) -> __m512i {
    // SAFETY: there are 16 values and, as the caller promises, 16 bytes.
    let (values, codes) = unsafe { (_mm512_loadu_ps(CODES.as_ptr()), _mm_loadu_si128(codes.cast())) };
    let values = _mm512_cvtneps_pbh(_mm512_mul_ps(values, _mm512_set1_ps(magnitude)));
    // SAFETY: both are 256 bits of plain data.
    let values = unsafe { std::mem::transmute::<__m256bh, __m256i>(values) };
    // A pair to each 32 bits: the code in the high bits of the byte is the first. The table stands there twice, so that
    // the fifth bit of an index, which the other code leaves there, does not matter.
    let pairs = _mm512_cvtepu8_epi32(codes);
    let codes = _mm512_or_si512(_mm512_srli_epi32::<4>(pairs), _mm512_slli_epi32::<16>(pairs));
    _mm512_permutexvar_epi16(codes, _mm512_broadcast_i64x4(values))
}

/// The elements from `first` on that `lanes` names.
///
/// # Safety
/// They exist.
#[cold]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn one_by_one(w: &Nf4Matrix<Cpu>, first: usize, lanes: u32) -> __m512i {
    let mut values = [0.0; 32];
    let count = 32 - lanes.leading_zeros() as usize;
    elements(w, first..first + count, &mut values[..count]);
    // SAFETY: the array has 32 numbers.
    unsafe { rounded(values.as_ptr(), !0) }
}
