use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn gather_rows(cpu: &Cpu, x: &Matrix<Cpu>, rows: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn scatter_rows(cpu: &Cpu, x: &Matrix<Cpu>, rows: &Ids<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn argmax_rows(cpu: &Cpu, x: &Matrix<Cpu>, best: &mut Vec<u32>) {
    todo!()
}
