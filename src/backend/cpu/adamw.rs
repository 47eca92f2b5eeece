//! One update of the AdamW optimizer.

use super::{Cpu, cut::rows_of};
use crate::{backend::AdamW, num::to_f32, tensor::Matrix};

pub(super) fn adamw(
    cpu: &Cpu,
    settings: AdamW,
    clip: &Matrix<Cpu, f32>,
    grad: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    x: &mut [f32],
) {
    let AdamW { lr, beta1, beta2, eps, weight_decay, step } = settings;
    // 1/(1 − βˢ), in f64 because βˢ is close to 1 in the first steps.
    let unbias = |beta: f32| to_f32(1.0 / (1.0 - f64::from(beta).powf(f64::from(step))));
    let (unbias_m, unbias_v) = (unbias(beta1), unbias(beta2));
    let (keep, clip) = (1.0 - lr * weight_decay, clip.buffer()[1]);
    cpu.in_pieces(
        ((m, v), x),
        // Seven streams, a division and a root: an element takes as long as some of a plain pass, and factors are small.
        rows_of(8),
        #[inline(always)]
        |first, ((m, v), x)| {
            for (((m, v), x), grad) in m.iter_mut().zip(v).zip(x).zip(&grad[first..]) {
                let g = clip * grad;
                *m = beta1 * *m + (1.0 - beta1) * g;
                *v = beta2 * *v + (1.0 - beta2) * (g * g);
                *x = *x * keep - lr * (*m * unbias_m) / ((*v * unbias_v).sqrt() + eps);
            }
        },
    );
}
