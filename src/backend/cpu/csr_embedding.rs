use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn csr_embedding_add(cpu: &Cpu, s: &Csr<Cpu>, ids: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn csr_embedding_grad_add(cpu: &Cpu, ids: &Ids<Cpu>, dy: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    todo!()
}
