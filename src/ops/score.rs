use crate::{
    backend::{ScoreTerm, SparseBackend, work},
    error::{Result, dims},
    profile::{OpClass, Work},
    rng::Stream,
    tensor::{Matrix, Weight},
};

/// `scores += g²` ([`ScoreTerm::Square`]) or `scores += g` ([`ScoreTerm::Sum`]), both `[n, k]`,
/// each rounded once.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes differ.
pub fn score_add<B: SparseBackend>(
    be: &B,
    g: &Matrix<B, f32>,
    term: ScoreTerm,
    scores: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("score_add": g.rows = scores.rows, g.cols = scores.cols);
    // SAFETY: the dimensions agree.
    be.profiled(OpClass::Mask, work::passes(3, g), || unsafe { be.score_add(g, term, scores) })
}

/// `scores ← scores · w`, elementwise, both `[n, k]`: from the mean gradient to SNIP's `w·g`.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes differ.
pub fn score_times_weight<B: SparseBackend>(
    be: &B,
    w: Weight<'_, B>,
    scores: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("score_times_weight": w.rows = scores.rows, w.cols = scores.cols);
    // SAFETY: the dimensions agree.
    be.profiled(OpClass::Mask, Work::traffic(2 * work::bytes(scores) + w.bytes()), || unsafe {
        be.score_times_weight(w, scores)
    })
}

/// `scores[i] ← stream.uniform(i)`, i counting row-major.
///
/// # Errors
/// When the device cannot run it.
pub fn score_random<B: SparseBackend>(be: &B, stream: Stream, scores: &mut Matrix<B, f32>) -> Result<()> {
    // SAFETY: any shape will do.
    be.profiled(OpClass::Mask, work::passes(1, scores), || unsafe { be.score_random(stream, scores) })
}
