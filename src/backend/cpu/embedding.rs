use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn embedding(cpu: &Cpu, table: Weight<'_, Cpu>, ids: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn embedding_grad_add(cpu: &Cpu, ids: &Ids<Cpu>, dy: &Matrix<Cpu>, dtable: &mut Matrix<Cpu, f32>) {
    todo!()
}
