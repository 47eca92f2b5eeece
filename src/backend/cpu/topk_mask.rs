//! The mask: the k entries of largest |score|, exactly, without sorting.
//!
//! For floats that are not NaN, the bits without the sign rise with the magnitude. A sample tells a
//! key that somewhat more than k lie above; one pass collects those, and the k-th largest is selected among them
//! alone. What lies above it is kept, and of what equals it the first, until k are kept. The sample decides
//! nothing but the time that this takes, and nothing depends on the number of threads.

use super::{Cpu, row_pieces::split};
use crate::{
    backend::Selected,
    num::{to_u32, to_usize, whole},
    tensor::Matrix,
};
use rayon::prelude::*;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512i;
use std::ops::RangeInclusive;

/// Scores of one parallel piece, about.
const PIECE: usize = 1 << 16;

/// Pieces whose candidates, a small part of their scores, are worth a thread.
const PIECES: usize = 16;

/// Scores that a vector looks at together.
const RUN: usize = 16;

/// Scores that are looked at between two looks at whether there is room for their candidates.
const BLOCK: usize = 64 * RUN;

/// Room for the candidates that are written down together, those of several rows where they have few.
const ROOM: usize = 2 * BLOCK + RUN;

/// One score of so many is in the sample.
const SAMPLED: usize = 128;

/// Scores that the guess is made from: fewer would guess badly, more would guess no better.
const SAMPLE: RangeInclusive<usize> = 1 << 10..=1 << 14;

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

/// Scores of some rows of a matrix that may be kept: those with keys above a guess, row-major.
#[derive(Default)]
struct Candidates {
    /// How many each row has.
    counts: Vec<u32>,
    keys: Vec<u32>,
    columns: Vec<u32>,
}

pub(super) fn topk_mask(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], k: usize) -> Vec<Selected<Cpu>> {
    let fits = "ops::topk_mask checks k";
    cpu.pooled(|| {
        let mut guess = if k == 0 { u32::MAX } else { guess(scores, k) };
        loop {
            let mut found = candidates(cpu, scores, guess);
            let mut keys = found.iter().flatten().map(|found| &found.keys[..]).collect::<Vec<_>>().concat();
            if keys.len() >= k {
                let mut threshold = Threshold { key: guess, ties: 0 };
                if keys.len() > k {
                    let rest = keys.len() - k;
                    let (_, &mut key, larger) = keys.select_nth_unstable(rest);
                    let larger = larger.iter().filter(|&&other| other > key).count();
                    threshold = Threshold { key, ties: to_u32("ties", k - larger).expect(fits) };
                }
                keep(&mut found, threshold);
                let rows = scores.iter().map(|scores| scores.rows());
                return rows.zip(found).map(|(rows, found)| selected(rows, found)).collect();
            }
            let ties = k - keys.len();
            if guess == 0 || equal(cpu, scores, guess) >= ties {
                let mut threshold = Threshold { key: guess, ties: to_u32("ties", ties).expect(fits) };
                return scores.iter().map(|scores| select(cpu, scores, &mut threshold)).collect();
            }
            guess = 0;
        }
    })
}

/// A key that probably no fewer than k keys exceed, and not many more.
fn guess(scores: &[&Matrix<Cpu, f32>], k: usize) -> u32 {
    let all: usize = scores.iter().map(|scores| scores.len()).sum();
    // Odd, so that the sample goes through the columns of most matrices.
    let step = (all / (all / SAMPLED).clamp(*SAMPLE.start(), *SAMPLE.end())) | 1;
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

/// For each matrix, by pieces of its rows, the scores with keys above `guess`.
fn candidates(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], guess: u32) -> Vec<Vec<Candidates>> {
    let of_rows = |cols, scores: &[f32]| {
        let mut found = Candidates::default();
        cpu.vectorize(
            #[inline(always)]
            || found.collect(cpu, scores, cols, guess),
        );
        found
    };
    let of_matrix = |scores: &&Matrix<Cpu, f32>| {
        let cols = scores.cols().max(1);
        let pieces = scores.buffer().par_chunks(PIECE.div_ceil(cols) * cols);
        pieces.map(|scores| of_rows(cols, scores)).collect()
    };
    scores.par_iter().map(of_matrix).collect()
}

impl Candidates {
    /// Appends the candidates of these rows.
    #[inline(always)]
    fn collect(&mut self, cpu: &Cpu, scores: &[f32], cols: usize, guess: u32) {
        let mut block = Block { keys: [0; ROOM], columns: [0; ROOM], len: 0 };
        self.counts.reserve_exact(scores.len() / cols);
        for row in scores.chunks_exact(cols) {
            let before = self.keys.len() + block.len;
            for (scores, first) in row.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
                if block.len > BLOCK {
                    self.write_down(&mut block);
                }
                block.push_all(cpu.arch, scores, first, guess);
            }
            let count = self.keys.len() + block.len - before;
            self.counts.push(to_u32("candidates", count).expect("no more than columns"));
        }
        self.write_down(&mut block);
    }

    /// Appends the candidates of a block, and empties it.
    fn write_down(&mut self, block: &mut Block) {
        self.keys.extend_from_slice(&block.keys[..block.len]);
        self.columns.extend_from_slice(&block.columns[..block.len]);
        block.len = 0;
    }

    /// How many equal the threshold.
    fn equal(&self, threshold: u32) -> u32 {
        self.keys.iter().map(|&key| u32::from(key == threshold)).sum()
    }

    /// Drops all but those above the threshold and the first `ties` that equal it.
    fn keep(&mut self, Threshold { key: threshold, mut ties }: Threshold) {
        let (mut from, mut kept) = (0, 0);
        for count in &mut self.counts {
            let mut of_row = 0;
            for candidate in from..from + to_usize(*count) {
                let tie = self.keys[candidate] == threshold && ties > 0;
                ties -= u32::from(tie);
                self.columns[kept + to_usize(of_row)] = self.columns[candidate];
                of_row += u32::from(self.keys[candidate] > threshold || tie);
            }
            from += to_usize(*count);
            kept += to_usize(of_row);
            *count = of_row;
        }
        self.columns.truncate(kept);
    }
}

/// Candidates that are not yet written down: the first `len` of either list.
struct Block {
    keys: [u32; ROOM],
    columns: [u32; ROOM],
    len: usize,
}

impl Block {
    /// Appends the candidates among `scores`, at most [`BLOCK`], the first of which stands in column `first`.
    #[inline(always)]
    fn push_all(&mut self, arch: pulp::Arch, scores: &[f32], first: u32, guess: u32) {
        let (runs, rest) = scores.as_chunks();
        // Zeros are no candidates.
        let mut last = [0.0; RUN];
        last[..rest.len()].copy_from_slice(rest);
        let last = if rest.is_empty() { &[][..] } else { std::slice::from_ref(&last) };
        for (run, first) in runs.iter().chain(last).zip((first..).step_by(RUN)) {
            match arch {
                #[cfg(target_arch = "x86_64")]
                pulp::Arch::V4(simd) => self.push_compressed(simd, run, first, guess),
                _ => self.push(run, first, guess),
            }
        }
    }

    /// Appends the candidates of a run.
    #[inline(always)]
    fn push(&mut self, run: &[f32; RUN], first: u32, guess: u32) {
        if count(run, guess).0 == 0 {
            return;
        }
        // Without a branch per score, which nobody could predict.
        for (column, &score) in (first..).zip(run) {
            self.keys[self.len] = key(score);
            self.columns[self.len] = column;
            self.len += usize::from(key(score) > guess);
        }
    }

    /// The same by AVX-512, which moves those of a whole run together.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn push_compressed(&mut self, simd: pulp::x86::V4, run: &[f32; RUN], first: u32, guess: u32) {
        const STEPS: [u32; RUN] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let all = |bits: u32| pulp::cast::<_, __m512i>([bits; RUN]);
        let keys = simd.avx512f._mm512_and_si512(pulp::cast(*run), all(!(1 << 31)));
        let above = simd.avx512f._mm512_cmpgt_epu32_mask(keys, all(guess));
        let above = simd.avx512f._mm512_mask_cmple_epu32_mask(above, keys, all(f32::INFINITY.to_bits()));
        let columns = simd.avx512f._mm512_add_epi32(pulp::cast(STEPS), all(first));
        let keys = simd.avx512f._mm512_maskz_compress_epi32(above, keys);
        let columns = simd.avx512f._mm512_maskz_compress_epi32(above, columns);
        let places = self.len..self.len + RUN;
        self.keys[places.clone()].copy_from_slice(&pulp::cast::<_, [u32; RUN]>(keys));
        self.columns[places].copy_from_slice(&pulp::cast::<_, [u32; RUN]>(columns));
        self.len += to_usize(above.count_ones());
    }
}

/// Drops the candidates that are not kept.
fn keep(found: &mut [Vec<Candidates>], Threshold { key, ties: mut left }: Threshold) {
    let mut parts = Vec::new();
    for found in found.iter_mut().flatten() {
        let ties = if left == 0 { 0 } else { found.equal(key).min(left) };
        left -= ties;
        parts.push((found, Threshold { key, ties }));
    }
    parts.into_par_iter().with_min_len(PIECES).for_each(|(found, threshold)| found.keep(threshold));
}

/// The selection of a matrix of so many rows, from what is left of its candidates.
fn selected(rows: usize, found: Vec<Candidates>) -> Selected<Cpu> {
    let mut row_offsets = vec![0];
    let mut col_indices = Vec::with_capacity(found.iter().map(|found| found.columns.len()).sum());
    for found in found {
        let mut nnz = row_offsets[row_offsets.len() - 1];
        row_offsets.extend(found.counts.iter().map(|count| {
            nnz += count;
            nnz
        }));
        col_indices.extend(found.columns);
    }
    // Rows without columns are in no piece.
    row_offsets.resize(rows + 1, 0);
    Selected { row_offsets: row_offsets.into(), col_indices: col_indices.into() }
}

/// How many keys equal `guess`.
fn equal(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], guess: u32) -> usize {
    let pieces = scores.par_iter().flat_map(|scores| scores.buffer().par_chunks(PIECE));
    let equal = |scores: &[f32]| {
        cpu.vectorize(
            #[inline(always)]
            || to_usize(count(scores, guess).1),
        )
    };
    pieces.map(equal).sum()
}

/// One row's share of the selection.
struct Share {
    entries: u32,
    ties: u32,
}

/// One matrix's share of the selection where the guess itself is the threshold, by another two passes; takes its
/// ties from the threshold's.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_finds_the_same_candidates() {
        let mut scores: Vec<f32> = (0..BLOCK).map(|i| ((i * 7919) % 1009) as f32 - 504.0).collect();
        for (i, odd) in
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN_POSITIVE].into_iter().enumerate()
        {
            scores[31 * i] = odd;
        }
        for guess in [0, 250_f32.to_bits(), 504_f32.to_bits(), u32::MAX] {
            for len in [0, 1, RUN - 1, RUN, RUN + 3, BLOCK] {
                let want: Vec<_> = (7..)
                    .zip(&scores[..len])
                    .filter(|(_, score)| key(**score) > guess)
                    .map(|(column, &score)| (key(score), column))
                    .collect();
                for arch in [pulp::Arch::Scalar, pulp::Arch::new()] {
                    let mut block = Block { keys: [0; ROOM], columns: [0; ROOM], len: 3 };
                    block.push_all(arch, &scores[..len], 7, guess);
                    let found: Vec<_> =
                        block.keys.into_iter().zip(block.columns).take(block.len).skip(3).collect();
                    assert_eq!(found, want, "{len} scores, {guess}");
                }
            }
        }
    }
}
