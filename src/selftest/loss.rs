//! The loss of next-token prediction with its gradient.

use super::{
    Case, Exact,
    inputs::{bytes, ids, indices, matrix, numbers},
};
use crate::{
    backend::Backend,
    error::Result,
    num::{to_u32, to_usize},
    ops,
    profile::Work,
    tensor::Matrix,
};

/// Losses and gradients of logits from −`RANGE` to `RANGE`.
///
/// A weight `exp(logit − max)` has the roundings of a difference of at most `2·RANGE`, of its product with log₂ e and of
/// that constant, and 4 units of exp. A GPU's thread takes its part of the sum to a new maximum, 5 units, at most as
/// often as it reads: 16 times, or once in 512 words. The logarithm and two sums make a loss; a quotient, the scale and a
/// difference a gradient.
pub(super) fn cross_entropy<B: Backend>(be: &B, [t, vocab]: [usize; 2]) -> Result<Case> {
    const RANGE: f32 = 8.0;
    const SCALE: f32 = 0.25;
    let host: Vec<f32> = numbers::<B::Act>(1, t * vocab).iter().map(|x| RANGE * x).collect();
    let logits = matrix::<_, B::Act>(be, t, vocab, &host)?;
    let losses = Matrix::<B, f32>::zeros(be, 1, t)?;
    let (targets, words) = ids(be, indices(2, t, to_u32("words", vocab)?))?;
    let weight = 3 * 16 + 4;
    let sum = weight + 5 * vocab.div_ceil(512).max(16) + vocab;
    let (on, after) = (be.clone(), be.clone());
    // The largest logit of a row and the logarithm of the sum of its weights.
    let row = move |host: &[f32], t: usize| {
        let row = &host[t * vocab..][..vocab];
        let max = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        (max, row.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln())
    };
    Ok(Case::new(
        format!("{t} tokens, {vocab} words"),
        Work::new(6 * t * vocab, 2 * bytes::<B>() * t * vocab),
        (logits, losses),
        move |(logits, losses)| ops::cross_entropy(&on, &targets, SCALE, logits, 0, losses),
        move |(logits, losses), verdict| {
            verdict.matrix(&after, losses, sum + 4, |t| {
                let (max, log) = row(&host, t);
                let aim = f64::from(host[t * vocab + to_usize(words[t])]);
                Exact { value: log + max - aim, magnitude: 1.0 + log + (max - aim) }
            })?;
            verdict.matrix(&after, logits, weight + sum + 3, |i| {
                let (max, log) = row(&host, i / vocab);
                let share = f64::from(SCALE) * (f64::from(host[i]) - max - log).exp();
                let aim = to_usize(words[i / vocab]) == i % vocab;
                Exact::of(share).plus(if aim { -f64::from(SCALE) } else { 0.0 })
            })
        },
    ))
}
