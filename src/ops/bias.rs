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
pub fn bias_add<B: Backend>(be: &B, bias: &Matrix<B, f32>, x: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn bias_grad_add<B: Backend>(be: &B, dy: &Matrix<B>, dbias: &mut Matrix<B, f32>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn add<B: Backend>(be: &B, x: &Matrix<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}
