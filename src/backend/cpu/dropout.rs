use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn dropout(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    p: f32,
    stream: Stream,
    first_row: usize,
    write: Write,
    y: &mut Matrix<Cpu>,
) {
    todo!()
}
