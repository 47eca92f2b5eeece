//! matmul.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn matmul_nt(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    scale: f32,
    write: Write,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn matmul_nn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    w: Weight<'_, Cuda>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn matmul_tn(
    cuda: &Cuda,
    dy: &Matrix<Cuda>,
    x: &Matrix<Cuda>,
    tokens: Range<usize>,
    scale: f32,
    write: Write,
    dw: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    todo!()
}
