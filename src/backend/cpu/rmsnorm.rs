//! Root-mean-square normalisation of rows.

use super::{
    Cpu,
    cut::{Rows, rows_of},
    reduce,
};
use crate::tensor::Matrix;

/// `1/√(mean x² + eps)` of one row.
#[inline(always)]
fn reciprocal_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (reduce::dot(x, x) / x.len() as f32 + eps).sqrt()
}

pub(super) fn rmsnorm(cpu: &Cpu, x: &Matrix<Cpu>, gain: &Matrix<Cpu, f32>, eps: f32, y: &mut Matrix<Cpu>) {
    let k = x.cols();
    let (x, gain) = (x.buffer(), gain.buffer());
    cpu.in_pieces(
        Rows { data: y.buffer_mut(), width: k },
        rows_of(k),
        #[inline(always)]
        |first, y| {
            for (x, y) in x[first * k..].chunks_exact(k).zip(y.data.chunks_exact_mut(k)) {
                let r = reciprocal_rms(x, eps);
                for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                    *y = x * r * gain;
                }
            }
        },
    );
}

pub(super) fn rmsnorm_backward_add(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    gain: &Matrix<Cpu, f32>,
    eps: f32,
    dy: &Matrix<Cpu>,
    dx: &mut Matrix<Cpu>,
) {
    let k = x.cols();
    let (x, gain, dy) = (x.buffer(), gain.buffer(), dy.buffer());
    cpu.in_pieces(
        Rows { data: dx.buffer_mut(), width: k },
        rows_of(k),
        #[inline(always)]
        |first, dx| {
            let inputs = x[first * k..].chunks_exact(k).zip(dy[first * k..].chunks_exact(k));
            let mut weighted = vec![0.0; k];
            for ((x, dy), dx) in inputs.zip(dx.data.chunks_exact_mut(k)) {
                for ((w, dy), gain) in weighted.iter_mut().zip(dy).zip(gain) {
                    *w = dy * gain;
                }
                let r = reciprocal_rms(x, eps);
                let mean = reduce::dot(&weighted, x) / k as f32;
                for ((dx, x), w) in dx.iter_mut().zip(x).zip(&weighted) {
                    *dx += r * (w - x * (r * r * mean));
                }
            }
        },
    );
}

pub(super) fn rmsnorm_gain_grad_add(
    cpu: &Cpu,
    x: &Matrix<Cpu>,
    eps: f32,
    dy: &Matrix<Cpu>,
    dgain: &mut Matrix<Cpu, f32>,
) {
    let (t, k) = (x.rows(), x.cols());
    let (x, dy) = (x.buffer(), dy.buffer());
    if k == 0 {
        return;
    }
    let mut r = vec![0.0; t];
    cpu.in_pieces(
        &mut r[..],
        rows_of(k),
        #[inline(always)]
        |first, r| {
            for (x, r) in x[first * k..].chunks_exact(k).zip(r) {
                *r = reciprocal_rms(x, eps);
            }
        },
    );
    cpu.in_pieces(
        &mut dgain.buffer_mut()[..],
        rows_of(t),
        #[inline(always)]
        |first, dgain| {
            for ((x, dy), r) in x.chunks_exact(k).zip(dy.chunks_exact(k)).zip(&r) {
                for ((dgain, x), dy) in dgain.iter_mut().zip(&x[first..]).zip(&dy[first..]) {
                    *dgain += dy * x * r;
                }
            }
        },
    );
}
