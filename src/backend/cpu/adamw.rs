use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn adamw(
    cpu: &Cpu,
    settings: AdamW,
    clip: &Matrix<Cpu, f32>,
    grad: &Vec<f32>,
    m: &mut Vec<f32>,
    v: &mut Vec<f32>,
    x: &mut Vec<f32>,
) {
    todo!()
}
