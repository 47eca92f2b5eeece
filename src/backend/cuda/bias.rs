//! bias.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn bias_add(cuda: &Cuda, bias: &Matrix<Cuda, f32>, x: &mut Matrix<Cuda>) -> Result<()> {
    todo!()
}

pub(super) fn bias_grad_add(cuda: &Cuda, dy: &Matrix<Cuda>, dbias: &mut Matrix<Cuda, f32>) -> Result<()> {
    todo!()
}
