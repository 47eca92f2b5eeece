use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn score_add(cpu: &Cpu, g: &Matrix<Cpu, f32>, term: ScoreTerm, scores: &mut Matrix<Cpu, f32>) {
    todo!()
}

pub(super) fn score_times_weight(cpu: &Cpu, w: Weight<'_, Cpu>, scores: &mut Matrix<Cpu, f32>) {
    todo!()
}

pub(super) fn score_random(cpu: &Cpu, stream: Stream, scores: &mut Matrix<Cpu, f32>) {
    todo!()
}
