use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn matmul_nt(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    scale: f32,
    write: Write,
    y: &mut Matrix<Cpu>,
) {
    todo!()
}

pub(super) fn matmul_nn(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    w: Weight<'_, Cpu>,
    scale: f32,
    write: Write,
    dx: &mut Matrix<Cpu>,
) {
    todo!()
}

pub(super) fn matmul_tn(
    cpu: &Cpu,
    dy: &Matrix<Cpu>,
    x: &Matrix<Cpu>,
    tokens: Range<usize>,
    scale: f32,
    write: Write,
    dw: &mut Matrix<Cpu, f32>,
) {
    todo!()
}
