//! Products of a few rows with the rows of a weight: what decoding does. The weight is read once, and takes the time.

use super::{
    super::{
        Cpu,
        strided::{View, ViewMut},
    },
    panels::{Rows, STEP, lanes, rounded},
    unit::Vectors,
};
use crate::backend::Write;
use rayon::prelude::*;
use std::arch::x86_64::*;

/// As many rows have their sums in registers.
pub(super) const FEW: usize = 8;
/// The most elements of the weight in a piece: some microseconds.
const PIECE: usize = 1 << 16;

/// `y ← [y +] scale · x · wᵀ` for at most [`FEW`] rows of x, which are contiguous.
pub(super) fn few<R: Rows>(
    cpu: &Cpu,
    vectors: Vectors,
    scale: f32,
    x: View<'_>,
    w: R,
    write: Write,
    y: ViewMut<'_>,
) {
    match x.rows() {
        0 | 1 => rows::<R, 1, 4>(cpu, vectors, scale, x, w, write, y),
        2 => rows::<R, 2, 4>(cpu, vectors, scale, x, w, write, y),
        3 | 4 => rows::<R, 4, 4>(cpu, vectors, scale, x, w, write, y),
        _ => rows::<R, FEW, 2>(cpu, vectors, scale, x, w, write, y),
    }
}

/// The same for at most T rows, with N rows of the weight at a time: as many streams of memory, and chains of sums.
///
/// The number of pieces is a power of two, so that two, four or eight threads have the same to do.
fn rows<R: Rows, const T: usize, const N: usize>(
    cpu: &Cpu,
    _: Vectors,
    scale: f32,
    x: View<'_>,
    w: R,
    write: Write,
    y: ViewMut<'_>,
) {
    assert!(x.rows() == y.rows() && x.rows() <= T && x.is_row_major(), "a few contiguous rows");
    // SAFETY: the features are proven.
    let packed = &unsafe { pack::<T>(x) };
    let pieces = (y.cols() * x.cols()).div_ceil(PIECE).next_power_of_two();
    let width = y.cols().div_ceil(pieces).next_multiple_of(N);
    let piece = |(i, y): (usize, ViewMut<'_>)| {
        // SAFETY: the features are proven; y has a column for each row of w, of which this is a part.
        unsafe { columns::<R, T, N>(packed, x.cols(), scale, w, i * width, write, y) }
    };
    if y.cols() <= width {
        return piece((0, y));
    }
    let pieces: Vec<_> = y.columns(width).enumerate().collect();
    cpu.pooled(|| pieces.into_par_iter().for_each(piece));
}

/// The rows of x rounded, a step of 32 columns at a time; rows that it has not are zero.
#[target_feature(enable = "avx512f,avx512bf16")]
fn pack<const T: usize>(x: View<'_>) -> Vec<[__m512i; T]> {
    let step = |col: usize| {
        std::array::from_fn(|row| {
            if row >= x.rows() {
                return _mm512_setzero_si512();
            }
            // SAFETY: the row lies in x, and the lanes end with it.
            unsafe { rounded(x.pointer_to(row, col), lanes(x.cols() - col)) }
        })
    };
    (0..x.cols()).step_by(STEP).map(step).collect()
}

/// # Safety
/// w has `depth` columns, and rows from `first` on for all columns of y.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512bf16")]
unsafe fn columns<R: Rows, const T: usize, const N: usize>(
    x: &[[__m512i; T]],
    depth: usize,
    scale: f32,
    w: R,
    first: usize,
    write: Write,
    mut y: ViewMut<'_>,
) {
    let (pairs, last) = x.split_at(depth / (2 * STEP) * 2);
    // A stream is consecutive rows, which stand one behind the other: of four pages that are read to their ends, hardware
    // foresees more than of the few lines that a row has on a page.
    let stream = y.cols().div_ceil(N);
    for row in 0..stream {
        let cols: [_; N] = std::array::from_fn(|n| n * stream + row);
        // The last row is read again in place of those beyond it.
        let own = cols.map(|col| first + col.min(y.cols() - 1));
        let mut sums = [[_mm512_setzero_ps(); T]; N];
        for (i, [x0, x1]) in pairs.as_chunks::<2>().0.iter().enumerate() {
            for n in 0..N {
                w.ask_ahead(own[n], 2 * STEP * i);
                // SAFETY: the row exists as the caller promises, and so many columns.
                let [w0, w1] = unsafe { w.load_two(own[n], 2 * STEP * i) };
                add(&mut sums[n], w0, x0);
                add(&mut sums[n], w1, x1);
            }
        }
        for (step, x) in (pairs.len()..).zip(last) {
            for n in 0..N {
                // SAFETY: the row exists as the caller promises, the lanes end with it.
                let w = unsafe { w.load(own[n], step * STEP, lanes(depth - step * STEP)) };
                add(&mut sums[n], w, x);
            }
        }
        // Of constant size, lest the sums of the loops above be kept in memory.
        let totals: [[f32; N]; T] =
            std::array::from_fn(|t| std::array::from_fn(|n| _mm512_reduce_add_ps(sums[n][t])));
        for (t, totals) in totals.iter().enumerate().take(y.rows()) {
            for (&col, total) in cols.iter().zip(totals) {
                let Some(y) = y.row(t).get_mut(col) else { break };
                // Adding −0 changes no number.
                let before = if write == Write::Add { *y } else { -0.0 };
                *y = scale.mul_add(*total, before);
            }
        }
    }
}

/// Adds the products of pairs of w with those of each x.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn add<const T: usize>(sums: &mut [__m512; T], w: __m512i, x: &[__m512i; T]) {
    for (sum, x) in sums.iter_mut().zip(x) {
        // SAFETY: these are 512 bits of plain data each.
        let (w, x) = unsafe {
            (std::mem::transmute::<__m512i, __m512bh>(w), std::mem::transmute::<__m512i, __m512bh>(*x))
        };
        *sum = _mm512_dpbf16_ps(*sum, w, x);
    }
}
