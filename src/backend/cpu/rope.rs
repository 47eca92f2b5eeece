use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn rope(
    cpu: &Cpu,
    cos: &Matrix<Cpu, f32>,
    sin: &Matrix<Cpu, f32>,
    positions: &Ids<Cpu>,
    turn: Turn,
    x: &mut Matrix<Cpu>,
) {
    todo!()
}
