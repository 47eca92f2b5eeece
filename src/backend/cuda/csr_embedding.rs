//! csr_embedding.

#[allow(unused_imports)]
use super::Buffer;
use super::Cuda;
#[allow(unused_imports)]
use crate::{backend::*, device::*, error::Result, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn csr_embedding_add(
    cuda: &Cuda,
    s: &Csr<Cuda>,
    ids: &Ids<Cuda>,
    y: &mut Matrix<Cuda>,
) -> Result<()> {
    todo!()
}

pub(super) fn csr_embedding_grad_add(
    cuda: &Cuda,
    ids: &Ids<Cuda>,
    dy: &Matrix<Cuda>,
    ds: &mut Csr<Cuda>,
) -> Result<()> {
    todo!()
}
