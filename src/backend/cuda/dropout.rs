//! dropout.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn dropout(
    cuda: &Cuda,
    x: &Matrix<Cuda>,
    p: f32,
    stream: Stream,
    first_row: usize,
    write: Write,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}
