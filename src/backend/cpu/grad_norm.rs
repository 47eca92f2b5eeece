use super::Cpu;
#[allow(unused_imports)]
use crate::{backend::*, packing::Packing, rng::Stream, sparse::*, tensor::*};
#[allow(unused_imports)]
use std::ops::Range;

pub(super) fn sum_squares(cpu: &Cpu, x: &Vec<f32>, slot: usize, sums: &mut Matrix<Cpu, f64>) {
    todo!()
}

pub(super) fn clip_factor(cpu: &Cpu, sums: &Matrix<Cpu, f64>, max_norm: f32, clip: &mut Matrix<Cpu, f32>) {
    todo!()
}
