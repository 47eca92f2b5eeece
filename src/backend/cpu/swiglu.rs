use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn swiglu(cpu: &Cpu, gate: &Matrix<Cpu>, up: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn swiglu_backward(
    cpu: &Cpu,
    gate: &Matrix<Cpu>,
    up: &Matrix<Cpu>,
    dy: &Matrix<Cpu>,
    dgate: &mut Matrix<Cpu>,
    dup: &mut Matrix<Cpu>,
) {
    todo!()
}
