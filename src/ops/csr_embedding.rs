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
pub fn csr_embedding_add<B: Backend>(be: &B, s: &Csr<B>, ids: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn csr_embedding_grad_add<B: Backend>(
    be: &B,
    ids: &Ids<B>,
    dy: &Matrix<B>,
    ds: &mut Csr<B>,
) -> Result<()> {
    todo!()
}
