#[allow(unused_imports)]
use crate::{
    backend::*,
    error::{Result, dims},
    packing::Packing,
    rng::Stream,
    sparse::*,
    tensor::*,
};
#[allow(unused_imports)]
use std::{ops::Range, sync::Arc};

/// …
///
/// # Errors
/// …
pub fn score_add<B: Backend>(
    be: &B,
    g: &Matrix<B, f32>,
    term: ScoreTerm,
    scores: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn score_times_weight<B: Backend>(be: &B, w: Weight<'_, B>, scores: &mut Matrix<B, f32>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn score_random<B: Backend>(be: &B, stream: Stream, scores: &mut Matrix<B, f32>) -> Result<()> {
    todo!()
}
