//! The kernel of machines without tiles: dot products of pairs of bf16, or multiply-adds of f32, a vector of 16 columns
//! each. A row of a tile is 16 pairs or 16 numbers: all but the instruction is the same.

use super::{
    super::strided::ViewMut,
    kernel::Start,
    panels::{PANEL, ROUNDED, Tile, WHOLE},
    unit::Vectors,
};
use std::arch::x86_64::*;

/// Rows of a panel whose sums are in registers at a time, two vectors each: with these an element of the left operand,
/// spread over a vector, serves two dot products, and 16 sums hide their time.
const ROWS: usize = 8;

/// Whether a dot product takes no longer than a multiply-add of f32, half as many products: on AMD's cores, not on those of
/// Intel, where it occupies a unit for several cycles.
pub(super) fn are_fast() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

/// The first `rows` rows at least of `c ← start + left · right`, for c `[32, 32]` and panels of numbers rounded or whole; an
/// element sums a depth, or a pair of them, after the other.
#[inline]
pub(super) fn multiply<const P: usize>(
    _: Vectors,
    rows: usize,
    left: &[Tile],
    right: &[Tile],
    start: Start<'_>,
    c: ViewMut<'_>,
) {
    assert_eq!(left.len(), right.len(), "panels of equal depth");
    assert_eq!((c.rows(), c.cols()), (PANEL, PANEL), "a product of two panels");
    // SAFETY: the features are proven.
    unsafe { panels::<P>(rows.min(PANEL), left.as_chunks().0, right.as_chunks().0, start, c) };
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn panels<const P: usize>(
    rows: usize,
    left: &[[Tile; 2]],
    right: &[[Tile; 2]],
    start: Start<'_>,
    c: ViewMut<'_>,
) {
    let (c, stride) = c.into_raw();
    let (from, from_stride) = start.source((c, stride));
    for first in (0..rows).step_by(ROWS) {
        let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
        if !from.is_null() {
            for (r, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the sums that c begins from are 32 rows of 32 numbers.
                unsafe {
                    let row = from.add((first + r) * from_stride);
                    *sums = [_mm512_loadu_ps(row), _mm512_loadu_ps(row.add(16))];
                }
            }
        }
        let (half, first_in_half) = (first / 16, first % 16);
        for (left, right) in left.iter().zip(right) {
            let rows: &[_; ROWS] =
                left[half].lines()[first_in_half..].first_chunk().expect("half of a tile's 16 rows");
            let columns = right.each_ref().map(Tile::lines);
            for pair in 0..16 {
                // SAFETY: a line has 64 bytes, aligned so.
                let columns = columns.map(|lines| unsafe { _mm512_load_si512(lines[pair].as_ptr().cast()) });
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let element = _mm512_set1_epi32(row[pair].cast_signed());
                    for (sum, columns) in sums.iter_mut().zip(columns) {
                        *sum = match P {
                            ROUNDED => _mm512_dpbf16_ps(*sum, pairs(element), pairs(columns)),
                            WHOLE => _mm512_fmadd_ps(
                                _mm512_castsi512_ps(element),
                                _mm512_castsi512_ps(columns),
                                *sum,
                            ),
                            _ => unreachable!("split numbers are multiplied by tiles"),
                        };
                    }
                }
            }
        }
        for (r, [low, high]) in sums.into_iter().enumerate() {
            // SAFETY: c is 32 rows of 32 numbers, borrowed by us alone.
            unsafe {
                let row = c.add((first + r) * stride);
                _mm512_storeu_ps(row, low);
                _mm512_storeu_ps(row.add(16), high);
            }
        }
    }
}

#[inline(always)]
fn pairs(lanes: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(lanes) }
}
