//! The norm of all gradients together, and the factor that clips it.

use super::{Cpu, elements::Elements, reduce};
use crate::{num::to_f32, tensor::Matrix};
use rayon::prelude::*;

/// Elements whose squares are summed by one thread.
const BLOCK: usize = 1 << 15;

pub(super) fn sum_squares(cpu: &Cpu, xs: &[&Elements<f32>], sums: &mut Matrix<Cpu, f64>) {
    let sums = sums.buffer_mut().par_iter_mut().zip(xs);
    cpu.pooled(|| sums.for_each(|(sum, x)| *sum = one(cpu, x)));
}

fn one(cpu: &Cpu, x: &[f32]) -> f64 {
    let mut partial = vec![0.0; x.len().div_ceil(BLOCK)];
    cpu.in_pieces(
        &mut partial[..],
        1,
        #[inline(always)]
        |first, partial| {
            for (sum, x) in partial.iter_mut().zip(x[first * BLOCK..].chunks(BLOCK)) {
                *sum = reduce::sum_squares(x);
            }
        },
    );
    sum(&partial)
}

/// From 0 on; the library's begins from −0, and leaves that where there is nothing to add.
fn sum(parts: &[f64]) -> f64 {
    parts.iter().fold(0.0, |sum, part| sum + part)
}

pub(super) fn clip_factor(sums: &Matrix<Cpu, f64>, max_norm: f32, clip: &mut Matrix<Cpu, f32>) {
    let norm = sum(sums.buffer()).sqrt();
    let clips = norm.is_finite() && norm > f64::from(max_norm);
    let factor = if clips { f64::from(max_norm) / norm } else { 1.0 };
    clip.buffer_mut().copy_from_slice(&[to_f32(norm), to_f32(factor)]);
}
