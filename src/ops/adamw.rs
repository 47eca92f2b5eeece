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
pub fn adamw<B: Backend>(
    be: &B,
    settings: AdamW,
    clip: &Matrix<B, f32>,
    grad: &B::Buffer<f32>,
    m: &mut B::Buffer<f32>,
    v: &mut B::Buffer<f32>,
    x: &mut B::Buffer<f32>,
) -> Result<()> {
    todo!()
}
