//! swiglu.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn swiglu(
    cuda: &Cuda,
    gate: &Matrix<Cuda>,
    up: &Matrix<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn swiglu_backward(
    cuda: &Cuda,
    gate: &Matrix<Cuda>,
    up: &Matrix<Cuda>,
    dy: &Matrix<Cuda>,
    dgate: &mut Matrix<Cuda>,
    dup: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}
