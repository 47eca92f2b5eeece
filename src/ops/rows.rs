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
pub fn gather_rows<B: Backend>(be: &B, x: &Matrix<B>, rows: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn scatter_rows<B: Backend>(be: &B, x: &Matrix<B>, rows: &Ids<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn argmax_rows<B: Backend>(be: &B, x: &Matrix<B>, best: &mut B::Buffer<u32>) -> Result<()> {
    todo!()
}
