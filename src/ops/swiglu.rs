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
pub fn swiglu<B: Backend>(be: &B, gate: &Matrix<B>, up: &Matrix<B>, y: &mut Matrix<B>) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn swiglu_backward<B: Backend>(
    be: &B,
    gate: &Matrix<B>,
    up: &Matrix<B>,
    dy: &Matrix<B>,
    dgate: &mut Matrix<B>,
    dup: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}
