use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn cross_entropy(
    cpu: &Cpu,
    targets: &Ids<Cpu>,
    scale: f32,
    logits: &mut Matrix<Cpu>,
    losses: &mut Matrix<Cpu, f32>,
) {
    todo!()
}
