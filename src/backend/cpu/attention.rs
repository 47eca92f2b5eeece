use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn attention(
    cpu: &Cpu,
    q: &Matrix<Cpu>,
    k: &Matrix<Cpu>,
    v: &Matrix<Cpu>,
    packing: &Packing<Cpu>,
    heads: Heads,
    y: &mut Matrix<Cpu>,
    lse: &mut Matrix<Cpu, f32>,
) {
    todo!()
}

pub(super) fn attention_backward(
    cpu: &Cpu,
    q: &Matrix<Cpu>,
    k: &Matrix<Cpu>,
    v: &Matrix<Cpu>,
    y: &Matrix<Cpu>,
    lse: &Matrix<Cpu, f32>,
    dy: &Matrix<Cpu>,
    packing: &Packing<Cpu>,
    heads: Heads,
    dq: &mut Matrix<Cpu>,
    dk: &mut Matrix<Cpu>,
    dv: &mut Matrix<Cpu>,
) {
    todo!()
}
