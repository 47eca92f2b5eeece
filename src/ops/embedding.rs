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
pub fn embedding<B: Backend>(be: &B, table: Weight<'_, B>, ids: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn embedding_grad_add<B: Backend>(
    be: &B,
    ids: &Ids<B>,
    dy: &Matrix<B>,
    dtable: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}
