//! Runs of a 4-bit weight in f32: the inner loop of all that reads one.

use super::Cpu;
use crate::nf4::{ABSMAX_BLOCK, Absmax, CODES, Nf4Matrix, magnitude, values};
use std::ops::Range;

/// Overwrites `out` with the elements `range` of `w`, counted row-major, each rounded to f32 once.
#[inline(always)]
pub(super) fn elements(w: &Nf4Matrix<Cpu>, range: Range<usize>, mut out: &mut [f32]) {
    let mut start = range.start;
    while start < range.end {
        let number = start / w.block();
        let end = range.end.min((number + 1) * w.block());
        let (block, rest) = out.split_at_mut(end - start);
        codes(w.packed(), start, of_block(w, number), block);
        (start, out) = (end, rest);
    }
}

/// The magnitude of block `number`.
#[inline(always)]
pub(super) fn of_block(w: &Nf4Matrix<Cpu>, number: usize) -> f32 {
    match w.absmax() {
        Absmax::Single(absmax) => absmax[number],
        Absmax::Double(d) => magnitude(d.codes[number], d.absmax[number / ABSMAX_BLOCK], d.offset),
    }
}

/// The elements from `start` on, all of one block with this magnitude; the first may be the second of its byte.
#[inline(always)]
fn codes(packed: &[u8], start: usize, absmax: f32, mut out: &mut [f32]) {
    let mut packed = &packed[start / 2..];
    if start % 2 == 1 {
        out[0] = values(packed[0], absmax)[1];
        (packed, out) = (&packed[1..], &mut out[1..]);
    }
    let (pairs, last) = out.as_chunks_mut::<2>();
    for (out, &pair) in pairs.iter_mut().zip(packed) {
        *out = values(pair, absmax);
    }
    if let [last] = last {
        *last = CODES[usize::from(packed[pairs.len()] >> 4)] * absmax;
    }
}
