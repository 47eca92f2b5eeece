//! The mask: the k entries of largest |score|, exactly, without sorting.
//!
//! For floats that are not NaN, the bits without the sign rise with the magnitude. A radix select
//! finds the k-th largest such key in three passes of counting; then every row keeps what lies
//! above it, and of what equals it the first, until k are kept. All counts are integers: nothing
//! depends on the number of threads.

use super::{Cpu, row_pieces::split};
use crate::{
    backend::Selected,
    num::{to_u32, to_usize},
    tensor::Matrix,
};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of one parallel piece of counting.
const PIECE: usize = 1 << 16;

/// Scores of a row that are passed over together when none of them is kept.
const RUN: usize = 64;

/// The bits of the key that each pass looks at, highest first.
const DIGITS: [Range<u32>; 3] = [20..31, 10..20, 0..10];

/// What a score is ranked by: its magnitude's bits, 0 for NaN.
#[inline(always)]
fn key(score: f32) -> u32 {
    if score.is_nan() { 0 } else { score.abs().to_bits() }
}

/// Which keys are kept: all above `key`, and the first `ties` that equal it.
struct Threshold {
    key: u32,
    ties: u32,
}

pub(super) fn topk_mask(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], k: usize) -> Vec<Selected<Cpu>> {
    cpu.install(|| {
        let mut threshold = threshold(scores, k);
        scores.iter().map(|scores| select(cpu, scores, &mut threshold)).collect()
    })
}

/// The k-th largest key, and how many of its equals are among the first k.
fn threshold(scores: &[&Matrix<Cpu, f32>], k: usize) -> Threshold {
    if k == 0 {
        return Threshold { key: u32::MAX, ties: 0 };
    }
    let (mut key, mut ties) = (0, k);
    for digit in DIGITS {
        let counts = histogram(scores, key, digit);
        let mut bin = counts.len() - 1;
        while counts[bin] < ties {
            ties -= counts[bin];
            bin -= 1;
        }
        key = key * counts.len() + bin;
    }
    let fits = "a key has 31 bits, and ops::topk_mask checks k";
    Threshold { key: to_u32("key", key).expect(fits), ties: to_u32("ties", ties).expect(fits) }
}

/// Of the keys whose bits above `digit` are `prefix`, how many have each value of the digit.
fn histogram(scores: &[&Matrix<Cpu, f32>], prefix: usize, digit: Range<u32>) -> Vec<usize> {
    let (start, width) = (digit.start, digit.len());
    let bins = 1 << width;
    let empty = || vec![0; bins];
    let count = |mut counts: Vec<usize>, scores: &[f32]| {
        let counted = &mut counts[..bins];
        for &score in scores {
            let bits = to_usize(key(score)) >> start;
            if bits >> width == prefix {
                counted[bits & (bins - 1)] += 1;
            }
        }
        counts
    };
    let add = |mut a: Vec<usize>, b: Vec<usize>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let pieces = scores.par_iter().flat_map(|scores| scores.buffer().par_chunks(PIECE));
    pieces.fold(empty, count).reduce(empty, add)
}

/// One row's share of the selection.
struct Share {
    entries: u32,
    ties: u32,
}

/// One matrix's share of the selection; takes its ties from the threshold's.
fn select(cpu: &Cpu, scores: &Matrix<Cpu, f32>, threshold: &mut Threshold) -> Selected<Cpu> {
    let cols = scores.cols();
    if scores.is_empty() {
        return Selected { row_offsets: vec![0; scores.rows() + 1], col_indices: Vec::new() };
    }
    let rows = || scores.buffer().par_chunks_exact(cols).with_min_len(PIECE.div_ceil(cols));
    let key = threshold.key;
    let counts: Vec<_> = rows()
        .map(|row| {
            cpu.vectorize(
                #[inline(always)]
                || count(row, key),
            )
        })
        .collect();

    let mut row_offsets = vec![0];
    let mut shares = Vec::with_capacity(scores.rows());
    let mut nnz = 0;
    for (above, equal) in counts {
        let ties = equal.min(threshold.ties);
        threshold.ties -= ties;
        nnz += above + ties;
        row_offsets.push(nnz);
        shares.push(Share { entries: above + ties, ties });
    }

    let mut col_indices = vec![0; to_usize(nnz)];
    let parts = split(&mut col_indices, shares.iter().map(|share| to_usize(share.entries)));
    parts.into_par_iter().zip(rows()).zip(shares).for_each(|((columns, row), share)| {
        cpu.vectorize(
            #[inline(always)]
            || fill(row, key, share.ties, columns),
        );
    });
    Selected { row_offsets, col_indices }
}

/// How many keys of a row lie above the threshold, and how many equal it.
#[inline(always)]
fn count(row: &[f32], threshold: u32) -> (u32, u32) {
    let (mut above, mut equal) = (0, 0);
    for &score in row {
        above += u32::from(key(score) > threshold);
        equal += u32::from(key(score) == threshold);
    }
    (above, equal)
}

/// The columns of a row's kept entries: those above the threshold and the first `ties` that equal it.
#[inline(always)]
fn fill(row: &[f32], threshold: u32, mut ties: u32, columns: &mut [u32]) {
    let mut columns = columns.iter_mut();
    for (run, first) in row.chunks(RUN).zip((0..).step_by(RUN)) {
        // Most runs hold nothing, and counting looks at a whole vector of scores at a time.
        if count(run, threshold) == (0, 0) {
            continue;
        }
        for (column, &score) in (first..).zip(run) {
            let tie = key(score) == threshold && ties > 0;
            if key(score) > threshold || tie {
                ties -= u32::from(tie);
                *columns.next().expect("as many as were counted") = column;
            }
        }
    }
}
