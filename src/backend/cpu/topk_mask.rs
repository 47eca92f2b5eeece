//! The mask: the k entries of largest |score|, exactly, without sorting.
//!
//! For floats that are not NaN, the bits without the sign rise with the magnitude. A sample tells a
//! key that somewhat more than k lie above; the k-th largest is selected among those alone. Then every
//! row keeps what lies above it, and of what equals it the first, until k are kept. The sample decides
//! nothing but the time that this takes, and nothing depends on the number of threads.

use super::{Cpu, row_pieces::split};
use crate::{
    backend::Selected,
    num::{to_u32, to_usize, whole},
    tensor::Matrix,
};
use rayon::prelude::*;

/// Elements of one parallel piece of counting.
const PIECE: usize = 1 << 16;

/// Scores that are passed over together when none of them counts: a vector looks at all of them at once.
const RUN: usize = 16;

/// Scores that the guess is made from.
const SAMPLE: usize = 1 << 14;

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
        let mut threshold = threshold(cpu, scores, k);
        scores.iter().map(|scores| select(cpu, scores, &mut threshold)).collect()
    })
}

/// The k-th largest key, and how many of its equals are among the first k.
fn threshold(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], k: usize) -> Threshold {
    let fits = "ops::topk_mask checks k";
    if k == 0 {
        return Threshold { key: u32::MAX, ties: 0 };
    }
    let mut guess = guess(scores, k);
    loop {
        let (mut above, equal) = above(cpu, scores, guess);
        if above.len() >= k {
            let rest = above.len() - k;
            let (_, &mut key, larger) = above.select_nth_unstable(rest);
            let larger = larger.iter().filter(|&&other| other > key).count();
            return Threshold { key, ties: to_u32("ties", k - larger).expect(fits) };
        }
        if above.len() + equal >= k {
            return Threshold { key: guess, ties: to_u32("ties", k - above.len()).expect(fits) };
        }
        guess = 0;
    }
}

/// A key that probably no fewer than k keys reach, and not many more.
fn guess(scores: &[&Matrix<Cpu, f32>], k: usize) -> u32 {
    let all: usize = scores.iter().map(|scores| scores.len()).sum();
    // Odd, so that the sample goes through the columns of most matrices.
    let step = (all / SAMPLE) | 1;
    let mut sample: Vec<u32> = scores
        .iter()
        .flat_map(|scores| scores.buffer().iter().step_by(step))
        .map(|&score| key(score))
        .collect();
    let expected = k as f64 / all as f64 * sample.len() as f64;
    // Six standard deviations more.
    let rank = whole(expected + 6.0 * expected.sqrt() + 6.0);
    match sample.len().checked_sub(rank) {
        Some(nth) => *sample.select_nth_unstable(nth).1,
        None => 0,
    }
}

/// The keys above `guess`, and how many equal it.
fn above(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], guess: u32) -> (Vec<u32>, usize) {
    let pieces = scores.par_iter().flat_map(|scores| scores.buffer().par_chunks(PIECE));
    let parts: Vec<_> = pieces
        .map(|scores| {
            let (mut keys, mut equals) = (Vec::new(), 0);
            cpu.vectorize(
                #[inline(always)]
                || {
                    for run in scores.chunks(RUN) {
                        let (above, equal) = count(run, guess);
                        equals += to_usize(equal);
                        if above > 0 {
                            // Without a branch per score, which nobody could predict.
                            let (mut kept, mut next) = ([0; RUN], 0);
                            for &score in run {
                                kept[next % RUN] = key(score);
                                next += usize::from(key(score) > guess);
                            }
                            keys.extend_from_slice(&kept[..next]);
                        }
                    }
                },
            );
            (keys, equals)
        })
        .collect();
    let equals = parts.iter().map(|(_, equals)| equals).sum();
    (parts.into_iter().flat_map(|(keys, _)| keys).collect(), equals)
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
        return Selected { row_offsets: vec![0; scores.rows() + 1].into(), col_indices: Vec::new().into() };
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
    Selected { row_offsets: row_offsets.into(), col_indices: col_indices.into() }
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
    let mut next = 0;
    for (run, first) in row.chunks(RUN).zip((0..).step_by(RUN)) {
        if count(run, threshold) == (0, 0) {
            continue;
        }
        for (column, &score) in (first..).zip(run) {
            let tie = key(score) == threshold && ties > 0;
            ties -= u32::from(tie);
            // Overwritten by the next one unless it is kept.
            if let Some(place) = columns.get_mut(next) {
                *place = column;
            }
            next += usize::from(key(score) > threshold || tie);
        }
    }
}
