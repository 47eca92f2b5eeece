use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn sddmm_add(cpu: &Cpu, dy: &Matrix<Cpu>, x: &Matrix<Cpu>, ds: &mut Csr<Cpu>) {
    todo!()
}
