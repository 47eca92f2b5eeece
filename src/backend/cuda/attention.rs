//! attention.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn attention(
    cuda: &Cuda,
    q: &Matrix<Cuda>,
    k: &Matrix<Cuda>,
    v: &Matrix<Cuda>,
    packing: &Packing<Cuda>,
    heads: Heads,
    y: &mut Matrix<Cuda>,
    lse: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    todo!()
}

pub(super) fn attention_backward(
    cuda: &Cuda,
    q: &Matrix<Cuda>,
    k: &Matrix<Cuda>,
    v: &Matrix<Cuda>,
    y: &Matrix<Cuda>,
    lse: &Matrix<Cuda, f32>,
    dy: &Matrix<Cuda>,
    packing: &Packing<Cuda>,
    heads: Heads,
    dq: &mut Matrix<Cuda>,
    dk: &mut Matrix<Cuda>,
    dv: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}
