//! Squares of 16 × 16 numbers turned over in registers: between rows of tokens and rows of features.

use super::strided::{View, ViewMut};
use crate::backend::Write;
use pulp::Arch;

/// Rows, and columns, of a square: a row is a cache line and one AVX-512 register.
pub(super) const SIDE: usize = 16;

/// Half of [`SIDE`]: so many rows that stand a power of two apart stay together in a set of the nearest cache.
pub(super) const HALF: usize = SIDE / 2;

/// `to[c, r] ← [to[c, r] +] from[r, c]`, with at most [`SIDE`] rows and columns on either side, row-major; what `from`
/// does not have counts as 0.
///
/// The caller's loop is compiled for `arch`.
#[inline(always)]
pub(super) fn turn(arch: Arch, from: View<'_>, write: Write, to: ViewMut<'_>) {
    turn_columns::<SIDE>(arch, from, write, to);
}

/// [`turn`] for at most COLS columns of `from`, all or half of a square's.
#[inline(always)]
pub(super) fn turn_columns<const COLS: usize>(arch: Arch, from: View<'_>, write: Write, to: ViewMut<'_>) {
    if from.rows() == SIDE && from.cols() == COLS && to.rows() == COLS && to.cols() == SIDE {
        turn_whole::<COLS>(arch, from, write, to);
    } else {
        turn_part(arch, from, write, to);
    }
}

/// Less than a square, by way of one. Apart from the loops around it: in them, the views of whole squares would stand in
/// memory too, and reading them there waits for the stores before.
#[cold]
#[inline(never)]
fn turn_part(arch: Arch, from: View<'_>, write: Write, mut to: ViewMut<'_>) {
    let (mut square, mut turned) = ([0.0; SIDE * SIDE], [0.0; SIDE * SIDE]);
    for (r, row) in square.chunks_exact_mut(SIDE).enumerate().take(from.rows()) {
        row[..from.cols()].copy_from_slice(from.row(r));
    }
    let square = View::new(&square, SIDE, SIDE);
    turn_whole::<SIDE>(arch, square, Write::Overwrite, ViewMut::new(&mut turned, SIDE, SIDE));
    for (r, turned) in turned.chunks_exact(SIDE).enumerate().take(to.rows()) {
        for (to, turned) in to.row(r).iter_mut().zip(turned) {
            *to = if write == Write::Add { *to + turned } else { *turned };
        }
    }
}

#[inline(always)]
fn turn_whole<const COLS: usize>(arch: Arch, from: View<'_>, write: Write, mut to: ViewMut<'_>) {
    const { assert!(COLS == SIDE || COLS == HALF, "a square or half of one") };
    assert!(from.is_row_major() && from.rows() == SIDE && from.cols() == COLS, "a square to turn");
    assert!(to.rows() == COLS && to.cols() == SIDE, "a square to fill");
    #[cfg(target_arch = "x86_64")]
    {
        // Numbers, not views: a view handed over in memory would wait there for all stores before it.
        let ((from, from_stride), (to, to_stride)) = (from.raw(), to.reborrow().into_raw());
        match (arch, write) {
            (Arch::V4(_), Write::Overwrite) => {
                // SAFETY: `arch` proves the instructions; both have these shapes, as asserted.
                unsafe { x86::by_avx512::<COLS, false>(from, from_stride, to, to_stride) };
                return;
            }
            (Arch::V4(_), Write::Add) => {
                // SAFETY: as above.
                unsafe { x86::by_avx512::<COLS, true>(from, from_stride, to, to_stride) };
                return;
            }
            (Arch::V3(_), Write::Overwrite) => {
                // SAFETY: as above.
                unsafe { x86::by_avx::<COLS, false>(from, from_stride, to, to_stride) };
                return;
            }
            (Arch::V3(_), Write::Add) => {
                // SAFETY: as above.
                unsafe { x86::by_avx::<COLS, true>(from, from_stride, to, to_stride) };
                return;
            }
            _ => {}
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = arch;
    for r in 0..COLS {
        for (c, to) in to.row(r).iter_mut().enumerate() {
            let from = from.row(c)[r];
            *to = if write == Write::Add { *to + from } else { from };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{HALF, SIDE};
    use std::{arch::x86_64::*, array};

    /// # Safety
    /// The machine has AVX-512; `from` has [`SIDE`] rows of so many columns, all or half of a square's, and `to` as many
    /// rows of [`SIDE`]; rows stand so far apart.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn by_avx512<const COLS: usize, const ADD: bool>(
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        stride: usize,
    ) {
        // SAFETY: rows and columns promised. All of a row is read at once: where rows stand a power of two apart, they
        // drive each other out of the nearest cache.
        unsafe {
            let first = eight_columns(from, from_stride);
            if COLS == SIDE {
                let second = eight_columns(from.add(HALF), from_stride);
                put_eight::<ADD>(first, to, stride);
                put_eight::<ADD>(second, to.add(HALF * stride), stride);
            } else {
                put_eight::<ADD>(first, to, stride);
            }
        }
    }

    /// Eight columns of 16 rows: vector i holds them of rows i and i + 8.
    ///
    /// # Safety
    /// They may be read.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn eight_columns(from: *const f32, stride: usize) -> [__m512; HALF] {
        // SAFETY: as promised.
        array::from_fn(|row| unsafe { rows_by_eight(from.add(row * stride), stride) })
    }

    /// Writes, or adds, what [`eight_columns`] read, a column to a row.
    ///
    /// # Safety
    /// Eight rows may be read and written.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn put_eight<const ADD: bool>(rows: [__m512; HALF], to: *mut f32, stride: usize) {
        // Quarters of a row are exchanged last, between registers that hold eight columns of rows i and i + 8.
        let left = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
        let right = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
        let [a, b, c, d, e, f, g, h] = rows;
        let mut lanes = [_mm512_setzero_ps(); HALF];
        for (i, (a, b)) in by_columns(a, b, c, d).into_iter().zip(by_columns(e, f, g, h)).enumerate() {
            lanes[i] = _mm512_castpd_ps(_mm512_permutex2var_pd(a, left, b));
            lanes[i + 4] = _mm512_castpd_ps(_mm512_permutex2var_pd(a, right, b));
        }
        // SAFETY: as promised.
        unsafe {
            // What is added to is read before anything is written: where rows stand a multiple of 4 KiB apart, a
            // core takes a read that follows a write of another row for one of the same place, and waits.
            if ADD {
                for (i, lanes) in lanes.iter_mut().enumerate() {
                    *lanes = _mm512_add_ps(_mm512_loadu_ps(to.add(i * stride)), *lanes);
                }
            }
            for (i, lanes) in lanes.into_iter().enumerate() {
                _mm512_storeu_ps(to.add(i * stride), lanes);
            }
        }
    }

    /// Eight numbers at `from`, and at eight rows further on.
    ///
    /// # Safety
    /// They may be read.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn rows_by_eight(from: *const f32, stride: usize) -> __m512 {
        // SAFETY: as promised.
        let (upper, lower) = unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8 * stride))) };
        let (upper, lower) = (_mm256_castps_pd(upper), _mm256_castps_pd(lower));
        _mm512_castpd_ps(_mm512_insertf64x4::<1>(_mm512_castpd256_pd512(upper), lower))
    }

    /// Of four rows: column i of each quarter, for each i.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn by_columns(a: __m512, b: __m512, c: __m512, d: __m512) -> [__m512d; 4] {
        let pairs = |ab, cd| {
            let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            [_mm512_unpacklo_pd(ab, cd), _mm512_unpackhi_pd(ab, cd)]
        };
        let [first, second] = pairs(_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let [third, fourth] = pairs(_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        [first, second, third, fourth]
    }

    /// # Safety
    /// As for [`by_avx512`]; of the instructions, AVX is enough.
    #[inline]
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn by_avx<const COLS: usize, const ADD: bool>(
        from: *const f32,
        from_stride: usize,
        to: *mut f32,
        stride: usize,
    ) {
        for row in (0..SIDE).step_by(8) {
            for col in (0..COLS).step_by(4) {
                // SAFETY: rows and columns of both.
                unsafe {
                    let to = to.add(col * stride + row);
                    let a = rows_by_two(from.add(row * from_stride + col), from_stride);
                    let b = rows_by_two(from.add((row + 1) * from_stride + col), from_stride);
                    let c = rows_by_two(from.add((row + 2) * from_stride + col), from_stride);
                    let d = rows_by_two(from.add((row + 3) * from_stride + col), from_stride);
                    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                    let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
                    put_8::<ADD>(to, _mm256_unpacklo_pd(ab, cd));
                    put_8::<ADD>(to.add(stride), _mm256_unpackhi_pd(ab, cd));
                    let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                    let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
                    put_8::<ADD>(to.add(2 * stride), _mm256_unpacklo_pd(ab, cd));
                    put_8::<ADD>(to.add(3 * stride), _mm256_unpackhi_pd(ab, cd));
                }
            }
        }
    }

    /// Four numbers at `from` and four rows further on.
    ///
    /// # Safety
    /// They may be read.
    #[inline]
    #[target_feature(enable = "avx")]
    unsafe fn rows_by_two(from: *const f32, stride: usize) -> __m256 {
        // SAFETY: as promised.
        unsafe {
            let lanes = _mm256_castps128_ps256(_mm_loadu_ps(from));
            _mm256_insertf128_ps::<1>(lanes, _mm_loadu_ps(from.add(4 * stride)))
        }
    }

    /// Writes, or adds, 8 numbers.
    ///
    /// # Safety
    /// They may be written.
    #[inline]
    #[target_feature(enable = "avx")]
    unsafe fn put_8<const ADD: bool>(to: *mut f32, lanes: __m256d) {
        let lanes = _mm256_castpd_ps(lanes);
        // SAFETY: as promised.
        unsafe { _mm256_storeu_ps(to, if ADD { _mm256_add_ps(_mm256_loadu_ps(to), lanes) } else { lanes }) };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Each form that this machine can run.
    pub(in super::super) fn archs() -> Vec<Arch> {
        let archs = [Arch::Scalar, Arch::new()].into_iter();
        #[cfg(target_arch = "x86_64")]
        let archs = archs.chain(pulp::x86::V3::try_new().map(Arch::V3));
        archs.collect()
    }

    #[test]
    fn every_form_turns_squares_and_parts_of_them() {
        for arch in archs() {
            for (rows, cols, to_rows, to_cols) in
                [(16, 16, 16, 16), (16, 8, 8, 16), (16, 5, 5, 16), (3, 16, 16, 16), (7, 16, 9, 7)]
            {
                for write in [Write::Overwrite, Write::Add] {
                    // Both lie within wider matrices.
                    let from: Vec<f32> = (0..rows * 20).map(|i| i as f32).collect();
                    let mut to = vec![0.5; to_rows * 18];
                    let target = ViewMut::new(&mut to, to_rows, 18).block(0..to_rows, 1..1 + to_cols);
                    let source = View::new(&from, rows, 20).block(0..rows, 2..2 + cols);
                    if cols <= HALF {
                        turn_columns::<HALF>(arch, source, write, target);
                    } else {
                        turn(arch, source, write, target);
                    }
                    let before = if write == Write::Add { 0.5 } else { 0.0 };
                    let element = |r: usize, c: usize| match r {
                        r if !(1..1 + to_cols).contains(&r) => 0.5,
                        r if r - 1 < rows && c < cols => before + from[(r - 1) * 20 + 2 + c],
                        _ => before,
                    };
                    let want: Vec<f32> = (0..to_rows)
                        .flat_map(|c| (0..18).map(move |r| (r, c)))
                        .map(|(r, c)| element(r, c))
                        .collect();
                    assert_eq!(to, want, "{rows} x {cols} to {to_rows} x {to_cols}, {write:?}");
                }
            }
        }
    }
}
