//! rope.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn rope(
    cuda: &Cuda,
    cos: &Matrix<Cuda, f32>,
    sin: &Matrix<Cuda, f32>,
    positions: &Ids<Cuda>,
    turn: Turn,
    x: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}
