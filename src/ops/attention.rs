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
pub fn attention<B: Backend>(
    be: &B,
    q: &Matrix<B>,
    k: &Matrix<B>,
    v: &Matrix<B>,
    packing: &Packing<B>,
    heads: Heads,
    y: &mut Matrix<B>,
    lse: &mut Matrix<B, f32>,
) -> Result<()> {
    todo!()
}

/// …
///
/// # Errors
/// …
pub fn attention_backward<B: Backend>(
    be: &B,
    q: &Matrix<B>,
    k: &Matrix<B>,
    v: &Matrix<B>,
    y: &Matrix<B>,
    lse: &Matrix<B, f32>,
    dy: &Matrix<B>,
    packing: &Packing<B>,
    heads: Heads,
    dq: &mut Matrix<B>,
    dk: &mut Matrix<B>,
    dv: &mut Matrix<B>,
) -> Result<()> {
    todo!()
}
