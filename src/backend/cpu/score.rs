//! What the mask is chosen by: sums of gradients, SNIP's product with the weights, random scores.

use super::{
    Cpu,
    cut::{Rows, rows_of},
    tile::Tile,
};
use crate::{
    backend::ScoreTerm,
    device::Float,
    nf4::Nf4Matrix,
    rng::Stream,
    tensor::{Matrix, Weight},
};
use rayon::prelude::*;

/// Elements of one parallel piece: a few microseconds of memory traffic.
const PIECE: usize = 1 << 14;

pub(super) fn score_add(cpu: &Cpu, g: &Matrix<Cpu, f32>, term: ScoreTerm, scores: &mut Matrix<Cpu, f32>) {
    match term {
        ScoreTerm::Square => update(cpu, g.buffer(), scores, plus_square),
        ScoreTerm::Sum => update(cpu, g.buffer(), scores, plus),
    }
}

/// Adds what `g` adds to scores of as many elements, on this thread.
pub(super) fn add_terms(cpu: &Cpu, term: ScoreTerm, g: &[f32], scores: &mut [f32]) {
    match term {
        ScoreTerm::Square => update_piece(cpu, g, scores, plus_square),
        ScoreTerm::Sum => update_piece(cpu, g, scores, plus),
    }
}

#[inline(always)]
fn plus_square(score: f32, g: f32) -> f32 {
    g.mul_add(g, score)
}

#[inline(always)]
fn plus(score: f32, g: f32) -> f32 {
    score + g
}

pub(super) fn score_times_weight(cpu: &Cpu, w: Weight<'_, Cpu>, scores: &mut Matrix<Cpu, f32>) {
    match w {
        Weight::F32(w) => update(cpu, w.buffer(), scores, |score, w| score * w),
        Weight::Bf16(w) => update(cpu, w.buffer(), scores, |score, w| score * w.to_f32()),
        Weight::Nf4(w) => times_nf4(cpu, w, scores),
    }
}

fn times_nf4(cpu: &Cpu, w: &Nf4Matrix<Cpu>, scores: &mut Matrix<Cpu, f32>) {
    let k = w.cols();
    cpu.in_pieces(
        Rows { data: scores.buffer_mut(), width: k },
        rows_of(k),
        #[inline(always)]
        |first, scores| {
            let mut row = vec![0.0; k];
            for (i, scores) in (first..).zip(scores.data.chunks_exact_mut(k)) {
                Tile { rows: i..i + 1, cols: 0..k }.read(cpu.arch, Weight::Nf4(w), None, &mut row);
                scores.iter_mut().zip(&row).for_each(|(score, w)| *score *= w);
            }
        },
    );
}

pub(super) fn score_random(cpu: &Cpu, stream: Stream, scores: &mut Matrix<Cpu, f32>) {
    cpu.pooled(|| {
        scores.buffer_mut().par_chunks_mut(PIECE).enumerate().for_each(|(piece, scores)| {
            for (index, score) in (piece as u64 * PIECE as u64..).zip(scores) {
                *score = stream.uniform(index);
            }
        });
    });
}

/// `scores[i] ← f(scores[i], with[i])`.
fn update<T: Float>(
    cpu: &Cpu,
    with: &[T],
    scores: &mut Matrix<Cpu, f32>,
    f: impl Fn(f32, T) -> f32 + Copy + Sync,
) {
    cpu.pooled(|| {
        let pieces = scores.buffer_mut().par_chunks_mut(PIECE).zip(with.par_chunks(PIECE));
        pieces.for_each(|(scores, with)| update_piece(cpu, with, scores, f));
    });
}

fn update_piece<T: Float>(cpu: &Cpu, with: &[T], scores: &mut [f32], f: impl Fn(f32, T) -> f32) {
    cpu.vectorize(
        #[inline(always)]
        || {
            for (score, &with) in scores.iter_mut().zip(with) {
                *score = f(*score, with);
            }
        },
    );
}
