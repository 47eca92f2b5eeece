//! grad_norm.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn sum_squares(
    cuda: &Cuda,
    x: &Buffer<f32>,
    slot: usize,
    sums: &mut Matrix<Cuda, f64>,
) -> Result<()> {
    todo!()
}

pub(super) fn clip_factor(
    cuda: &Cuda,
    sums: &Matrix<Cuda, f64>,
    max_norm: f32,
    clip: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    todo!()
}
