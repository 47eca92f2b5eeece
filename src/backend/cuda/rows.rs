//! rows.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn gather_rows(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    rows: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn scatter_rows(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    rows: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn add(cuda: &Cuda, x: &Matrix<Cuda>, y: &mut Matrix<Cuda>) -> Result<()> {
    todo!()
}
