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
pub fn cross_entropy<B: Backend>(
    be: &B,
    targets: &Ids<B>,
    scale: f32,
    logits: &mut Matrix<B>,
    losses: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}
