use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn csr_transpose(cpu: &Cpu, rows: usize, cols: usize, selected: Selected<Cpu>) -> CsrPattern<Cpu> {
    todo!()
}
