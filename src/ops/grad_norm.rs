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
pub fn sum_squares<B: Backend>(
    be: &B,
    x: &B::Buffer<f32>,
    slot: usize,
    sums: &mut Matrix<B, f64>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn clip_factor<B: Backend>(
    be: &B,
    sums: &Matrix<B, f64>,
    max_norm: f32,
    clip: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}
