//! The loss of next-token prediction together with its gradient.

use crate::{
    backend::Backend,
    error::{Result, dims, within},
    tensor::{Ids, Matrix},
};

/// In place, logits `[t, vocab]` become their gradient:
/// `losses[first + t] = ln Σ_v exp(logits[t,v]) − logits[t, targets[t]]`,
/// `logits ← scale · (softmax(logits) − onehot(targets))`; other losses keep their values.
///
/// Safe for logits of any finite size; a row that holds NaN or +∞ gives a loss that is NaN.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) for a target beyond the vocabulary, or a loss beyond `losses`.
pub fn cross_entropy<B: Backend>(
    be: &B,
    targets: &Ids<B>,
    scale: f32,
    logits: &mut Matrix<B>,
    first: usize,
    losses: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("cross_entropy": targets.len = logits.rows);
    within("cross_entropy", "loss", first + logits.rows(), losses.len())?;
    within("cross_entropy", "target", targets.bound(), logits.cols())?;
    // SAFETY: dims! proved the shapes that Backend::cross_entropy states, `within` that every target has a logit and
    // every row a loss.
    unsafe { be.cross_entropy(targets, scale, logits, first, losses) }
}
