use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn csr_add(cpu: &Cpu, s: &Csr<Cpu>, w: &mut Matrix<Cpu, f32>) {
    todo!()
}
