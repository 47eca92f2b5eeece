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
pub fn matmul_nt<B: Backend>(
    be: &B,
    x: &Matrix<B>,
    w: Weight<'_, B>,
    scale: f32,
    write: Write,
    y: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn matmul_nn<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    w: Weight<'_, B>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn matmul_tn<B: Backend>(
    be: &B,
    dy: &Matrix<B>,
    x: &Matrix<B>,
    tokens: Range<usize>,
    scale: f32,
    write: Write,
    dw: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}
