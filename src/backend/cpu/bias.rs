use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn bias_add(cpu: &Cpu, bias: &Matrix<Cpu, f32>, x: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn bias_grad_add(cpu: &Cpu, dy: &Matrix<Cpu>, dbias: &mut Matrix<Cpu, f32>) {
    todo!()
}

pub(super) fn add(cpu: &Cpu, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}
