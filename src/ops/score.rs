use crate::{
    backend::{Backend, ScoreTerm, SparseBackend, work},
    error::{Result, dims, within},
    profile::{OpClass, Work},
    rng::Stream,
    tensor::{Matrix, Weight},
};
use std::ops::Range;

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

/// [`score_add`] of the gradient of a weight over a range of tokens, `g = Σ_{t in tokens} dy[t,·]ᵀ · x[t,·]`, with dy
/// `[t, n]`, x `[t, k]`, scores `[n, k]`; all of g never exists. An empty range adds nothing.
///
/// # Errors
/// [`Error::Dims`](crate::error::Error::Dims) when the shapes do not agree,
/// [`Error::Index`](crate::error::Error::Index) when `tokens` ends beyond the rows of x.
pub fn score_product_add<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    x: &Matrix<B>,
    tokens: Range<usize>,
    term: ScoreTerm,
    scores: &mut Matrix<B, f32>,
) -> Result<()> {
    dims!("score_product_add": x.rows = dy.rows, scores.rows = dy.cols, scores.cols = x.cols);
    within("score_product_add", "token", tokens.start.max(tokens.end), x.rows())?;
    // SAFETY: dims! proved the shapes that Backend::score_product_add states, `within` the range of tokens.
    be.profiled(OpClass::Mask, work::matmul_tn(dy, x, &tokens, scores), || unsafe {
        be.score_product_add(dy, x, tokens, term, scores)
    })
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
