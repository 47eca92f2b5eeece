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
pub fn rmsnorm<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    gain: &Matrix<B, f32>,
    eps: f32,
    y: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn rmsnorm_backward_add<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    gain: &Matrix<B, f32>,
    eps: f32,
    dy: &Matrix<B>,
    dx: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn rmsnorm_gain_grad_add<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    eps: f32,
    dy: &Matrix<B>,
    dgain: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}
