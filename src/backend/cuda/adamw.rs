//! adamw.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn adamw(
    cuda: &Cuda,
    settings: AdamW,
    clip: &Matrix<Cuda, f32>,
    grad: &Buffer<f32>,
    m: &mut Buffer<f32>,
    v: &mut Buffer<f32>,
    x: &mut Buffer<f32>,
) -> Result<()> {
    todo!()
}
