use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn topk_mask(cpu: &Cpu, scores: &[&Matrix<Cpu, f32>], k: usize) -> Vec<Selected<Cpu>> {
    todo!()
}
