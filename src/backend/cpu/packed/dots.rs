//! The kernel of machines without tiles: dot products of pairs of bf16, or multiply-adds of f32, a vector of 16 columns
//! each. A row of a tile is 16 pairs or 16 numbers: all but the instruction is the same.

use super::{
    super::strided::ViewMut,
    kernel::{Extent, Stores},
    panels::{PANEL, ROUNDED, Tile, WHOLE},
    unit::Vectors,
};
use crate::backend::Write;
use std::arch::x86_64::*;

/// Vectors of sums that are in registers at a time, so that these hide their time: of 8 rows two each, with which an element
/// of the left operand, spread over a vector, serves two dot products, or of 16 rows one, where no more columns are asked for.
const SUMS: usize = 16;

/// Whether a dot product takes no longer than a multiply-add of f32, half as many products: on AMD's cores, not on those of
/// Intel, where it occupies a unit for several cycles.
pub(super) fn are_fast() -> bool {
    let vendor = __cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

/// `c ← [c +] left · right`, for c `[32, 32]` and panels of numbers rounded or whole, as far as `extent` asks for it; an
/// element sums a depth, or a pair of them, after the other.
#[inline]
pub(super) fn multiply<const P: usize>(
    _: Vectors,
    extent: Extent,
    left: &[Tile],
    right: &[Tile],
    write: Write,
    stores: Stores,
    c: ViewMut<'_>,
) {
    assert_eq!(left.len(), right.len(), "panels of equal depth");
    assert_eq!((c.rows(), c.cols()), (PANEL, PANEL), "a product of two panels");
    let Extent { rows, cols, depth } = extent;
    let lines = if P == WHOLE { depth } else { depth.div_ceil(2) };
    let (left, right) = (left.as_chunks().0, right.as_chunks().0);
    // SAFETY: the features are proven.
    unsafe {
        if cols > PANEL / 2 {
            panels::<P, { SUMS / 2 }, 2>(rows.min(PANEL), lines, left, right, write, stores, c);
        } else {
            panels::<P, SUMS, 1>(rows.min(PANEL), lines, left, right, write, stores, c);
        }
    }
}

/// Orders what was stored past the cache before all that this thread stores from here on.
pub(super) fn end_stores(_: Vectors) {
    // SAFETY: the features are proven, and SSE is one that they stand on.
    unsafe { _mm_sfence() };
}

/// The first `rows` rows at least, and 16 columns for each of the `VECTORS` of a row of sums, from the first `lines` rows of
/// the right panel's tiles.
#[target_feature(enable = "avx512f,avx512bf16")]
fn panels<const P: usize, const ROWS: usize, const VECTORS: usize>(
    rows: usize,
    lines: usize,
    left: &[[Tile; 2]],
    right: &[[Tile; 2]],
    write: Write,
    stores: Stores,
    c: ViewMut<'_>,
) {
    let (c, stride) = c.into_raw();
    let past = stores == Stores::Past
        && write == Write::Overwrite
        && (c.addr() | (size_of::<f32>() * stride)).is_multiple_of(size_of::<__m512>());
    for first in (0..rows).step_by(ROWS) {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        if write == Write::Add {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: c is 32 rows of 32 numbers, borrowed by us alone.
                    *sum = unsafe { _mm512_loadu_ps(c.add((first + r) * stride + 16 * i)) };
                }
            }
        }
        if write == Write::Add && stride > PANEL {
            // What the rows after these start from, most likely: below, or in the next panel of an output.
            let next = c.wrapping_add(if first + ROWS < PANEL { (first + ROWS) * stride } else { PANEL });
            for r in 0..ROWS {
                for i in 0..VECTORS {
                    _mm_prefetch::<_MM_HINT_ET0>(next.wrapping_add(r * stride + 16 * i).cast());
                }
            }
        }
        let (half, first_in_half) = (first / 16, first % 16);
        for (step, (left, right)) in left.iter().zip(right).enumerate() {
            let rows: &[_; ROWS] =
                left[half].lines()[first_in_half..].first_chunk().expect("rows of a tile's 16");
            let columns: [_; VECTORS] = std::array::from_fn(|i| right[i].lines());
            for line in 0..lines.saturating_sub(16 * step).min(16) {
                // SAFETY: a line has 64 bytes, aligned so.
                let columns = columns.map(|lines| unsafe { _mm512_load_si512(lines[line].as_ptr().cast()) });
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let element = _mm512_set1_epi32(row[line].cast_signed());
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
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate() {
                let to = c.wrapping_add((first + r) * stride + 16 * i);
                // SAFETY: the same; vectors that pass the cache are aligned, as asked above.
                unsafe { if past { _mm512_stream_ps(to, sum) } else { _mm512_storeu_ps(to, sum) } };
            }
        }
    }
}

#[inline(always)]
fn pairs(lanes: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits of plain data.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(lanes) }
}
