//! Dot products of features, as slabs hold them, at the entries of a pattern: 16 at a time, so that one vector takes what
//! the lanes of 16 sum up to.

use super::{
    Cpu,
    plan::{Chunk, Entries},
    slab::{self, Lanes, Line},
    strided::{View, ViewMut},
    turn::{SIDE, turn},
};
use crate::{backend::Write, num::to_usize};
use std::ops::Range;

/// `sums[p] ← [sums[p] +] dy[row] · x[column]` for the entries in these chunks, each with its row and column.
///
/// Either slab has all features of the pattern. The order of an element's sum depends on L alone.
pub(super) fn dots<const L: usize>(
    cpu: &Cpu,
    entries: &Entries,
    chunks: Range<usize>,
    dy: &[Lanes<L>],
    x: &[Lanes<L>],
    write: Write,
    sums: &mut [Lanes<1>],
) {
    assert!(dy.len() >= entries.rows() && x.len() >= entries.columns(), "all features of both");
    let chunks = &entries.chunks()[chunks];
    assert_eq!(chunks.len(), sums.len(), "a line of sums for each chunk");
    #[cfg(target_arch = "x86_64")]
    if let pulp::Arch::V4(_) = cpu.arch {
        // SAFETY: `arch` proves the instructions; rows and columns of entries lie below the numbers asserted.
        unsafe {
            match write {
                Write::Overwrite => x86::by_avx512::<L, false>(chunks, dy, x, sums),
                Write::Add => x86::by_avx512::<L, true>(chunks, dy, x, sums),
            }
        }
        return;
    }
    cpu.vectorize(
        #[inline(always)]
        || by_lines(cpu, chunks, dy, x, write, sums),
    );
}

#[inline(always)]
fn by_lines<const L: usize>(
    cpu: &Cpu,
    chunks: &[Chunk],
    dy: &[Lanes<L>],
    x: &[Lanes<L>],
    write: Write,
    sums: &mut [Lanes<1>],
) {
    let mut products = [[Line::splat(0.0); SIDE]];
    let mut turned = products;
    for (chunk, sums) in chunks.iter().zip(sums.as_flattened_mut()) {
        for (product, entry) in products[0].iter_mut().zip(chunk) {
            let mut lanes = Line::splat(0.0);
            for (dy, x) in dy[to_usize(entry.row)].iter().zip(&x[to_usize(entry.column)]) {
                lanes.add_product(dy, x);
            }
            *product = lanes;
        }
        let (from, to) = (slab::flat(&products), slab::flat_mut(&mut turned));
        turn(cpu.arch, View::new(from, SIDE, SIDE), Write::Overwrite, ViewMut::new(to, SIDE, SIDE));
        if write == Write::Overwrite {
            *sums = Line::splat(0.0);
        }
        for lane in turned.as_flattened() {
            sums.0.iter_mut().zip(&lane.0).for_each(|(sum, lane)| *sum += lane);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use super::{
        super::plan::{Entry, FOUR},
        *,
    };
    use std::arch::x86_64::*;

    /// # Safety
    /// The machine has AVX-512; entries have rows of `dy` and columns of `x`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn by_avx512<const L: usize, const ADD: bool>(
        chunks: &[Chunk],
        dy: &[Lanes<L>],
        x: &[Lanes<L>],
        sums: &mut [Lanes<1>],
    ) {
        for (chunk, sums) in chunks.iter().zip(sums.as_flattened_mut()) {
            let mut fours = [_mm512_setzero_ps(); 4];
            for (four, &entries) in fours.iter_mut().zip(chunk.as_chunks::<FOUR>().0) {
                let [a, b, c, d] = entries;
                // SAFETY: as promised.
                *four = unsafe {
                    let [a, b, c, d] = if (a.row ^ b.row) | (a.row ^ c.row) | (a.row ^ d.row) == 0 {
                        dots_of_row(entries, dy, x)
                    } else if (a.row ^ b.row) | (c.row ^ d.row) == 0 {
                        let ([a, b], [c, d]) = (dots_of_row([a, b], dy, x), dots_of_row([c, d], dy, x));
                        [a, b, c, d]
                    } else {
                        let [[a], [b], [c], [d]] = entries.map(|entry| dots_of_row([entry], dy, x));
                        [a, b, c, d]
                    };
                    sums_of_4(a, b, c, d)
                };
            }
            let added = sums_of_16(fours);
            // SAFETY: a line is 16 numbers.
            unsafe {
                let before = if ADD { _mm512_loadu_ps(sums.0.as_ptr()) } else { _mm512_setzero_ps() };
                _mm512_storeu_ps(sums.0.as_mut_ptr(), _mm512_add_ps(before, added));
            }
        }
    }

    /// The products of the features of entries that have one row, summed lane by lane: what is read of the row serves all.
    ///
    /// # Safety
    /// They have that row of `dy` and columns of `x`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn dots_of_row<const L: usize, const N: usize>(
        entries: [Entry; N],
        dy: &[Lanes<L>],
        x: &[Lanes<L>],
    ) -> [__m512; N] {
        let mut sums = [_mm512_setzero_ps(); N];
        // SAFETY: as promised; a line is 16 numbers.
        unsafe {
            let dy = dy.get_unchecked(to_usize(entries[0].row));
            let x = entries.map(|entry| x.get_unchecked(to_usize(entry.column)));
            for (line, dy) in dy.iter().enumerate() {
                let dy = _mm512_loadu_ps(dy.0.as_ptr());
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = _mm512_fmadd_ps(dy, _mm512_loadu_ps(x[line].0.as_ptr()), *sum);
                }
            }
        }
        sums
    }

    /// Lane i is the sum of the lanes of vector i.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(in super::super) fn sums_of(v: [__m512; SIDE]) -> __m512 {
        let four = |i: usize| sums_of_4(v[i], v[i + 1], v[i + 2], v[i + 3]);
        sums_of_16([four(0), four(4), four(8), four(12)])
    }

    /// Within each quarter of four lanes, lane i is the sum of that quarter of vector i.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sums_of_4(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
        let two = |a, b| _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
        let (a, b) = (two(a, b), two(c, d));
        _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)))
    }

    /// Quarter i is the sum of the quarters of vector i.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn sums_of_16(fours: [__m512; 4]) -> __m512 {
        let eight =
            |a, b| _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
        let (a, b) = (eight(fours[0], fours[1]), eight(fours[2], fours[3]));
        _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0xdd>(a, b))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::turn::tests::archs, *};
    use crate::num::low_u32;

    /// Whole numbers, so that every order of summing gives the same.
    fn feature(i: usize) -> Lanes<2> {
        [0, 1].map(|line| Line(std::array::from_fn(|lane| ((5 * i + 16 * line + lane) % 7) as f32 - 3.0)))
    }

    #[test]
    fn every_form_sums_the_products_of_each_entry() {
        // Rows with 0 to 6 entries, in more blocks of columns than one; the last chunk is not full.
        let columns: Vec<Vec<u32>> =
            (0..40).map(|row| (0..row % 7).map(|i| 61 * i + row).collect()).collect();
        let ends = columns.iter().scan(0, |sum, columns| {
            *sum += low_u32(columns.len() as u64);
            Some(*sum)
        });
        let offsets: Vec<u32> = [0].into_iter().chain(ends).collect();
        let entries = Entries::new(&offsets, &columns.concat(), 420);
        let dy: Vec<_> = (0..40).map(feature).collect();
        let x: Vec<_> = (0..420).map(|i| feature(i + 3)).collect();
        let dot = |row: usize, column: u32| {
            let (dy, x) = (slab::flat(&dy[row..][..1]), slab::flat(&x[to_usize(column)..][..1]));
            dy.iter().zip(x).map(|(a, b)| a * b).sum::<f32>()
        };
        let want: Vec<f32> = columns
            .iter()
            .enumerate()
            .flat_map(|(row, columns)| columns.iter().map(move |&column| (row, column)))
            .map(|(row, column)| dot(row, column))
            .collect();
        for arch in archs() {
            let cpu = Cpu { arch, ..Cpu::new(Some(1)).expect("a thread") };
            let all = entries.chunks().len();
            assert!(all > 2 && want.len() < all * SIDE);
            let mut sums = vec![[Line::splat(f32::NAN)]; all];
            dots(&cpu, &entries, 0..all, &dy, &x, Write::Overwrite, &mut sums);
            dots(&cpu, &entries, 1..all, &dy, &x, Write::Add, &mut sums[1..]);
            let sums = slab::flat(&sums);
            for (&place, want) in entries.places().iter().zip(&want) {
                let times = if to_usize(place) < SIDE { 1.0 } else { 2.0 };
                assert_eq!(sums[to_usize(place)], times * want);
            }
        }
    }
}
