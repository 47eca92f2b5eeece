//! The kernel of machines without tiles: dot products of pairs of bf16, or multiply-adds of f32, a vector of 16 columns
//! each. A row of a tile is 16 pairs or 16 numbers: all but the instruction is the same.

use super::{
    super::strided::ViewMut,
    kernel::{Extent, Left, Stores},
    panels::{PANEL, ROUNDED, STEP, Tile, WHOLE},
    unit::Vectors,
};
use crate::backend::Write;
use std::arch::x86_64::*;

/// Vectors of sums that are in registers at a time, so that these hide their time: of 8 rows two each, with which an element
/// of the left operand, spread over a vector, serves two dot products, or of 16 rows one, where no more columns are asked for.
const SUMS: usize = 16;

/// Elements of a row of a tile: f32 numbers, or pairs of others.
const LINE: usize = 16;
/// Elements of a tile.
const TILE: usize = 256;

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
    left: Left<'_>,
    right: &[Tile],
    write: Write,
    stores: Stores,
    c: ViewMut<'_>,
) {
    assert_eq!((c.rows(), c.cols()), (PANEL, PANEL), "a product of two panels");
    let Extent { rows, cols, depth } = extent;
    let right = right.as_chunks().0;
    // SAFETY: the features are proven; rows and lines are those that the operands have, as asserted.
    unsafe {
        match left {
            Left::Packed(left) => {
                assert_eq!(left.len(), 2 * right.len(), "panels of equal depth");
                let lines = if P == WHOLE { depth } else { depth.div_ceil(2) };
                let piece = Piece { left: left.as_ptr().cast(), row: LINE, right, lines };
                wide_or_narrow::<P, false>(rows, cols, &[piece], write, stores, c);
            }
            Left::Standing(a, u) => {
                assert!(P == WHOLE, "f32 numbers are multiplied as they stand");
                let (of_a, of_u) = right.split_at(STEP / LINE * a.cols().div_ceil(STEP));
                let pieces = [(a, of_a), (u, of_u)].map(|(of, right)| {
                    assert!(of.is_row_major() && of.rows() == PANEL, "as many rows as a panel has");
                    assert!(of.cols() <= LINE * right.len(), "panels of equal depth");
                    Piece { left: of.raw().0.cast(), row: of.raw().1, right, lines: of.cols() }
                });
                wide_or_narrow::<P, true>(rows, cols, &pieces, write, stores, c);
            }
        }
    }
}

/// Some depth of both operands.
struct Piece<'a> {
    /// The first element of the left one.
    left: *const u32,
    /// From an element to that of the next row: [`LINE`] in a panel.
    row: usize,
    right: &'a [[Tile; 2]],
    /// Depths, or pairs of them, that are summed at most.
    lines: usize,
}

/// # Safety
/// As for [`panels`].
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn wide_or_narrow<const P: usize, const STANDING: bool>(
    rows: usize,
    cols: usize,
    pieces: &[Piece<'_>],
    write: Write,
    stores: Stores,
    c: ViewMut<'_>,
) {
    // SAFETY: as promised.
    unsafe {
        if cols > PANEL / 2 {
            panels::<P, STANDING, { SUMS / 2 }, 2>(rows.min(PANEL), pieces, write, stores, c);
        } else {
            panels::<P, STANDING, SUMS, 1>(rows.min(PANEL), pieces, write, stores, c);
        }
    }
}

/// Orders what was stored past the cache before all that this thread stores from here on.
pub(super) fn end_stores(_: Vectors) {
    // SAFETY: the features are proven, and SSE is one that they stand on.
    unsafe { _mm_sfence() };
}

/// The first `rows` rows at least, and 16 columns for each of the `VECTORS` of a row of sums.
///
/// # Safety
/// The left operand of each piece has so many rows, rounded up to a multiple of `ROWS`, and as many lines as it says.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn panels<const P: usize, const STANDING: bool, const ROWS: usize, const VECTORS: usize>(
    rows: usize,
    pieces: &[Piece<'_>],
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
        for piece in pieces {
            // Of a panel, the tiles of 16 rows each alternate.
            let (row, start, step) = if STANDING {
                (piece.row, first * piece.row, LINE)
            } else {
                (LINE, first / 16 * TILE + first % 16 * LINE, 2 * TILE)
            };
            let mut left = piece.left.wrapping_add(start);
            let mut lines = piece.lines;
            for right in piece.right {
                let columns: [_; VECTORS] = std::array::from_fn(|i| right[i].lines());
                for line in 0..lines.min(LINE) {
                    // SAFETY: a line has 64 bytes, aligned so.
                    let columns =
                        columns.map(|lines| unsafe { _mm512_load_si512(lines[line].as_ptr().cast()) });
                    for (r, sums) in sums.iter_mut().enumerate() {
                        // SAFETY: the left operand has these rows and lines, as promised.
                        let element = _mm512_set1_epi32(unsafe { *left.add(r * row + line) }.cast_signed());
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
                left = left.wrapping_add(step);
                lines = lines.saturating_sub(LINE);
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
