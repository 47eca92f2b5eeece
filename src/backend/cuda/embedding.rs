//! embedding.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn embedding(
    cuda: &Cuda,
    table: Weight<'_, Cuda>,
    ids: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn embedding_grad_add(
    cuda: &Cuda,
    ids: &Ids<Cuda>,
    dy: &Matrix<Cuda>,
    dtable: &mut Matrix<Cuda, f32>,
) -> Result<()> {
    todo!()
}
