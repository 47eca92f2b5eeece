use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn spmm_add(cpu: &Cpu, s: &Csr<Cpu>, x: &Matrix<Cpu>, y: &mut Matrix<Cpu>) {
    todo!()
}

pub(super) fn spmm_t_add(cpu: &Cpu, s: &Csr<Cpu>, dy: &Matrix<Cpu>, dx: &mut Matrix<Cpu>) {
    todo!()
}
